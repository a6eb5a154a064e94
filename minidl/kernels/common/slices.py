"""A length cut into slices, one after the other."""

from __future__ import annotations


def slices(count: int, step: int) -> list[slice]:
    """0..count, so much at a time."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def evenly(count: int, most: int) -> list[slice]:
    """0..count in as few slices as possible that are not longer than `most`, all of about one length."""
    return slices(count, -(-count // max(1, -(-count // most))) or 1)


def tiles(count: int, size_of_one: int, budget: int) -> list[slice]:
    """0..count in slices, each as long as the budget allows and at least 1."""
    return slices(count, max(1, budget // max(size_of_one, 1)))
