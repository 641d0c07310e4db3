"""What runs the pages is tested too: a page that lies must fail."""

import sys
from collections.abc import Iterator

import pytest

from .commands import ROOT, checked_instead
from .compare import matches
from .console import steps_of
from .evaluation import evaluate
from .formats import file_name
from .page import Page
from .plugin import is_page


@pytest.fixture
def page() -> Iterator[Page]:
    """A page with nothing on it yet."""
    made = Page("")
    yield made
    made.close()


# ---------------------------------------------------------------------------------------------------------- comparing


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("", ""),
        ("a\n", "a"),
        ("a ... c\n", "a b b c\n"),
        ("a\n...\nd\n", "a\nb\nc\nd\n"),
        ("...\n", "whatever\nthere is\n"),
        ("...\n", ""),
        ("(a) [b]\n", "(a) [b]   \n"),
        ("id   type\n  1\n", "id         type\n      1\n"),
    ],
)
def test_three_dots_stand_for_anything(expected: str, actual: str) -> None:
    assert matches(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("", "a\n"),
        ("a\n", ""),
        ("a b\n", "ab\n"),
        ("a\n", "a\nb\n"),
        ("a ... c\n", "a b\nc\n"),
        ("a\n...\nd\n", "a\nb\n"),
        ("a.c\n", "abc\n"),
    ],
)
def test_what_differs_elsewhere_does_not_match(expected: str, actual: str) -> None:
    assert not matches(expected, actual)


# ------------------------------------------------------------------------------------------------------------ console


def test_a_command_goes_on_after_a_backslash_and_over_a_here_document() -> None:
    steps = steps_of("$ a \\\n  b\nsays c\n$ cat > f <<'EOF'\n$ no command\nEOF\n$ d\n")

    assert [step.command for step in steps] == ["a \\\n  b", "cat > f <<'EOF'\n$ no command\nEOF", "d"]
    assert [step.expected for step in steps] == ["says c\n", "", ""]


@pytest.mark.parametrize("source", ["pulpo stats\n", "says c\n$ a\n", ""])
def test_output_without_its_command_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="command"):
        steps_of(source)


def test_commands_share_variables_and_a_directory(page: Page) -> None:
    assert evaluate(page, "console", "$ export WHO=you; mkdir in; cd in\n", line=1) is None
    assert evaluate(page, "console", "$ echo $WHO; pwd\nyou\n/home/you/shop/in\n", line=5) is None


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("$ echo a\n", "--- it printed\na\n"),
        ("$ echo a\nb\n", "--- the page says\nb\n--- it printed\na\n"),
        ("$ echo oops >&2; false\noops\n", "ended with status 1"),
        ("$ true\n$ echo $?\n1\n", "--- it printed\n0\n"),
    ],
)
def test_what_a_command_does_otherwise_than_its_page_says_is_told(page: Page, source: str, complaint: str) -> None:
    assert complaint in (evaluate(page, "console", source, line=1) or "nothing")


def test_a_command_may_fail_if_the_page_shows_its_status(page: Page) -> None:
    assert evaluate(page, "console", "$ sh -c 'exit 3'\n$ echo $?\n3\n", line=1) is None


def test_no_command_reads_the_commands_that_follow(page: Page) -> None:
    assert evaluate(page, "console", "$ cat\n$ echo still here\nstill here\n", line=1) is None


def test_what_runs_in_the_background_is_awaited_stopped_and_told_to_the_end(page: Page) -> None:
    program = (
        "import signal, time\nsignal.signal(15, lambda *_: exit('bye'))\nprint('up')\nprint('more')\ntime.sleep(60)\n"
    )
    page.write("worker.py", program)

    assert evaluate(page, "console", "$ python worker.py &\nup\n$ echo on\non\n", line=1) is None
    assert evaluate(page, "console", "$ kill %1\n$ wait\nmore\nbye\n", line=9) is None


