"""The five distributions as a user gets them: built, installed by plain pip into an empty environment, imported.

The other tests run on editable installs, where a missing file, an undeclared dependency or a stale version goes unseen.
"""

import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

from .conftest import ROOT, UV, run

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]

MEMBERS = {
    "pulpo-core": "pulpo_core",
    "pulpo-adapter-file": "pulpo_adapter_file",
    "pulpo-adapter-beanstalkd": "pulpo_adapter_beanstalkd",
    "pulpo-adapter-sqs": "pulpo_adapter_sqs",
    "pulpo-cli": "pulpo_cli",
}

LOAD_ENTRY_POINTS = """
from importlib.metadata import entry_points
names = []
for group in ("pulpo.adapters", "console_scripts"):
    for point in entry_points(group=group):
        if point.value.startswith("pulpo_"):
            point.load()
            names.append(point.name)
print(*sorted(names))
"""

IMPORT_CORE_ALONE = """
import sys
import pulpo_core
drivers = {"aiobotocore", "botocore", "click", "dependency_injector", "greenstalk", "structlog", "typed_settings"}
print(*sorted(drivers & sys.modules.keys()))
"""


def metadata(wheel: Path) -> Message:
    """Return the core metadata inside *wheel*."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


class Environment:
    """An empty virtual environment that sees the built wheels and the package index, nothing else."""

    def __init__(self, path: Path, wheels: Path) -> None:
        self.path, self.wheels = path, wheels
        run(UV, "venv", "--seed", "--quiet", "--no-project", "--python", sys.executable, path)

    def install(self, *requirements: str) -> None:
        """Install by plain pip."""
        run(self.path / "bin/python", "-m", "pip", "install", "--quiet", "--find-links", self.wheels, *requirements)

    def python(self, code: str) -> str:
        """Run *code* away from the checkout and return what it printed, stripped."""
        return run(self.path / "bin/python", "-W", "error", "-c", code, cwd=self.path).strip()


@pytest.fixture
def environment(wheels: dict[str, Path], tmp_path: Path) -> Environment:
    """An environment with nothing installed yet."""
    return Environment(tmp_path / "venv", wheels["pulpo-core"].parent)


def test_every_member_builds(wheels: dict[str, Path]) -> None:
    assert wheels.keys() == MEMBERS.keys()


@pytest.mark.parametrize(("distribution", "module"), MEMBERS.items())
def test_a_wheel_carries_types_licence_and_readme(wheels: dict[str, Path], distribution: str, module: str) -> None:
    with zipfile.ZipFile(wheels[distribution]) as archive:
        files = archive.namelist()
        (licence,) = (name for name in files if name.endswith(".dist-info/licenses/LICENSE"))

        assert f"{module}/py.typed" in files
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert {name.split("/")[0] for name in files} == {module, licence.split("/")[0]}
    assert metadata(wheels[distribution]).get_payload()


def test_all_have_one_version_and_ask_for_each_other_within_it(wheels: dict[str, Path]) -> None:
    versions = {metadata(wheel)["Version"] for wheel in wheels.values()}
    assert len(versions) == 1
    major, minor, _ = next(iter(versions)).split(".")
    bounds = f">={major}.{minor},<{major}.{int(minor) + 1}"

    for wheel in wheels.values():
        for requirement in metadata(wheel).get_all("Requires-Dist", []):
            if requirement.startswith("pulpo-"):
                assert requirement.endswith(bounds), f"{wheel.name}: {requirement}"


def test_every_direct_dependency_has_a_lower_bound() -> None:
    for project in [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]:
        tables = tomllib.loads(project.read_text())
        groups = [
            *tables["project"].get("optional-dependencies", {}).values(),
            *tables.get("dependency-groups", {}).values(),
        ]
        if project.parent != ROOT:
            groups.append(tables["project"]["dependencies"])
        for requirement in (item for group in groups for item in group if isinstance(item, str)):
            assert ">=" in requirement, f"{project}: {requirement}"


def test_the_lock_knows_one_index() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]

    assert len({package["source"]["registry"] for package in packages if "registry" in package["source"]}) == 1


def test_core_alone_imports_no_driver(environment: Environment) -> None:
    environment.install("pulpo-core")

    assert environment.python(IMPORT_CORE_ALONE) == ""
    assert environment.python(LOAD_ENTRY_POINTS) == "memory"


def test_an_adapter_brings_core_and_its_scheme(environment: Environment) -> None:
    environment.install("pulpo-core", "pulpo-adapter-file")

    assert environment.python(LOAD_ENTRY_POINTS) == "file memory"


def test_the_command_works_once_installed(environment: Environment) -> None:
    environment.install("pulpo-cli")

    assert environment.python(LOAD_ENTRY_POINTS) == "file memory pulpo"
    assert "0.1" in run(environment.path / "bin/pulpo", "--version", cwd=environment.path)


@pytest.mark.parametrize("name", ["beanstalkd", "sqs"])
def test_the_other_adapters_load_with_their_driver(environment: Environment, name: str) -> None:
    environment.install(f"pulpo-adapter-{name}")

    assert environment.python(LOAD_ENTRY_POINTS) == " ".join(sorted(["memory", name]))
