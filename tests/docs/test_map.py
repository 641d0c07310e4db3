"""ARCHITECTURE.md is a map: what it names is there, and no module of core is missing on it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "ARCHITECTURE.md").read_text()
CORE = ROOT / "packages/core/src/pulpo_core"

#: A path as the table has it, and the name in front of it, if one is given.
PLACES = re.findall(r"(?:`(\w+)`(?: of| in|:)* )?`((?:core|cli|adapter-\w+)/[\w/]*(?:\.py)?)`", MAP)


def place(path):
    distribution, _, inside = path.partition("/")
    return ROOT / "packages" / distribution / "src" / f"pulpo_{distribution.replace('-', '_')}" / inside


def section(title):
    return MAP.partition(f"## {title}")[2].partition("\n## ")[0]


def test_the_map_has_places():
    assert len(PLACES) > 40


@pytest.mark.parametrize("path", sorted({path for _, path in PLACES}))
def test_every_place_on_the_map_is_there(path):
    assert place(path).exists()


@pytest.mark.parametrize(("name", "path"), sorted({(name, path) for name, path in PLACES if name}))
def test_every_name_on_the_map_is_in_its_place(name, path):
    assert re.search(rf"^\s*(?:(?:async )?def |class )?{name}\b", place(path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_every_module_of_core_is_on_the_map(layer):
    modules = {path.stem for path in (CORE / layer).glob("*.py")} - {"__init__"}

    assert modules <= set(re.findall(r"`(\w+)`", section("The modules")))


@pytest.mark.parametrize("package", sorted(path.name for path in (ROOT / "packages").glob("adapter-*")))
def test_every_adapter_has_the_files_that_all_of_them_have(package):
    shared = re.findall(r"`(\w+)`", section("The modules").partition("same file names")[2].partition("Beside them")[0])

    assert [name for name in shared if not place(f"{package}/{name}.py").exists()] == []
