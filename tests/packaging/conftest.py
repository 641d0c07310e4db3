"""The distributions as they are published: built once for all tests of this folder."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
UV = os.environ.get("UV", "uv")  # `uv run` tells its own path


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run *command* and return what it printed; the test fails with its error output if it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every member built by `uv build`, by the name of its distribution."""
    dist = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--all-packages", "--wheel", "--out-dir", dist)
    return {path.name.split("-")[0].replace("_", "-"): path for path in dist.glob("*.whl")}
