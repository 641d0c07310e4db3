"""Console blocks: commands, and what they print."""

import re
from collections.abc import Callable, Iterator

import attrs

from .commands import Check, checked_instead
from .compare import length_of_match, matches
from .page import Page

_HERE_DOCUMENT = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


@attrs.frozen
class Step:
    """A command, and what the page says that it prints."""

    command: str
    expected: str

    @property
    def in_background(self) -> bool:
        """Whether the page goes on while it runs."""
        return self.command.endswith("&") and not self.command.endswith("&&")


def steps_of(source: str) -> list[Step]:
    """The commands of a console block.

    Raises:
        ValueError: it has none, or begins with something else.
    """
    lines = iter(source.splitlines())
    steps: list[Step] = []
    for line in lines:
        if line.startswith("$ "):
            steps.append(Step(_command(line[2:], lines), ""))
        elif steps:
            steps[-1] = attrs.evolve(steps[-1], expected=f"{steps[-1].expected}{line}\n")
        elif line.strip():
            raise ValueError(f"output without a command: {line!r}; a command begins with '$ '")
    if not steps:
        raise ValueError("a console block without a command, which begins with '$ '; output alone is text")
    return [
        attrs.evolve(step, expected=step.expected.rstrip("\n") + "\n" if step.expected.strip() else "")
        for step in steps
    ]


def _command(first: str, lines: Iterator[str]) -> str:
    command = [first.rstrip()]
    while command[-1].endswith("\\"):
        command.append(next(lines))
    if found := _HERE_DOCUMENT.search(command[-1]):
        while command[-1].strip() != found[1]:
            command.append(next(lines))
    return "\n".join(command)


def run_console(page: Page, source: str, *, instead: Callable[[str], Check | None] = checked_instead) -> str | None:
    """Run a console block; `None` if all is as it says, else what is not.

    Args:
        instead: what is checked instead of running a command, if anything is.
    """
    steps = steps_of(source)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        tells_status = following is not None and following.command.startswith("echo $?")
        check = instead(step.command)
        complaint = check(step.command) if check else _run(page, step, may_fail=tells_status)
        if complaint:
            return f"$ {step.command}\n{complaint}"
    return None


def _run(page: Page, step: Step, *, may_fail: bool) -> str | None:
    if step.in_background:
        return _start(page, step)
    try:
        ran = page.shell.run(page.to_here(step.command))
    except TimeoutError as error:
        return str(error)
    printed = page.to_page(ran.output)
    if ran.status and not may_fail:
        return f"ended with status {ran.status}; if it must, show it by '$ echo $?'. It printed:\n{printed}"
    return None if matches(step.expected, printed) else _difference(step.expected, printed)


def _start(page: Page, step: Step) -> str | None:
    background = page.shell.start(page.to_here(step.command))
    if background.until(lambda news: length_of_match(page.to_here(step.expected), news)):
        return None
    return _difference(step.expected, page.to_page(background.news))


def _difference(expected: str, printed: str) -> str:
    return f"--- the page says\n{expected}--- it printed\n{printed}---"
