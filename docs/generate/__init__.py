"""The reference pages, made of the code that they are about.

``python -m docs.generate`` writes them to `docs/reference/`, ``./dev docs`` calls it before it builds the site, and a
test holds the committed pages to what it would write now. A page is a function that returns Markdown, or a drawing;
`PAGES` says under which name. What a page says about a class, a clause or an option is said there, in its docstring or
help: when a page reads badly, mend that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from . import adapters, api, cli, contract, decisions, diagram, events, policy, predecessors, settings, statuses

REFERENCE: Final = Path(__file__).parent.parent / "reference"

_NOTE: Final = "<!-- Made by `python -m docs.generate` from the code: change that, not this. -->\n\n"

#: Pages by their path below `REFERENCE`.
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "cli.md": cli.page,
    "exit-statuses.md": statuses.page,
    "settings.md": settings.page,
    "predecessors.md": predecessors.page,
    "policy.md": policy.decisions,
    "lifecycle.md": policy.lifecycle,
    "lifecycle.svg": diagram.lifecycle,
    "capabilities.md": adapters.capabilities,
    "queue-urls.md": adapters.urls,
    "contract.md": contract.page,
    "events.md": events.page,
    "../explanation/decisions.md": decisions.page,
    **api.PAGES,
}


def generated() -> dict[Path, str]:
    """What each page should hold, by its path."""
    return {REFERENCE / name: _NOTE + page().rstrip() + "\n" for name, page in PAGES.items()}


def outdated() -> list[Path]:
    """The pages that do not hold what they should."""
    return [path for path, text in generated().items() if not path.exists() or path.read_text() != text]


def write() -> list[Path]:
    """Write the pages that do not hold what they should; which ones."""
    changed = outdated()
    texts = generated()
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path])
    return changed
