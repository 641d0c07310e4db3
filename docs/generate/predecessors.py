"""What loafer and pulpo-messaging called their settings."""

from __future__ import annotations

from pulpo_core.config import PREDECESSOR_ROUTE, TRANSLATIONS, Translation

from .markdown import code, paragraphs, table


def page() -> str:
    """The settings of each predecessor beside those of pulpo."""
    return paragraphs(
        "# Settings of predecessors",
        "`pulpo run --legacy-config FILE` takes these over as they are, and says for each what it is now:"
        " pulpo-messaging's"
        " JSON, and `LOAFER_…` in a `.env`, `.cfg`, `.ini` or Python file or, with `--legacy-config env`, in the"
        f" environment. `{PREDECESSOR_ROUTE}` is the name of the route, unless loafer's settings give it another.",
        *(_section(name) for name in ("loafer", "pulpo-messaging")),
    )


def _section(name: str) -> str:
    rows = [_row(each) for each in TRANSLATIONS if each.of == name]
    return paragraphs(f"## {name}", table((f"in {name}", "in `pulpo.toml`, under `[pulpo]`", "note"), rows))


def _row(translation: Translation) -> tuple[str, str, str]:
    return code(translation.old), code(translation.new) if translation.new else "–", translation.note
