"""Python blocks: programs, modules with a name, and sessions."""

import ast
import doctest
import importlib
import inspect
import io
from pathlib import PurePosixPath

from .formats import file_name
from .page import Page

_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_python(page: Page, source: str, *, line: int) -> None:
    """Run a python block that begins after *line* of its page; what it raises is raised."""
    name = file_name(source)
    if name is None:
        _run_program(page, source, line=line)
    else:
        _import(page, name, source)


def _run_program(page: Page, source: str, *, line: int) -> None:
    text = "\n" * line + page.to_here(source)  # so that a traceback names the line of the page
    code = compile(text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with page.lived_in():
        running = eval(code, vars(page.module))
        if inspect.iscoroutine(running):
            page.runner.run(running)


def _import(page: Page, name: str, source: str) -> None:
    path = page.write(name, source)
    compile(source, str(path), "exec")
    module = PurePosixPath(name).with_suffix("")
    if module.name.startswith("test_") or module.name == "conftest":
        return  # pytest imports it, if the page says so
    with page.lived_in():
        page.forget_modules()
        imported = importlib.import_module(".".join(module.parts))
    vars(page.module).update({key: value for key, value in vars(imported).items() if not key.startswith("__")})


def run_session(page: Page, source: str, *, line: int) -> str | None:
    """Run a block of ``>>>`` lines; `None` if it prints what it says, else what is not."""
    test = doctest.DocTestParser().get_doctest(page.to_here(source), vars(page.module), "page", "page", line)
    told = io.StringIO()
    with page.lived_in():
        failed, _ = doctest.DocTestRunner(optionflags=_OPTIONS).run(test, out=told.write, clear_globs=False)
    return page.to_page(told.getvalue()) if failed else None
