"""A release: versions in step, the changelog gathered, distributions checked."""

import os
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import pytest

from release.__main__ import copy_to
from release.changelog import kind_of, section, with_section
from release.tree import current, fragments, members, prepare
from release.version import Version, moved
from release.wheels import DISTRIBUTIONS, complaints

ROOT = Path(__file__).resolve().parent.parent.parent
DAY = date(2026, 12, 1)

CHANGELOG = """# Changelog

What is merged is in changelog.d.

## 0.2.0 – not yet released

Soon.

## 0.1.0 – 2026-11-01

The first version.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of two distributions with two changes."""
    for name, needs in {"core": "attrs>=25", "cli": "pulpo-core[config]>=0.1,<0.2"}.items():
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "pyproject.toml").write_text(
            f'[project]\nname = "pulpo-{name}"\nversion = "0.1.3"\ndependencies = ["{needs}"]\n'
        )
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").write_text("One file for each change.\n")
    (tmp_path / "changelog.d" / "moves.added.md").write_text("`pulpo move`\nmoves.\n")
    (tmp_path / "changelog.d" / "a-hang.fixed.md").write_text("A hang.\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


# ----------------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("text", ["1", "1.2", "1.2.3.4", "v1.2.3", "1.2.03", "1.2.3rc1", ""])
def test_a_version_is_three_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        Version.parse(text)


def test_versions_are_compared_as_numbers() -> None:
    assert Version.parse("0.10.0") > Version.parse("0.9.9")


def test_bounds_move_with_the_version_and_other_dependencies_do_not() -> None:
    project = 'version = "0.1.3"\ndependencies = ["pulpo-core[config]>=0.1,<0.2", "attrs>=25", "x>=0.1,<0.2"]\n'

    assert moved(project, Version(0, 2, 0)) == (
        'version = "0.2.0"\ndependencies = ["pulpo-core[config]>=0.2,<0.3", "attrs>=25", "x>=0.1,<0.2"]\n'
    )


# ---------------------------------------------------------------------------------------------------------- changelog


def test_a_section_has_its_entries_by_kind() -> None:
    made = section(Version(0, 2, 0), DAY, {"b.fixed.md": "A hang.\n", "a.added.md": "`pulpo move`\nmoves.\n"})

    assert made == "## 0.2.0 – 2026-12-01\n\n### Added\n\n- `pulpo move`\n  moves.\n\n### Fixed\n\n- A hang.\n"


def test_a_section_takes_the_place_of_its_announcement() -> None:
    changed = with_section(CHANGELOG, "## 0.2.0 – 2026-12-01\n", Version(0, 2, 0))

    assert "Soon" not in changed
    assert changed.index("0.2.0 – 2026-12-01") < changed.index("0.1.0 – 2026-11-01")
    assert changed.startswith("# Changelog\n\nWhat is merged is in changelog.d.\n")


def test_a_released_version_is_not_released_again() -> None:
    with pytest.raises(ValueError, match=r"0\.1\.0 is in CHANGELOG\.md already"):
        with_section(CHANGELOG, "…", Version(0, 1, 0))


@pytest.mark.parametrize("name", ["moves.md", "moves.news.md", "moves.fixed.txt"])
def test_a_fragment_says_its_kind(name: str) -> None:
    with pytest.raises(ValueError, match="with a kind of added, changed, fixed, removed, contract"):
        kind_of(name)


def test_the_fragments_of_this_repository_all_say_their_kind() -> None:
    assert all(kind_of(path.name) for path in ROOT.glob("changelog.d/*.md") if path.name != "README.md")


# ----------------------------------------------------------------------------------------------------------- checkout


def test_all_distributions_move_together_and_the_fragments_are_used_up(checkout: Path) -> None:
    told = prepare(checkout, Version(0, 2, 0), DAY)

    assert current(checkout) == Version(0, 2, 0)
    assert '"pulpo-core[config]>=0.2,<0.3"' in (checkout / "packages/cli/pyproject.toml").read_text()
    assert told in (checkout / "CHANGELOG.md").read_text()
    assert [path.name for path in (checkout / "changelog.d").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("version", "complaint"),
    [("0.1.2", "behind the current version 0.1.3"), ("0.1.0", "behind"), ("0.0.9", "behind")],
)
def test_a_refused_release_changes_nothing(checkout: Path, version: str, complaint: str) -> None:
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}

    with pytest.raises(ValueError, match=complaint):
        prepare(checkout, Version.parse(version), DAY)

    assert before == {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}


