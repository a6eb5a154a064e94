"""Where the time goes: a profile of the ops that run, as a table and as a trace that browsers draw."""

from minidl.profiler.profile import profile, record_function
from minidl.profiler.profiler import Event
from minidl.profiler.rows import Row

__all__ = ["Event", "Row", "profile", "record_function"]
