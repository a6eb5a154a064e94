"""A plugin for pytest that writes each result as a line of JSON as soon as it is there, to the file in $TEST_RECORD."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Recorder:
    """Appends to a file; of what failed, also how."""

    def __init__(self, path: Path):
        self.path = path

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or not report.passed:
            self.write(report)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.write(report)

    def write(self, report: Any) -> None:
        """One line."""
        text = report.longreprtext if report.failed else ""
        line = json.dumps({"test": report.nodeid, "outcome": report.outcome, "text": text})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def pytest_configure(config: Any) -> None:
    """Record in the process that hears of all tests, which the workers of pytest-xdist are not."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(os.environ["TEST_RECORD"])))
