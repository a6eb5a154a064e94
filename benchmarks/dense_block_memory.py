"""How does the memory of a dense block grow with its depth? Run `python -m benchmarks.dense_block_memory`.

The concatenated features are counted array by array; what a forward pass leaves for the backward pass, and the peak of
both, are what tracemalloc sees of NumPy. Blocks have bottlenecks and growth rate 12, as DenseNet-BC on CIFAR; the last
column is the exponent e of the fit memory ~ depth^e: 1 is linear (a little less, as the input is part of the memory).
"""

import gc
import tracemalloc
from collections.abc import Sequence

import numpy as np

import minidl
from minidl.models.densenet import DenseBlock
from minidl.tensor import Tensor

DEPTHS = (6, 12, 24, 48)
GROWTH_RATE = 12
SHAPE = (8, 24, 16, 16)  # of the input

MEASURES = {
    "concatenated features": "one buffer, which every layer shares",
    "kept for backward": "each layer keeps its input to the 1×1 convolution, and where ReLU was on",
    "peak, forward and backward": "also the gradients: those of the features add up in one array",
}


class CopyingBlock(DenseBlock):
    """A dense block as one would write it first: each concatenation is a new array."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = minidl.concatenate([x, layer(x)], axis=1)
        return x


KINDS = {"shared": DenseBlock, "copying": CopyingBlock}


def measure(kind: type[DenseBlock], depth: int) -> tuple[int, int, int]:
    """The bytes of each of the measures for one training step of a block."""
    block = kind(depth, SHAPE[1], GROWTH_RATE, bottleneck=True, drop_rate=0.0)
    x = minidl.randn(*SHAPE, requires_grad=True)
    arrays: dict[int, int] = {}
    for layer in list(block)[1:]:
        layer.register_forward_pre_hook(lambda _, args: arrays.update([_owner(args[0])]))
    gc.collect()
    tracemalloc.start()
    y = block(x)
    arrays.update([_owner(y)])
    kept, _ = tracemalloc.get_traced_memory()
    y.backward(minidl.ones_like(y))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return sum(arrays.values()), kept, peak


def _owner(x: Tensor) -> tuple[int, int]:
    """Which array owns this tensor's memory, and its bytes."""
    array = x.data if x.data.base is None else x.data.base
    return id(array), array.nbytes


def exponent(values: Sequence[int]) -> float:
    """e in value ~ depth^e, by least squares between the logarithms."""
    return float(np.polyfit(np.log(DEPTHS), np.log(values), 1)[0])


def main() -> None:
    """Measure blocks that share one buffer and blocks that copy, and print the table."""
    measure(DenseBlock, DEPTHS[0])  # what is imported or cached at first use is none of the block's memory
    print(f"MB of float32 for {SHAPE[0]} images of {SHAPE[2]}×{SHAPE[3]}, k = {GROWTH_RATE}, with bottlenecks\n")
    header = ["memory", "block", *(f"depth {depth}" for depth in DEPTHS), "exponent"]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    results = {name: [measure(kind, d) for d in DEPTHS] for name, kind in KINDS.items()}
    for row, what in enumerate(MEASURES):
        for name, found in results.items():
            values = [measures[row] for measures in found]
            cells = [what, name, *(f"{value / 1e6:.2f}" for value in values), f"{exponent(values):.2f}"]
            print("| " + " | ".join(cells) + " |")
    print("\n" + "\n".join(f"{what}: {why}" for what, why in MEASURES.items()))
    print(
        "Linear so far are the features alone; the rest grows with the square of the depth until layers recompute it."
    )


if __name__ == "__main__":
    main()
