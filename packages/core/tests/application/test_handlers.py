"""Which callable handles which request type."""

from datetime import timedelta

import pytest

from pulpo_core import ConfigurationError, HandlerError, Handlers, as_table


async def handler(message): ...


async def other(message): ...


def test_a_decorator_registers_its_function_and_leaves_it_alone():
    handlers = Handlers()

    @handlers("send", timeout=30)
    async def send(message):
        return 5

    assert send.__name__ == "send"
    bound = handlers.table().by_type["send"]
    assert (bound.target, bound.timeout) == (send, timedelta(seconds=30))


def test_handlers_are_found_by_type_and_the_default_takes_the_rest():
    handlers = Handlers()
    handlers.add("a", handler)
    assert handlers.default(other) is other

    table = handlers.table()
    assert table.find("a").target is handler
    assert table.find("b").target is other
    assert table.find(None).target is other


def test_without_default_nothing_takes_the_rest():
    handlers = Handlers()
    handlers.add("a", handler)

    assert handlers.table().find("b") is None
    assert handlers.table().find(None) is None


def test_the_default_may_be_a_decorator_and_may_have_a_timeout():
    handlers = Handlers()

    @handlers.default
    async def rest(message): ...

    assert handlers.table().default.target is rest
    handlers = Handlers()
    handlers.default(handler, timeout=timedelta(minutes=1))
    assert handlers.table().default.timeout == timedelta(minutes=1)


def test_a_type_has_one_handler_and_the_error_names_both():
    handlers = Handlers()
    handlers.add("a", handler)

    with pytest.raises(ConfigurationError, match=r"'a'.*:handler already.*:other"):
        handlers.add("a", other)


def test_there_is_one_default_and_the_error_names_both():
    handlers = Handlers()
    handlers.default(handler)

    with pytest.raises(ConfigurationError, match=r":handler .*:other"):
        handlers.default(other)


@pytest.mark.parametrize("request_type", [None, "", 5, handler])
def test_a_type_is_a_text(request_type):
    with pytest.raises(ConfigurationError, match="a request type is a text"):
        Handlers().add(request_type, handler)


def test_a_bare_decorator_is_told_how_it_is_used():
    handlers = Handlers()

    with pytest.raises(ConfigurationError, match="request type is a text"):

        @handlers
        async def send(message): ...


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), "5", True, float("nan")])
def test_a_timeout_is_a_time_span_above_nothing(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        Handlers().add("a", handler, timeout=timeout)


def test_what_is_wrong_is_told_when_it_is_registered():
    with pytest.raises(HandlerError, match="is a class"):
        Handlers().add("a", dict)
    with pytest.raises(HandlerError, match="nothing to give"):
        Handlers().default(lambda unknown: None)


def test_a_single_callable_is_a_table_with_a_default():
    assert as_table(handler).find("anything").target is handler


def test_a_table_is_what_was_registered_by_then():
    handlers = Handlers()
    handlers.add("a", handler)
    table = handlers.table()
    handlers.add("b", other)

    assert set(table.by_type) == {"a"}


def test_an_empty_registry_is_an_empty_table():
    assert not Handlers().table()
