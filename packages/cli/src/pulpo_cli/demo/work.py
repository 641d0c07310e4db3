"""The handlers of the demo: one that computes and sometimes fails, one that writes down what came of it."""

from __future__ import annotations

import ast
import zlib
from pathlib import Path
from typing import Final

import attrs

from pulpo_core import FIRST_PRIORITY, Bury, Delivery, Handlers, Message

from .book import Book, Facts
from .sources import SourceFile

#: One file in so many fails at first, chosen by its name: the same ones in every run.
_FLAKY: Final = 40

#: Fields of the syntax tree that hold statements. Functions and classes are nowhere else.
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")


class TemporaryTrouble(Exception):
    """Something that passes by itself, as networks do: the policy retries with backoff."""


def handlers(book: Book) -> Handlers:
    """The handlers, writing into *book*."""
    registry = Handlers()
    registry.add("parse", parse)

    @registry("count")
    async def count(facts: Facts) -> None:
        book.add(facts)

    return registry


def parse(file: SourceFile, delivery: Delivery) -> Message | Bury:
    """Read and parse one file; what is in it goes on as a message of its own, in one step with the acknowledgement."""
    if delivery.attempt <= failures_of(file.path):
        raise TemporaryTrouble("the disk is busy (not really: this file fails on purpose)")
    source = Path(file.path).read_bytes()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Bury("not-python", error=f"{file.path}{_line_of(error)}: {_words_of(error)}")
    facts = facts_of(file, source, tree)
    return Message(request_type="count", body=attrs.asdict(facts), priority=FIRST_PRIORITY)


def failures_of(path: str) -> int:
    """How often parsing *path* is made to fail before it succeeds."""
    number = zlib.crc32(Path(path).name.encode())
    if number % _FLAKY:
        return 0
    return 1 + (number // _FLAKY) % 2


def facts_of(file: SourceFile, source: bytes, tree: ast.Module) -> Facts:
    """Count what is in *tree*."""
    functions = classes = 0
    left: list[ast.AST] = [tree]
    while left:
        statement = left.pop()
        functions += isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        classes += isinstance(statement, ast.ClassDef)
        for name in _BLOCKS:
            block = getattr(statement, name, None)
            if isinstance(block, list):  # of a lambda and a conditional expression they are single expressions
                left += block
    lines = source.count(b"\n") + (not source.endswith(b"\n") and bool(source))
    return Facts(path=file.path, package=file.package, lines=lines, functions=functions, classes=classes)


def _line_of(error: BaseException) -> str:
    return f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""


def _words_of(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
