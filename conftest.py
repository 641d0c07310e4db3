"""What every test run has: the pages among its tests, and the time of each group (`pytest --group-times`)."""

import time
from collections import defaultdict
from pathlib import PurePosixPath

import pytest

pytest_plugins = ["tests.docs.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--group-times`."""
    parser.addoption("--group-times", action="store_true", help="print the time of each group of tests at the end")


def pytest_configure(config: pytest.Config) -> None:
    """Register the clock of groups if it is asked for."""
    if config.getoption("--group-times"):
        config.pluginmanager.register(GroupTimes())


def group_of(nodeid: str) -> str:
    """Return the group that a test belongs to, by its path."""
    match PurePosixPath(nodeid.partition("::")[0]).parts:
        case ("tests", "docs", *_) | ("docs" | "examples", *_):
            return "docs"
        case (*_, name) if name.endswith(".md"):
            return "docs"
        case ("packages", member, *_):
            return f"unit: {member}"
        case ("tests", group, _, *_):
            return group
        case _:
            return "other"


class GroupTimes:
    """Adds up what tests, their fixtures included, took in each group."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tests: defaultdict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        group = group_of(report.nodeid)
        self.seconds[group] += report.duration
        self.tests[group] += report.when == "call" or (report.when == "setup" and report.skipped)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print one line for each group and one for all."""
        terminalreporter.section("time per group")
        for group, seconds in sorted(self.seconds.items()):
            terminalreporter.line(f"{group:<28}{self.tests[group]:>6} tests {seconds:>8.1f} s")
        total = time.perf_counter() - self.started
        terminalreporter.line(f"{'total, with collection':<28}{sum(self.tests.values()):>6} tests {total:>8.1f} s")
