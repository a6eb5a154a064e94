"""Checks for whoever writes an op, a layer or a loss."""

from minidl.testing.gradcheck import gradcheck
from minidl.testing.report import GradientError, Report

__all__ = ["GradientError", "Report", "gradcheck"]
