"""One tree of errors: programs act on the class and its flags."""

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

from pulpo_core.domain import errors
from pulpo_core.domain.errors import (
    AdapterError,
    ApplicationError,
    ConfigurationError,
    HandlerCrashed,
    HandlerError,
    InvalidMessage,
    InvalidURL,
    LeaseLost,
    MessageNotFound,
    MessageTooLarge,
    NoRoute,
    PermissionDenied,
    PulpoError,
    QueueNotFound,
    TranslationError,
    Unavailable,
    UnknownScheme,
    Unsupported,
)

PARENTS = {
    ConfigurationError: PulpoError,
    UnknownScheme: ConfigurationError,
    InvalidURL: ConfigurationError,
    QueueNotFound: ConfigurationError,
    PermissionDenied: ConfigurationError,
    HandlerError: ConfigurationError,
    ApplicationError: ConfigurationError,
    TranslationError: PulpoError,
    InvalidMessage: PulpoError,
    NoRoute: PulpoError,
    HandlerCrashed: PulpoError,
    AdapterError: PulpoError,
    Unavailable: AdapterError,
    LeaseLost: AdapterError,
    MessageTooLarge: AdapterError,
    MessageNotFound: AdapterError,
    Unsupported: AdapterError,
}


def drawn() -> Iterator[tuple[str, str]]:
    """Every error of the drawing in the module's docstring, with the one it hangs from."""
    path = ["PulpoError"]
    for branch in re.finditer(r"^(.*)[├└]── (\w+)", errors.__doc__, re.MULTILINE):
        depth = len(branch[1]) // 4
        path[depth:] = [branch[2]]
        yield branch[2], path[depth - 1]


def test_every_error_has_its_place_in_one_tree():
    defined = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__}

    assert {cls: cls.__base__ for cls in defined - {PulpoError}} == PARENTS
    assert PulpoError.__base__ is Exception


def test_the_drawing_shows_the_tree_as_it_is():
    assert dict(drawn()) == {child.__name__: parent.__name__ for child, parent in PARENTS.items()}


@pytest.mark.parametrize("error", [AdapterError, *(cls for cls in PARENTS if issubclass(cls, AdapterError))])
def test_only_an_unavailable_queue_is_a_temporary_trouble_by_itself(error):
    assert error("x").temporary is (error is Unavailable)
    assert error("x").in_doubt is False


@pytest.mark.parametrize("flag", [True, False])
def test_one_error_can_say_otherwise_and_its_class_stays_as_it_was(flag):
    error = Unavailable("the answer was lost", temporary=flag, in_doubt=flag)

    assert (error.temporary, error.in_doubt) == (flag, flag)
    assert (Unavailable.temporary, Unavailable.in_doubt) == (True, False)


def test_an_error_without_words_says_what_its_class_means():
    assert str(LeaseLost()) == LeaseLost.__doc__
    assert str(LeaseLost("receipt 7 is over")) == "receipt 7 is over"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"]
)
def test_an_error_keeps_its_flags_on_the_way_to_another_process(duplicate):
    error = duplicate(AdapterError("no answer", temporary=True, in_doubt=True))

    assert type(error) is AdapterError
    assert (str(error), error.temporary, error.in_doubt) == ("no answer", True, True)