def test_what_runs_in_the_background_may_write_to_a_file(page: Page) -> None:
    source = "$ sh -c 'echo said' > log 2>&1 &\n$ wait\n$ cat log\nsaid\n"

    assert evaluate(page, "console", source, line=1) is None


def test_the_page_and_the_command_name_the_same_place_by_different_words(page: Page) -> None:
    assert evaluate(page, "console", "$ echo a > /var/spool/a; ls /var/spool/*\n/var/spool/a\n", line=1) is None
    assert (page.root / "var/spool/a").read_text() == "a\n"


def test_ports_of_a_page_are_free_ones() -> None:
    page = Page("http://127.0.0.1:8080/readyz and http://example.com:9999/")
    try:
        here = page.to_here("curl 127.0.0.1:8080 --port 8080 9999")
        assert "8080" not in here
        assert "9999" in here
        assert page.to_page(here) == "curl 127.0.0.1:8080 --port 8080 9999"
    finally:
        page.close()


def test_a_page_that_names_a_beanstalkd_finds_one() -> None:
    page = Page("beanstalkd://127.0.0.1:11300/mail")
    try:
        publish = "$ pulpo publish --queue beanstalkd://127.0.0.1:11300/mail --payload x\n1\n"
        assert evaluate(page, "console", publish, line=1) is None
    finally:
        page.close()


def test_a_page_that_names_sqs_finds_it_and_credentials() -> None:
    page = Page("sqs://mail")
    try:
        create = "$ pulpo queue create --queue sqs://mail\n...\n$ pulpo publish --queue sqs://mail --payload x\n...\n"
        assert evaluate(page, "console", create, line=1) is None
    finally:
        page.close()


# ------------------------------------------------------------------------------------------------------------- python


def test_programs_share_names_and_may_await(page: Page) -> None:
    evaluate(page, "python", "import asyncio\nawait asyncio.sleep(0)\nx = 1\n", line=1)
    evaluate(page, "python", "assert x == 1\n", line=5)


def test_what_a_program_raises_fails_at_its_line(page: Page) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        evaluate(page, "python", "x = 1\n1 / 0\n", line=10)

    assert caught.traceback[-1].lineno + 1 == 12


def test_a_program_with_a_name_is_a_module_for_programs_and_commands(page: Page) -> None:
    evaluate(page, "python", "# jobs.py\nimport attrs\n\n@attrs.frozen\nclass Email:\n    to: str\n", line=1)
    evaluate(page, "python", "import jobs\nassert jobs.Email is Email\n", line=9)

    assert evaluate(page, "console", "$ python -c 'import jobs; print(jobs.Email(1))'\nEmail(to=1)\n", line=12) is None


@pytest.mark.parametrize(("variable", "files"), [("1", "jobs.py\n"), ("", "__pycache__\njobs.py\n")])
def test_a_command_keeps_bytecode_as_its_environment_says(page: Page, variable: str, files: str) -> None:
    page.write("jobs.py", "run = print\n")
    explain = f"$ PYTHONDONTWRITEBYTECODE={variable} pulpo explain --queue memory://x --handler jobs:run\n...\n"

    assert evaluate(page, "console", f"{explain}$ ls\n{files}", line=5) is None


def test_a_module_written_again_is_imported_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for x in (1, 2, 3):  # three of one size: a second may end between two, not twice
        evaluate(page, "python", f"# jobs.py\nx = {x}\n", line=1)
        evaluate(page, "python", f"assert x == {x}\n", line=5)

    assert not sys.dont_write_bytecode


def test_the_output_of_a_session_is_compared(page: Page) -> None:
    assert evaluate(page, "pycon", ">>> 1 + 1\n2\n", line=1) is None
    assert "Got:" in (evaluate(page, "pycon", ">>> 1 + 1\n3\n", line=1) or "nothing")


# ------------------------------------------------------------------------------------------------------------- others


