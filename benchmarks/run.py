"""Measure pulpo beside its peers: ``./dev bench [GROUP…] [--rounds N] [--messages N] [--only TEXT]``; see README.md."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
if not __package__:
    sys.path[0] = str(ROOT)  # run by its path, as `./dev bench` does: its neighbours are the package `benchmarks`

from benchmarks import peers, plots, report  # noqa: E402 - after the path is right
from benchmarks.case import Case, Group  # noqa: E402
from benchmarks.results import Results  # noqa: E402

GROUPS = ["memory", "startup", "file", "backlog", "beanstalkd", "sqs", "processes"]


def main() -> int:
    """Run the groups that the command line names; the exit status."""
    options = _options()
    status = 0
    for name in GROUPS if "all" in options.groups else options.groups:
        results = run_group(name, options)
        about = {
            "group": name,
            "rounds": options.rounds,
            "messages": options.messages,
            "machine": report.machine(),
            "versions": report.project_versions(),
            "peers": peers.versions() if any(case.peer for case in results.cases()) else {},
        }
        print(report.text(results, about), flush=True)
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / f"{name}.json"
        path.write_text(json.dumps(report.document(results, about), indent=1, ensure_ascii=False) + "\n")
        plots.draw(results, path)
        if results.failures or (options.check and missed(results)):
            status = 1
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.partition(":")[0] if __doc__ else "")
    parser.add_argument("groups", nargs="*", default=["all"], choices=[*GROUPS, "all"], metavar="GROUP")
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is run (5)")
    parser.add_argument("--messages", type=int, help="messages in each run, instead of each case's own number")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="only cases with TEXT in their name"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for JSON and plots")
    return parser.parse_args()


def run_group(name: str, options: argparse.Namespace) -> Results:
    """All rounds of a group, its cases interleaved."""
    group: Group = importlib.import_module(f"benchmarks.{name}").GROUP
    cases = [case for case in group.cases if not options.only or any(text in case.name for text in options.only)]
    if not cases:
        sys.exit(f"{name}: no case has {' or '.join(options.only)} in its name")
    results = Results(group)
    interpreters = {False: Path(sys.executable)}
    if any(case.peer for case in cases):
        interpreters[True] = peers.python()
    with group.server() as variables:
        for number in range(1, options.rounds + 1):
            for case in cases:
                if case.name in results.not_run or case.name in results.failures:
                    continue
                print(f"{name}, round {number} of {options.rounds}: {case.name}", file=sys.stderr)
                messages = options.messages or case.messages
                results.add(case, run_once(interpreters[case.peer], name, case, messages, variables))
    return results


def run_once(interpreter: Path, group: str, case: Case, messages: int, variables: Mapping[str, str]) -> dict[str, Any]:
    """What the worker answers: its figures, why it did not run, or how it failed."""
    command = [str(interpreter), "-m", "benchmarks.worker", group, case.name, str(messages)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its own children end with it
    )
    try:
        answer, said = process.communicate(timeout=case.timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        return {"failed": f"not done after {case.timeout:g} s"}
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        return {"failed": (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]}
    figures: dict[str, Any] = json.loads(answer)
    return figures


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """As users have it: with compiled modules kept."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **variables}


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def missed(results: Results) -> Sequence[object]:
    """The goals that were measured and are not met."""
    return [goal for goal in results.group.goals if (found := results.goal(goal)) and not found[1]]


if __name__ == "__main__":
    sys.exit(main())
