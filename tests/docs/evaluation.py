"""What becomes of a block, by its language."""

from .console import run_console
from .formats import FORMATS, file_name
from .page import Page
from .programs import run_python, run_session


def evaluate(page: Page, language: str, source: str, *, line: int) -> str | None:
    """Run or check a block; `None` if it is as it says, else what is not. What a program raises is raised.

    Raises:
        ValueError: nothing is known about the language, or what is in it is not written in it.
    """
    match language:
        case "python":
            run_python(page, source, line=line)
            return None
        case "pycon":
            return run_session(page, source, line=line)
        case "console":
            return run_console(page, source)
    if language not in FORMATS:
        known = ", ".join(sorted({"python", "pycon", "console", *FORMATS} - {""}))
        raise ValueError(f"blocks in {language!r} are not tested, so that they may lie; tested are {known}")
    FORMATS[language](source)
    if name := file_name(source):
        page.write(name, source)
    return None
