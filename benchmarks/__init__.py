"""Measurements: one question a file, one table out, and the command that repeats it."""
