"""One run of one case, in a process of its own: ``python -m benchmarks.worker GROUP CASE MESSAGES``.

What the case prints goes to standard error; standard output carries one line of JSON, the figures.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.case import Bench, Case, NotRun, in_mebibytes, peak_memory


def run_case(case: Case, messages: int) -> dict[str, Any]:
    """The figures of one run, after the warm-up; or why there are none."""
    try:
        if case.warm_up:
            _run(case.run, Bench(min(case.warm_up, messages)))
        bench = Bench(messages)
        gc.collect()
        _run(case.run, bench)
    except NotRun as reason:
        return {"not_run": str(reason)}
    children = in_mebibytes(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    bench.record("peak memory", max(peak_memory(), children), "MiB")
    return {"figures": bench.figures}


def _run(function: Callable[[Bench], Any], bench: Bench) -> None:
    result = function(bench)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def main() -> None:
    """Run the case that the command line names."""
    group, name, messages = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case = importlib.import_module(f"benchmarks.{group}").GROUP.case(name)
    print(json.dumps(run_case(case, int(messages))), file=answers, flush=True)


if __name__ == "__main__":
    main()
