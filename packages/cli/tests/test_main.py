"""The frame of the command: what holds for every command."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from pulpo_cli import __version__
from pulpo_cli.main import cli

from .conftest import Pulpo

HEAVY = ("pulpo_core", "asyncio", "rich", "structlog")


def every_command() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", each) for inner, each in command.commands.items()]
    return found


def test_the_version_is_that_of_the_distribution(pulpo: Pulpo) -> None:
    assert pulpo("--version").out == f"pulpo {version('pulpo-cli')}\n"
    assert __version__ == version("pulpo-cli")


def test_asking_for_the_version_imports_nothing_that_takes_time() -> None:
    program = (
        "import sys, json\n"
        "from pulpo_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert printed[0].startswith("pulpo ")
    assert not set(HEAVY) & set(json.loads(printed[1]))


def test_every_command_says_what_it_does_and_what_each_option_means() -> None:
    for name, command in every_command():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "log_format":
                assert parameter.help, f"{name} {parameter.opts}"


#: Commands that print a script, one that is a screen, and groups, which print nothing.
NO_DATA = {"completion", "top", "buried", "queue", "config", "config init"}


def test_every_command_that_prints_data_prints_json() -> None:
    for name, command in every_command():
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--json" in options) == (name not in NO_DATA), name


def test_help_goes_to_stdout_and_lists_every_command(pulpo: Pulpo) -> None:
    outcome = pulpo("--help")

    assert outcome.status == 0
    assert all(name in outcome.out for name in cli.list_commands(click.Context(cli)))
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nonsense"], "pulpo: No such command 'nonsense'; see 'pulpo --help'"),
        (
            ["stats"],
            "pulpo: which queue? Give --queue, or PULPO_QUEUE, or queue in pulpo.toml; see 'pulpo stats --help'",
        ),
        (["peek", "--queue", "memory://x", "--state", "gone"], "pulpo: Invalid value for '--state'"),
        (["buried", "lost"], "pulpo: No such command 'lost'"),
        (["pop", "--quue", "memory://x"], "pulpo: No such option"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(pulpo: Pulpo, arguments: list[str], line: str) -> None:
    outcome = pulpo(*arguments)

    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.complaint.startswith(line)


@pytest.mark.parametrize(
    ("url", "status", "line"),
    [
        ("nowhere", 2, "'nowhere' is not a queue URL"),
        ("nope://x", 2, "no adapter for 'nope' is installed"),
        ("memory://x?colour=red", 2, "unknown parameter 'colour'; accepted: lease, max_body"),
        ("beanstalkd://127.0.0.1:1/tube", 3, "127.0.0.1:1"),
    ],
    ids=["no URL", "unknown scheme", "unknown parameter", "nobody answers"],
)
def test_a_queue_that_cannot_be_opened_is_one_line_and_its_status(
    pulpo: Pulpo, url: str, status: int, line: str
) -> None:
    outcome = pulpo("stats", "--queue", url)

    assert outcome.status == status
    assert line in outcome.complaint


def test_the_queue_can_come_from_the_environment(pulpo: Pulpo, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pulpo("publish", "--queue", url, "--payload", "x")
    monkeypatch.setenv("PULPO_QUEUE", url)

    assert pulpo("stats", "--json").json["ready"] == 1


def test_quiet_is_accepted_before_and_after_the_command(pulpo: Pulpo, url: str) -> None:
    assert pulpo("buried", "list", "--queue", url).err == "nothing is buried\n"
    assert pulpo("-q", "buried", "list", "--queue", url).err == ""
    assert pulpo("buried", "list", "-q", "--queue", url).err == ""


def test_tracebacks_are_for_those_who_ask(pulpo: Pulpo) -> None:
    quiet, verbose = pulpo("stats", "--queue", "nope://x"), pulpo("stats", "-vv", "--queue", "nope://x")

    assert "Traceback" not in quiet.err
    assert "Traceback" in verbose.err
    assert quiet.complaint == verbose.err.splitlines()[-1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_the_shell_that_was_named(pulpo: Pulpo, shell: str) -> None:
    outcome = pulpo("completion", shell)

    assert outcome.status == 0
    assert f"_PULPO_COMPLETE={shell}_complete" in outcome.out


def test_commands_complete(monkeypatch: pytest.MonkeyPatch, pulpo: Pulpo) -> None:
    monkeypatch.setenv("_PULPO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "pulpo bur")
    monkeypatch.setenv("COMP_CWORD", "1")

    assert pulpo().out == "plain,buried\n"


@pytest.mark.parametrize(
    ("arguments", "meant"), [(["doctr"], "doctor"), (["buried", "lst"], "list"), (["purg"], "purge")]
)
def test_a_command_that_is_not_there_is_answered_with_the_nearest(
    pulpo: Pulpo, arguments: list[str], meant: str
) -> None:
    outcome = pulpo(*arguments)

    assert outcome.status == 2
    assert f"did you mean {meant!r}?" in outcome.complaint


@pytest.mark.parametrize("command", ["peek", "stats"])
def test_options_complete_where_no_settings_say_which_queue(
    monkeypatch: pytest.MonkeyPatch, pulpo: Pulpo, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("_PULPO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"pulpo {command} --")
    monkeypatch.setenv("COMP_CWORD", "2")

    outcome = pulpo()

    assert "plain,--queue" in outcome.lines
    assert outcome.err == ""
