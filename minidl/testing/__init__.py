"""Checks for whoever writes an engine, an op, a layer or a loss."""

from minidl.testing.engine_law import check_engine
from minidl.testing.gradcheck import check_vjp, gradcheck
from minidl.testing.report import Fault, GradientError, Report, Row

__all__ = ["Fault", "GradientError", "Report", "Row", "check_engine", "check_vjp", "gradcheck"]
