"""What no single page knows: that each is reached, that links lead somewhere, that workflows do what a person can."""

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pulpo_cli.main import cli
from pulpo_core import ConfigurationError, open_queue

from .commands import ROOT, checked_instead
from .formats import check_command

DOCS = ROOT / "docs"
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
READ_MES = sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md"), *DOCS.glob("**/*.md")])

_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
_FENCED = re.compile(r"^[ \t]*```.*?^[ \t]*```", re.DOTALL | re.MULTILINE)
_INLINE_COMMAND = re.compile(r"`pulpo ([a-z-]+(?: [a-z-]+)?)[^`]*`")


def pages_of(nav: Any) -> Iterator[str]:
    """The paths in a navigation."""
    match nav:
        case str():
            yield nav
        case dict():
            for each in nav.values():
                yield from pages_of(each)
        case list():
            for each in nav:
                yield from pages_of(each)


def navigation() -> list[str]:
    """The pages that the site leads to."""
    text = (ROOT / "mkdocs.yml").read_text()
    return list(pages_of(yaml.safe_load(text[text.index("\nnav:") :])["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    there = {str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")}
    decisions = {path for path in there if path.startswith("adr/")}

    assert sorted(navigation()) == sorted(there - decisions)


@pytest.mark.parametrize("path", READ_MES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", path.read_text())):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted(ROOT.glob("packages/*/README.md")), ids=lambda path: path.parent.name)
def test_a_read_me_of_a_distribution_links_to_nothing_that_its_index_page_lacks(path: Path) -> None:
    assert _LINK.findall(_FENCED.sub("", path.read_text())) == []


@pytest.mark.parametrize("path", READ_MES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_the_text_exist(path: Path) -> None:
    for words in _INLINE_COMMAND.findall(_FENCED.sub("", path.read_text())):
        check_command([words.split()[0], "--help"])


@pytest.mark.parametrize("name", ["core", "cli"])
def test_the_read_me_of_a_distribution_names_its_extras(name: str) -> None:
    told = re.findall(
        rf"^\| `pulpo-{name}\[(\w+)\]` \|", (ROOT / f"packages/{name}/README.md").read_text(), re.MULTILINE
    )

    assert sorted(told) == sorted(metadata(f"pulpo-{name}").get_all("Provides-Extra", []))


def test_the_read_me_of_the_command_names_all_commands() -> None:
    text = (ROOT / "packages/cli/README.md").read_text()

    assert [name for name in cli.list_commands(click.Context(cli)) if not re.search(rf"`(pulpo )?{name}\b", text)] == []


async def accepted_by(url: str) -> set[str]:
    """The parameters that the error about an unknown one names."""
    with pytest.raises(ConfigurationError) as refused:
        async with open_queue(url):
            pass
    return set(str(refused.value).partition("accepted: ")[2].split(", "))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("file", "file:///shop.db?nonsense=1"),
        ("beanstalkd", "beanstalkd:///run/beanstalkd.sock?nonsense=1"),
        ("sqs", "sqs://mail?nonsense=1"),
    ],
)
async def test_the_read_me_of_an_adapter_names_the_parameters_that_there_are(name: str, url: str) -> None:
    told = re.findall(r"^\| `(\w+)` \|", (ROOT / f"packages/adapter-{name}/README.md").read_text(), re.MULTILINE)

    assert set(told) - {"url"} == await accepted_by(url) - {"url"}


# ---------------------------------------------------------------------------------------------------------- workflows


def steps_of(path: Path) -> list[dict[str, Any]]:
    """All steps of a workflow."""
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_nothing_that_a_person_cannot(path: Path) -> None:
    for command in (step["run"] for step in steps_of(path) if "run" in step):
        assert command.startswith("./dev ")
        check = checked_instead(command)
        assert check is not None
        assert check(command) is None


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_little_and_uses_what_cannot_change(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    for action in (step["uses"] for step in steps_of(path) if "uses" in step):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{action} is not pinned to a commit"


def test_the_tests_run_on_every_python_that_is_promised() -> None:
    [check] = [yaml.safe_load(path.read_text()) for path in WORKFLOWS if path.stem == "check"]

    assert check["jobs"]["check"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
