"""The network that a command line asks for: its settings as arguments, and whether the images fit into it."""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minidl import no_grad, zeros
from minidl.data import Dataset
from minidl.nn import Module


class Settings(argparse.Action):
    """Arguments such as depth=20 shortcut=A as a dict: values are Python's literals, where they are none, strings."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        settings = dict(getattr(namespace, self.dest) or {})
        for text in values or ():
            name, equals, value = text.partition("=")
            if not (equals and name.isidentifier()):
                raise argparse.ArgumentError(self, f"{text!r} is not of the form NAME=VALUE, such as depth=20")
            settings[name] = literal(value)
        setattr(namespace, self.dest, settings)


def literal(text: str) -> Any:
    """The number, boolean, None or list that a text denotes, as JSON has it (tuples are lists); else the text."""
    try:
        return json.loads(json.dumps(ast.literal_eval(text.title() if text in ("true", "false", "none") else text)))
    except (SyntaxError, TypeError, ValueError):
        return text


def network(
    build: Callable[..., Module],
    settings: Mapping[str, Any],
    dataset: Dataset,
    image_size: int | None = None,
    batch_size: int = 2,
) -> Module:
    """A network for the classes and channels of a dataset; ValueError if it cannot be, or cannot take its images.

    image_size: the side to which images are scaled; None: they are not.
    batch_size: how many it is to be trained on at a time.
    """
    channels, *shape = dataset.images.shape[1:]
    given = settings.keys() & {"num_classes", "in_channels"}
    if given:
        raise ValueError(f"{build.__name__}: {' and '.join(sorted(given))} cannot be set: they follow from the data")
    try:
        model = build(num_classes=len(dataset.classes), in_channels=channels, **settings)
    except TypeError as error:
        chosen = " ".join(f"{name}={value}" for name, value in settings.items())
        named = re.search("has no setting|got (an unexpected|multiple values)", str(error))  # a wrong name
        why = error if named or not settings else f"{' or '.join(settings)} has a value of the wrong kind"
        raise ValueError(f"{build.__name__} cannot be built with {chosen or 'its defaults'}: {why}") from error
    height, width = [image_size] * 2 if image_size else shape
    says = f"{build.__name__} cannot take images of {height}×{width}"
    if reason := _refusal(model, (2, channels, height, width)):
        raise ValueError(f"{says} ({reason}): choose another --image-size; networks for ImageNet take 224") from reason
    if batch_size == 1 and (reason := _refusal(model, (1, channels, height, width))):
        raise ValueError(f"{says} one at a time ({reason}): choose a larger --batch-size or --image-size") from reason
    return model


def _refusal(model: Module, shape: Sequence[int]) -> Exception | None:
    """What a network says against such images, in evaluation or in training; it is left as it was, in training."""
    before = [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    try:
        with no_grad():
            for mode in (False, True):
                model.train(mode)(zeros(*shape))
    except (IndexError, RuntimeError, ValueError) as error:
        return error
    finally:
        for buffer, values in before:
            buffer.data[...] = values
    return None
