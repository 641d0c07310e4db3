"""The count of what happened to every delivery."""

from pulpo_core import Ledger, Tally, total

COLUMNS = [
    "received",
    "acked",
    "retried",
    "buried",
    "released",
    "dropped",
    "lease_lost",
    "in_doubt",
    "deferred",
    "in_hand",
]


def test_a_new_ledger_is_balanced():
    assert Ledger().balanced
    assert set(Ledger().as_dict().values()) == {0}


def test_the_columns_have_the_order_of_the_equation():
    assert list(Ledger().as_dict()) == COLUMNS


def test_every_delivery_is_in_exactly_one_column():
    numbers = dict(zip(COLUMNS[1:], (1, 2, 4, 8, 16, 32, 64, 128, 256), strict=True))
    ledger = Ledger(received=511, **numbers)

    assert ledger.balanced
    assert ledger.settled == 511 - 256


def test_one_that_is_missing_or_counted_twice_is_noticed_in_every_column():
    for column in COLUMNS:
        assert not Ledger(**{column: 1}).balanced


def test_every_tally_has_its_column():
    assert {str(tally) for tally in Tally} == {*COLUMNS} - {"received", "in_hand"}


def test_ledgers_add_up_column_by_column():
    first = Ledger(received=5, acked=3, in_hand=2)
    second = Ledger(received=4, acked=1, buried=3)

    assert total([first, second]) == Ledger(received=9, acked=4, buried=3, in_hand=2)
    assert total([first, second]).balanced
    assert total([]) == Ledger()
