"""Whether output is what a page says: text in which ``...`` stands for anything, and blanks for any blanks."""

import re

ANYTHING = "..."


def pattern_of(expected: str) -> str:
    """The regular expression of *expected*, in which ``...`` elides: within a line, or lines where it stands alone."""
    parts = [_of_line(line.rstrip()) for line in expected.splitlines()]
    return "".join(parts)


def _of_line(line: str) -> str:
    if line.strip() == ANYTHING:
        return r"(?:[^\n]*\n)*?"
    return r"[^\n]*?".join(_of_part(part) for part in line.split(ANYTHING)) + r"[ \t]*\n"


def _of_part(part: str) -> str:
    """Columns of a table are as wide as what is in them, which a page cannot know."""
    return r"[ \t]+".join(re.escape(word) for word in re.split(r"[ \t]+", part))


def matches(expected: str, actual: str) -> bool:
    """Whether *actual* is all that *expected* says, and nothing else."""
    return re.fullmatch(pattern_of(expected), _ended(actual)) is not None


def length_of_match(expected: str, actual: str) -> int | None:
    """How much of *actual*, from its start, is what *expected* says; `None` if its start is something else."""
    found = re.match(pattern_of(expected), actual)
    return found.end() if found else None


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"
