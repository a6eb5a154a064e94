"""How the tables write their samples: the function itself, its inputs, the oracle, and then the settings."""

from dataclasses import fields

from minidl.testing.sample import Sample

FIELDS = {field.name for field in fields(Sample)} - {"settings", "named"}


def row(function, inputs, oracle, *settings, call=None, **named):
    """A sample of a function, or of a `call` of it; of what is named, the fields of a sample are no settings."""
    own = {name: named.pop(name) for name in FIELDS & set(named)}
    own.setdefault("name", function.__name__)
    return Sample(own.pop("name"), call or function, inputs, oracle, settings, named, **own)


def linear(function, inputs, oracle, *settings, **named):
    """A sample of a linear function: one that has an adjoint."""
    return row(function, inputs, oracle, *settings, linear=True, **named)
