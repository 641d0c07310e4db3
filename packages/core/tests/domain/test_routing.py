"""Which handler a request type reaches."""

import pytest

from pulpo_core.domain.routing import RouteTable


def mail():
    """One target."""


def sms():
    """Another."""


def other():
    """The default."""


TABLE = RouteTable({"send_email": mail, "send_sms": sms}, default=other)


@pytest.mark.parametrize(
    ("table", "request_type", "target"),
    [
        pytest.param(TABLE, "send_email", mail, id="a registered type reaches its handler"),
        pytest.param(TABLE, "send_sms", sms, id="another registered type reaches another"),
        pytest.param(TABLE, "send_fax", other, id="an unregistered type reaches the default"),
        pytest.param(TABLE, None, other, id="a missing type reaches the default"),
        pytest.param(TABLE, "", other, id="an empty type is an unregistered one"),
        pytest.param(TABLE, "SEND_EMAIL", other, id="capitals matter"),
        pytest.param(RouteTable({"send_email": mail}), "send_fax", None, id="without a default nothing takes the rest"),
        pytest.param(RouteTable({"send_email": mail}), None, None, id="without a default nothing takes a missing type"),
        pytest.param(RouteTable(), "send_email", None, id="an empty table takes nothing"),
        pytest.param(RouteTable(default=other), "send_email", other, id="a default alone takes everything"),
    ],
)
def test_a_request_type_reaches_at_most_one_target(table, request_type, target):
    assert table.find(request_type) is target


@pytest.mark.parametrize(
    ("table", "usable"),
    [
        pytest.param(RouteTable(), False, id="nothing registered"),
        pytest.param(RouteTable({"send_email": mail}), True, id="one type"),
        pytest.param(RouteTable(default=other), True, id="a default alone"),
        pytest.param(TABLE, True, id="both"),
    ],
)
def test_a_table_is_true_when_anything_can_be_routed(table, usable):
    assert bool(table) is usable


def test_targets_are_listed_with_the_default_last():
    assert list(TABLE) == [mail, sms, other]
    assert list(RouteTable()) == []


def test_a_target_of_several_types_is_listed_once():
    assert list(RouteTable({"a": mail, "b": sms, "c": mail}, default=mail)) == [mail, sms]


def test_equal_targets_that_are_not_the_same_are_all_listed():
    first, second = [1], [1]

    assert len(list(RouteTable({"a": first, "b": second}))) == 2