def test_without_a_change_there_is_no_release(checkout: Path) -> None:
    for name in fragments(checkout):
        (checkout / "changelog.d" / name).unlink()

    with pytest.raises(ValueError, match="nothing has changed"):
        prepare(checkout, Version(0, 2, 0), DAY)


def test_distributions_with_several_versions_are_no_start(checkout: Path) -> None:
    project = checkout / "packages/cli/pyproject.toml"
    project.write_text(project.read_text().replace("0.1.3", "0.1.4"))

    with pytest.raises(ValueError, match=r"several versions: 0\.1\.3, 0\.1\.4"):
        current(checkout)


def test_the_distributions_of_this_repository_have_one_version() -> None:
    assert len(members(ROOT)) == len(DISTRIBUTIONS)
    assert current(ROOT)


# ------------------------------------------------------------------------------------------------------------- wheels


def write_wheel(
    dist: Path, *, name: str, version: str = "0.2.0", needs: str = "attrs>=25", readme: str = "What it is.\n"
) -> None:
    """Write something that passes for a wheel, and a source distribution beside it."""
    module = name.replace("-", "_")
    metadata = f"Name: {name}\nVersion: {version}\nRequires-Dist: {needs}\n\n{readme}"
    with zipfile.ZipFile(dist / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}/py.typed", "")
        archive.writestr(f"{module}-{version}.dist-info/METADATA", metadata)
        archive.writestr(f"{module}-{version}.dist-info/licenses/LICENSE", "MIT")
    (dist / f"{module}-{version}.tar.gz").touch()


def test_five_good_wheels_are_fit(tmp_path: Path) -> None:
    for name in DISTRIBUTIONS:
        write_wheel(tmp_path, name=name, needs="pulpo-core>=0.2,<0.3")

    assert list(complaints(tmp_path, Version(0, 2, 0))) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"version": "0.1.0"}, "its version is 0.1.0"),
        ({"needs": "pulpo-core>=0.1,<0.2"}, "asks for pulpo-core>=0.1,<0.2, not within >=0.2,<0.3"),
        ({"readme": ""}, "no read-me"),
        ({"readme": "See [there](docs/there.md)."}, "links to docs/there.md"),
    ],
)
def test_what_is_not_fit_is_named(tmp_path: Path, wrong: dict[str, str], complaint: str) -> None:
    for name in DISTRIBUTIONS - {"pulpo-cli"}:
        write_wheel(tmp_path, name=name)
    write_wheel(tmp_path, name="pulpo-cli", **wrong)

    assert any("pulpo_cli" in each and complaint in each for each in complaints(tmp_path, Version(0, 2, 0)))


def test_a_distribution_that_was_not_built_is_missed(tmp_path: Path) -> None:
    for name in DISTRIBUTIONS - {"pulpo-adapter-sqs"}:
        write_wheel(tmp_path, name=name)

    [told] = complaints(tmp_path, Version(0, 2, 0))
    assert told.startswith("expected wheels of ")
    assert "pulpo-adapter-sqs" not in told.partition("found")[2]


@pytest.mark.packaging
@pytest.mark.timeout(300)
def test_a_release_of_this_repository_can_be_made(tmp_path: Path) -> None:
    now = current(ROOT)
    copy_to(tmp_path)
    (tmp_path / "changelog.d" / "a-test.fixed.md").write_text("There is a change even right after a release.\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)

    done = subprocess.run(
        [sys.executable, "-m", "release", f"{now.major}.{now.minor + 1}.0", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "UV": os.environ.get("UV", "uv")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"## {now.major}.{now.minor + 1}.0 – " in done.stdout
    assert "dry run" in done.stderr
    assert "- There is a change" in done.stdout
    assert current(tmp_path) == now
