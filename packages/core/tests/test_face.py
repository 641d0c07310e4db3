"""The face of the package: what users and adapters import, and what importing it costs."""

import subprocess
import sys
from types import ModuleType

import pytest

import pulpo_core
import pulpo_core.testing


@pytest.mark.parametrize("name", pulpo_core.__all__)
def test_every_name_of_the_face_is_there(name):
    assert getattr(pulpo_core, name) is not None


def test_every_name_is_listed_once():
    assert len(set(pulpo_core.__all__)) == len(pulpo_core.__all__)


def test_everything_that_is_loaded_late_is_listed():
    assert set(pulpo_core._MODULE_OF) <= set(pulpo_core.__all__)


def test_no_name_of_the_testing_face_is_hidden_by_a_module_of_that_name():
    pulpo_core.testing.AdapterContract  # noqa: B018 - imports every module of the kit

    modules = {name for name in pulpo_core.testing.__all__ if isinstance(getattr(pulpo_core.testing, name), ModuleType)}
    assert modules == set()


def test_an_unknown_name_is_refused_as_any_module_does():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        pulpo_core.Nonsense  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("module", ["asyncio", "cattrs", "dependency_injector", "greenstalk", "aiobotocore", "pytest"])
def test_importing_core_leaves_alone_what_it_does_not_need_yet(module):
    code = f"import sys, pulpo_core; sys.exit({module!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
