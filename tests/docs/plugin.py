"""Collects the pages: pytest runs `docs/how-to/file.md` as it runs any file of tests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from sybil import Document, Example, Region, Sybil
from sybil.integration.pytest import SybilFile
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from .commands import ROOT

#: Every page, as patterns from the root of the repository.
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", "packages/*/README.md")

#: Pages that take a whole machine: they are followed from built wheels, by tests/packaging.
FOLLOWED_ELSEWHERE = frozenset({ROOT / "docs/how-to/production.md"})

_INFO = re.compile(r"[ \t]*(?P<language>[^\s{]*)[^\n]*\n")


@attrs.frozen
class Block:
    """A fenced block: what its language is, what is in it, and the line of its page on which its fence stands."""

    language: str
    source: str


def _blocks(document: Document) -> Iterator[Region]:
    for region in RawFencedCodeBlockLexer(_INFO)(document):
        block = Block(region.lexemes["language"], region.lexemes["source"])
        yield Region(region.start, region.end, parsed=block, evaluator=_evaluate)


def _evaluate(example: Example) -> str | None:
    from .evaluation import evaluate  # a run without pages need not wait for what they need
    from .page import Page

    if "page" not in example.namespace:
        example.namespace["page"] = Page(example.document.text, example=_example_of(Path(example.path)))
    page = example.namespace["page"]
    if page.broken:
        pytest.skip("a block before this one has failed")
    page.broken = True
    complaint = evaluate(page, example.parsed.language, example.parsed.source, line=example.line)
    page.broken = complaint is not None
    return complaint


def _example_of(path: Path) -> Path | None:
    """The folder of the example whose read-me the page is, so that its reader stands in it."""
    return path.parent if path.parent.parent == ROOT / "examples" else None


def _close(namespace: dict[str, Any]) -> None:
    if page := namespace.pop("page", None):
        page.close()


SYBIL = Sybil(parsers=[_blocks], teardown=_close)


def is_page(path: Path) -> bool:
    """Whether the blocks of the file at *path* run."""
    known = path.suffix == ".md" and any(path in ROOT.glob(pattern) for pattern in PAGES)
    return known and path not in FOLLOWED_ELSEWHERE


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SybilFile | None:
    """Collect a page."""
    return SybilFile.from_parent(parent, path=file_path, sybils=[SYBIL]) if is_page(file_path) else None