def test_a_language_that_nothing_tests_fails(page: Page) -> None:
    with pytest.raises(ValueError, match="'rust' are not tested"):
        evaluate(page, "rust", "fn main() {}\n", line=1)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("toml", "[pulpo\n"),
        ("json", "{'a': 1}\n"),
        ("yaml", "a: [1\n"),
        ("yaml", "containers:\n- command: [pulpo, runn]\n"),
        ("yaml", "command: [pulpo]\nargs: [run, --no-such-option]\n"),
        ("ini", "ExecStart=/usr/bin/pulpo run\n"),
        ("ini", "[Service]\nExecStart=/opt/shop/bin/pulpo run \\\n  --concurency 3\n"),
        ("dockerfile", "FORM python:3.13\n"),
        ("dockerfile", 'FROM python:3.13\nENTRYPOINT ["pulpo"]\nCMD ["runn"]\n'),
        ("sh", "if true; then\n"),
        ("text", "$ pulpo stats\n"),
        ("", "beanstalkd://host:port/x\n"),
        ("mermaid", "stateDiagram-v2\n    READY --> RESERVED\n"),
    ],
)
def test_what_is_no_such_thing_fails(page: Page, language: str, source: str) -> None:
    with pytest.raises(Exception, match=r"."):
        evaluate(page, language, source, line=1)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("json", '{"a": 1}\n{"a": 2}\n'),
        ("yaml", "command: [pulpo, run]\nargs: ['jobs:routes', '--concurrency', '${N}']\n"),
        (
            "ini",
            "[Service]\nExecStart=/opt/shop/bin/pulpo run shop:routes \\\n  --concurrency 3\nExecStart=-/bin/true\n",
        ),
        ("dockerfile", 'FROM python:3.13\nENTRYPOINT ["pulpo"]\nCMD ["run", "jobs:routes"]\n'),
        ("text", "file:///var/spool/shop.db?queue=mail\n"),
    ],
)
def test_what_is_well_formed_passes(page: Page, language: str, source: str) -> None:
    assert evaluate(page, language, source, line=1) is None


def test_a_file_that_a_block_names_is_there_for_commands(page: Page) -> None:
    evaluate(page, "toml", "# pulpo.toml\n[pulpo]\n", line=1)

    assert evaluate(page, "console", "$ ls\npulpo.toml\n", line=5) is None


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("# jobs.py", "jobs.py"),
        ("# shop/jobs.py", "shop/jobs.py"),
        ("# /etc/systemd/system/shop.service", "/etc/systemd/system/shop.service"),
        ("# Dockerfile", "Dockerfile"),
        ("# .env", ".env"),
        ("# what follows is in jobs.py", None),
        ("# It waits.", None),
        ("x = 1", None),
    ],
)
def test_a_comment_that_is_nothing_but_a_path_names_a_file(line: str, name: str | None) -> None:
    assert file_name(f"{line}\nmore\n") == name


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("pip install pulpo-core 'pulpo-cli[tui]'", None),
        ("pip install pulpo-kafka", "there is no distribution pulpo-kafka"),
        ("pip install pulpo-cli[webb]", "pulpo-cli has no extra 'webb'"),
        ("./dev test -k lease", None),
        ("./dev tset", "./dev has no task 'tset'"),
        ("docker compose up", None),
    ],
)
def test_of_what_cannot_run_here_as_much_is_checked_as_can_be(command: str, complaint: str | None) -> None:
    check = checked_instead(command)

    assert check is not None
    told = check(command)
    assert told == complaint or (complaint and told and told.startswith(complaint))


def test_pulpo_itself_is_never_left_out() -> None:
    assert checked_instead("pulpo run jobs:routes") is None


def test_the_pages_of_the_repository_are_pages() -> None:
    for name in ("README.md", "docs/how-to/file.md", "packages/adapter-sqs/README.md", "CONTRIBUTING.md"):
        assert is_page(ROOT / name) == (ROOT / name).exists()
    assert not is_page(ROOT / "packages/core/src/README.md")
