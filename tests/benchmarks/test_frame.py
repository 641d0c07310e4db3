"""The benchmarks run, and what they print follows from what was measured."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import page, plots, report
from benchmarks.case import Bench, Case, Goal, Group
from benchmarks.results import Results, Spread
from benchmarks.run import GROUPS
from benchmarks.worker import run_case

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_group_is_measured_end_to_end_in_interleaved_rounds(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/run.py", "memory", "--rounds", "2", "--messages", "50"]
    chosen = ["--only", "await handler()", "--only", "pulpo, 100", "--output", str(tmp_path)]
    run = subprocess.run([*command, *chosen], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    steps = [line.partition(": ")[2] for line in run.stderr.splitlines()]
    assert steps == ["await handler()", "pulpo, 100", "await handler()", "pulpo, 100"]
    assert "pulpo, 100" in run.stdout
    document = json.loads((tmp_path / "memory.json").read_text())
    rounds = document["cases"]["pulpo, 100"]["rounds"]
    assert [set(figures) for figures in rounds] == [{"publish", "handle", "publish and handle", "peak memory"}] * 2
    assert all(figures["handle"]["cpu_us"] > 0 for figures in rounds)
    assert {"Python", "cores"} <= document["machine"].keys()
    assert "pulpo-core" in document["versions"]


@pytest.mark.parametrize("name", GROUPS)
def test_goals_and_baselines_name_cases_that_exist(name: str) -> None:
    group: Group = import_module(f"benchmarks.{name}").GROUP

    names = [case.name for case in group.cases]
    assert len(set(names)) == len(names)
    named = {group.baseline, *(case.baseline for case in group.cases if case.baseline)}
    named |= {name for goal in group.goals for name in (goal.case, goal.against)}
    assert named <= set(names)


def measured(*cpu: float | None) -> list[dict[str, dict[str, float]] | None]:
    return [None if value is None else {"drain": {"rate": 1e6 / value, "cpu_us": value}} for value in cpu]


def nothing(bench: Bench) -> None:
    pass


@pytest.fixture
def results() -> Results:
    cases = [Case(name=name, run=nothing) for name in ("peer", "ours", "absent")]
    goals = [
        Goal(case="ours", against="peer", figure="drain", at_most=0.5),
        Goal(case="ours", against="peer", figure="drain", of="rate", at_least=3),
        Goal(case="absent", against="peer", figure="drain", at_most=1),
    ]
    group = Group(title="Draining", cases=cases, baseline="peer", goals=goals)
    return Results(group, {"peer": measured(10, 40, 20, 20), "ours": measured(5, 16, None, 10)})


def test_a_ratio_is_taken_within_its_round_and_failed_rounds_are_left_out(results: Results) -> None:
    assert results.ratios("ours", "peer", "drain", "cpu_us") == [0.5, 0.4, 0.5]


def test_a_goal_is_about_the_median_of_the_ratios(results: Results) -> None:
    at_most, at_least, unmeasured = results.group.goals

    assert results.goal(at_most) == (Spread(0.5, 0.4, 0.5), True)
    found = results.goal(at_least)
    assert found is not None
    assert found[1] is False
    assert results.goal(unmeasured) is None


def test_a_case_that_cannot_run_or_fails_is_named_with_its_reason(results: Results) -> None:
    def elsewhere(bench: Bench) -> None:
        bench.cannot("no redis-server")

    absent = results.group.case("absent")
    results.add(absent, run_case(Case(name="absent", run=elsewhere), 10))
    results.add(results.group.case("ours"), {"failed": "acked: 9, expected 10"})

    text = report.text(results, {"machine": {}, "versions": {}, "peers": {}})

    assert "not run: absent: no redis-server" in text
    assert "FAILED: ours: acked: 9, expected 10" in text


def test_a_block_measured_elsewhere_is_kept_like_one_that_was_measured_here() -> None:
    bench = Bench(100)

    bench.keep("drain", messages=100, elapsed=0.5, cpu=0.2)

    assert bench.figures == {"drain": {"rate": 200, "cpu_us": pytest.approx(2000)}}


@pytest.mark.parametrize("name", ["pulpo on a file, 2 processes", "the computing alone, 2 processes"])
def test_several_processes_share_the_work_and_all_of_it_is_done(name: str) -> None:
    answer = run_case(import_module("benchmarks.processes").GROUP.case(name), 40)

    figures = answer["figures"]
    assert figures["handlers that compute for 1 ms"]["cpu_us"] >= 1000


def test_a_group_along_something_is_drawn_as_curves_with_a_point_for_each_case(tmp_path: Path) -> None:
    cases = [Case(name=f"ours, {at}", run=nothing, curve="ours", at=at) for at in (1, 2)]
    group = Group(title="Growing", cases=cases, baseline="ours, 1", along="processes")
    grown = Results(group, {"ours, 1": measured(10, 10), "ours, 2": measured(5, 4)})

    assert plots.curves(grown, "drain") == {"ours": [(1, 100_000, 100_000, 100_000), (2, 225_000, 200_000, 250_000)]}
    assert "curve" in plots.caption(group)


def test_what_did_not_do_its_work_has_failed() -> None:
    async def lossy(bench: Bench) -> None:
        with bench.measure("drain"):
            handled = bench.messages - 1
        bench.check(handled, bench.messages, "handled")

    with pytest.raises(AssertionError, match="handled: 9, expected 10"):
        run_case(Case(name="lossy", run=lossy, warm_up=0), 10)


def test_the_warm_up_runs_first_and_is_not_measured() -> None:
    runs: list[int] = []

    def count(bench: Bench) -> None:
        runs.append(bench.messages)
        with bench.measure("drain"):
            pass

    answer = run_case(Case(name="count", run=count, warm_up=3), 10)

    assert runs == [3, 10]
    assert answer["figures"].keys() == {"drain", "peak memory"}


def test_a_place_without_results_leaves_those_of_the_next_place_alone(tmp_path: Path) -> None:
    before = "<!-- results: file -->\n\n<!-- results: memory -->\n\nmeasured\n\n<!-- end of results -->\n"

    assert page.filled(before, tmp_path) == before
    (tmp_path / "file.json").write_text(json.dumps({**EMPTY, "title": "One queue"}))
    filled = page.filled(before, tmp_path)
    assert "One queue." in filled
    assert "\nmeasured\n" in filled


#: What a run leaves behind in which every case was left out.
EMPTY = {"taken": "2026-11-21", "rounds": 1, "machine": {}, "versions": {}, "peers": {}, "cases": {}}


def test_results_take_their_places_in_the_page_and_are_replaced_by_newer_ones(tmp_path: Path) -> None:
    rounds = {"await handler()": measured(1, 1), "pulpo, 100": measured(14, 16)}
    document = {
        "title": "In process",
        "taken": "2026-11-21T10:00:00+00:00",
        "rounds": 2,
        "machine": {"cores": "2"},
        "versions": {"pulpo-core": "0.1.0"},
        "peers": {},
        "cases": {name: {"rounds": found, "not_run": None} for name, found in rounds.items()},
    }
    (tmp_path / "memory.json").write_text(json.dumps(document))
    before = "above\n\n<!-- results: memory -->\n\nbetween\n\n<!-- results: file -->\n\nbelow\n"

    once = page.filled(before, tmp_path)

    assert "| pulpo, 100 | 66,964 (62,500–71,429) | 15 (14–16) |" in once
    assert "`./dev bench memory`, 2 rounds, 2026-11-21" in once
    assert [line for line in ("above", "between", "below") if line not in once] == []
    assert page.filled(once, tmp_path) == once
    (tmp_path / "memory.json").write_text(json.dumps(document).replace("2026-11-21", "2026-11-22"))
    assert page.filled(once, tmp_path) == once.replace("2026-11-21", "2026-11-22")
