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
    build: Callable[..., Module], settings: Mapping[str, Any], dataset: Dataset, image_size: int | None = None
) -> Module:
    """A network for the classes and channels of a dataset; ValueError if it cannot be, or cannot take its images.

    image_size: the side to which images are scaled; None: they are not.
    """
    channels, *shape = dataset.images.shape[1:]
    given = settings.keys() & {"num_classes", "in_channels"}
    if given:
        raise ValueError(f"{build.__name__}: {' and '.join(sorted(given))} cannot be set: they follow from the data")
    try:
        model = build(num_classes=len(dataset.classes), in_channels=channels, **settings)
    except TypeError as error:
        chosen = " ".join(f"{name}={value}" for name, value in settings.items())
        named = re.search("got (an unexpected|multiple values)", str(error))  # what a function says to a wrong name
        reason = error if named or not settings else f"{' or '.join(settings)} has a value of the wrong kind"
        raise ValueError(f"{build.__name__} cannot be built with {chosen or 'its defaults'}: {reason}") from error
    _want_fit(build.__name__, model, (channels, *([image_size] * 2 if image_size else shape)))
    return model


def _want_fit(name: str, model: Module, shape: Sequence[int]) -> None:
    """Show a network two images, in training as in evaluation, and leave it as it was; ValueError if it cannot."""
    before = [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    try:
        with no_grad():
            for mode in (False, True):
                model.train(mode)(zeros(2, *shape))
    except (IndexError, RuntimeError, ValueError) as error:
        _, height, width = shape
        raise ValueError(
            f"{name} cannot take images of {height}×{width} ({error}): choose another --image-size; "
            "networks for ImageNet take 224"
        ) from error
    finally:
        for buffer, values in before:
            buffer.data[...] = values
