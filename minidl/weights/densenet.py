"""What is particular to DenseNets trained elsewhere: old names, and another order of the features that pile up.

Names are those of `models.densenet`, which are torchvision's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import numpy as np

from minidl.weights.stored import Array, WeightsError

OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
LAYER = re.compile(r"(.*denseblock\d+)\.denselayer\d+\.norm1\.weight")
NORM = re.compile(r"(.*\.)(norm1|norm|norm5)\.weight")
"""The batch norms that read a concatenation."""
PARTS = re.compile(
    r".*conv0\.weight|(.*norm0|.*denseblock\d+\.denselayer\d+\.(norm|conv)[12]|.*transition\d+\.(norm|conv)"
    r"|.*norm5|classifier)\.\w+"
)


def today(name: str) -> str:
    """The name that torchvision gives today to what it called `norm.1` until 2018, for a dot was no harm then."""
    return OLD_NAME.sub(r"\1\2.", name)


def old_first(arrays: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The weights of a DenseNet that concatenates [new, old], for one that concatenates [old, new].

    What reads a concatenation has a weight for each channel: batch norms, the convolutions and the classifier behind
    them. These change places. shapes: those of the model's own arrays, in order.
    """
    strange = [name for name in shapes if not PARTS.fullmatch(name)]
    layers = [name for name in shapes if LAYER.fullmatch(name)]
    if strange or not layers:
        what = f"has {strange[0]}" if strange else "has no dense block"
        raise WeightsError(f"load_weights: new_first is for DenseNets as in models.densenet; the model {what}")
    result = dict(arrays)
    for readers, order in _readers(shapes):
        for name in result.keys() & readers:
            result[name] = result[name][order] if result[name].ndim == 1 else result[name][:, order]
    return result


def _readers(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[set[str], Array]]:
    """The arrays with a place for each channel of a concatenation, and from where each place is to be taken."""
    found: list[tuple[set[str], Array]] = []
    block, widths = "", [0]
    for name in shapes:
        norm = NORM.fullmatch(name)
        if not norm:
            continue
        layer = LAYER.fullmatch(name)
        if layer and layer[1] != block:
            block, widths = layer[1], [0]
        widths.append(shapes[name][0])
        order = [np.arange(widths[-1] - end, widths[-1] - start) for start, end in itertools.pairwise(widths)]
        behind = "classifier" if norm[2] == "norm5" else norm[1] + norm[2].replace("norm", "conv")
        readers = {n for n, shape in shapes.items() if shape and n.startswith(f"{norm[1]}{norm[2]}.")} | {
            f"{behind}.weight"
        }
        found.append((readers, np.concatenate(order)))
    return found
