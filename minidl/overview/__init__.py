"""What a network costs and sees, layer by layer."""

from minidl.overview.cost import mult_adds
from minidl.overview.rows import Row, Summary
from minidl.overview.trace import summary

__all__ = ["Row", "Summary", "mult_adds", "summary"]
