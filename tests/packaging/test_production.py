"""The page to production, followed word for word: from built wheels, by an ordinary user, in an empty home."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import run_console
from tests.docs.formats import file_name
from tests.docs.page import Page
from tests.docs.plugin import FOLLOWED_ELSEWHERE, SYBIL
from tests.docs.shell import Shell

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]

#: Who follows the page where the tests run as root: nobody.
ORDINARY = 65534 if os.geteuid() == 0 else None


class Follower(Page):
    """A page in the hands of somebody who has Python, the package index and the wheels, and nothing else."""

    def __init__(self, text: str, wheels: list[Path]) -> None:
        super().__init__(text)
        shutil.rmtree(self.folder)  # the page makes it
        (self.root / "wheels").mkdir()
        for wheel in wheels:
            shutil.copy(wheel, self.root / "wheels")
        self._own(self.root, *self.root.rglob("*"))
        (self.programs / "python3").symlink_to(python_for_everybody(self.root))

    @property
    def environment(self) -> dict[str, str]:  # type: ignore[override]  # there it is kept, here it is not needed twice
        ours = ("PYTHONPATH", "VIRTUAL_ENV", "UV", "COVERAGE")
        kept = {name: value for name, value in super().environment.items() if not name.startswith(ours)}
        return {**kept, "PIP_FIND_LINKS": str(self.root / "wheels"), "PIP_NO_CACHE_DIR": "1"}

    def _more_programs(self) -> list[Path]:
        return []

    def open_shell(self) -> Shell:
        return Shell(self.root, self.environment, logs=self.root, user=ORDINARY, patience=120)

    def write(self, name: str, source: str) -> Path:
        path = super().write(name, source)
        self._own(path)
        return path

    @staticmethod
    def _own(*paths: Path) -> None:
        for path in paths if ORDINARY is not None else ():
            os.chown(path, ORDINARY, ORDINARY)


def python_for_everybody(folder: Path) -> Path:
    """A Python that an ordinary user can run, and that can make environments."""
    found = [sys.executable, *(shutil.which(f"python3{minor}", path="/usr/local/bin:/usr/bin") for minor in MINORS)]
    for program in (Path(each).resolve() for each in found if each):
        command = [program, "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
        try:
            done = subprocess.run(command, cwd=folder, user=ORDINARY, capture_output=True, check=False)
        except PermissionError:
            continue
        if done.returncode == 0:
            return program
    pytest.fail("no Python that an ordinary user can run makes environments: apt-get install python3-venv")


MINORS = ("", ".11", ".12", ".13", ".14", ".15")


@pytest.fixture(params=FOLLOWED_ELSEWHERE, ids=lambda path: path.stem)
def page(request: pytest.FixtureRequest, wheels: dict[str, Path]) -> Iterator[tuple[Path, Follower]]:
    """A page, and who follows it."""
    follower = Follower(request.param.read_text(), list(wheels.values()))
    yield request.param, follower
    follower.close()


def test_whoever_follows_the_page_gets_there(page: tuple[Path, Follower]) -> None:
    path, follower = page
    for example in SYBIL.parse(path):
        block = example.parsed
        if block.language == "console":
            complaint = run_console(follower, block.source, instead=lambda _: None)
            assert complaint is None, f"{path.name}:{example.line}: {complaint}"
        else:
            name = file_name(block.source)
            assert name, f"{path.name}:{example.line}: a block that neither is run nor names its file"
            follower.write(name, block.source)
