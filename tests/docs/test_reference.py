"""The reference pages say what the code says."""

import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pulpo_core
from docs.generate import PAGES, REFERENCE, generated
from docs.generate.markdown import attributes, table
from pulpo_cli import errors
from pulpo_core import TRANSITIONS, State
from pulpo_core.testing import CLAUSES

ROOT = Path(__file__).resolve().parents[2]


def test_committed_pages_are_what_would_be_written_now():
    program = "from docs.generate import outdated; print(*(path.name for path in outdated()))"
    # In a process of its own: other tests change what the command line knows of its terminal.
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.split() == [], "run `./dev docs`, or python -m docs.generate, and commit"


def test_no_page_is_there_that_nobody_writes():
    written = {REFERENCE / name for name in PAGES}
    made = {path for path in REFERENCE.rglob("*.md") if path.read_text().startswith("<!-- Made by")}

    assert made <= written


def test_every_public_name_has_its_place():
    pages = [text for path, text in generated().items() if path.parent.name == "api"]
    named = re.findall(r"^::: pulpo_core\.(\w+)$", "\n".join(pages), re.MULTILINE)

    assert sorted(named) == sorted(pulpo_core.__all__)


def test_every_clause_is_told():
    page = generated()[REFERENCE / "contract.md"]

    assert sorted(re.findall(r"^\| `(C\d{3})`", page, re.MULTILINE)) == [clause.id for clause in CLAUSES]


def test_the_drawing_of_a_life_has_every_state_and_every_move_and_each_can_be_read():
    texts = list(
        ElementTree.fromstring(generated()[REFERENCE / "lifecycle.svg"]).iter("{http://www.w3.org/2000/svg}text")
    )

    events = [event for _, event in TRANSITIONS]
    assert Counter(text.text for text in texts) == Counter([*State, *events, "published", "at once", "with a delay"])
    boxes = [(float(text.attrib["x"]), float(text.attrib["y"]), 4 * len(text.text or "")) for text in texts]
    for (x1, y1, half1), (x2, y2, half2) in combinations(boxes, 2):
        assert abs(x1 - x2) > half1 + half2 or abs(y1 - y2) > 14


def test_every_exit_status_is_told():
    statuses = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}

    assert set(errors.MEANINGS) == statuses


@pytest.mark.parametrize("name", [name for name in PAGES if not name.startswith("api/")])
def test_no_cell_of_a_table_breaks_it(name):
    widths = None
    for line in PAGES[name]().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert cells is None or widths in {None, cells}, line
        widths = cells


def test_what_a_docstring_says_about_attributes_is_read():
    class Documented:
        """A thing.

        Attributes:
            one: the first,
                told on two lines.
            two, three: both; ``None`` for neither.

        More.
        """

    both = "both; `None` for neither."
    assert attributes(Documented) == {"one": "the first, told on two lines.", "two": both, "three": both}


def test_a_cell_cannot_end_its_table():
    assert table(("a",), [("x | y\n\nz",)]) == "| a |\n| --- |\n| x \\| y z |\n"
