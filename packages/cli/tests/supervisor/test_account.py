"""What workers have reported, added up."""

import pytest

from pulpo_cli.supervisor.account import KEPT, Account, added_ledgers, added_requests, folded, shares
from pulpo_cli.supervisor.leash import Orders
from pulpo_core import Ledger


def test_the_last_word_counts_and_what_it_leaves_out_stays():
    account = Account(place=1)
    account.take({"ledgers": {"mail": {"received": 2, "in_hand": 2}}, "paused": ["mail"]})
    account.take({"ledgers": {"mail": {"received": 3, "acked": 2, "in_hand": 1}}})

    assert account.ledger == Ledger(received=3, acked=2, in_hand=1)
    assert account.paused == ("mail",)
    assert not account.final


def test_ledgers_are_added_up_by_route_and_balance_if_each_does():
    one = Account(place=1, ledgers={"mail": Ledger(received=3, acked=3), "other": Ledger(received=1, retried=1)})
    two = Account(place=2, ledgers={"mail": Ledger(received=2, acked=1, in_hand=1)})
    added = added_ledgers([one, two])

    assert added == {"mail": Ledger(received=5, acked=4, in_hand=1), "other": Ledger(received=1, retried=1)}
    assert all(ledger.balanced for ledger in added.values())


def test_requests_are_added_up_by_route_and_operation():
    one = Account(place=1, requests={"mail": {"ReceiveMessage": 3}})
    two = Account(place=2, requests={"mail": {"ReceiveMessage": 2, "DeleteMessage": 1}})

    assert added_requests([one, two]) == {"mail": {"ReceiveMessage": 5, "DeleteMessage": 1}}


def test_of_many_workers_in_one_place_the_oldest_are_added_up():
    accounts = []
    for number in range(3 * KEPT):
        account = Account(place=1, pid=number, final=number > 0, ledgers={"mail": Ledger(received=1, acked=1)})
        accounts = folded([*accounts, account])

    assert len(accounts) == KEPT
    assert added_ledgers(accounts) == {"mail": Ledger(received=3 * KEPT, acked=3 * KEPT)}
    assert not accounts[0].final, "one of them was killed"
    assert [account.pid for account in accounts[1:]] == list(range(2 * KEPT + 1, 3 * KEPT))


@pytest.mark.parametrize(
    ("whole", "among", "expected"),
    [(None, 2, [None, None]), (10, 3, [4, 3, 3]), (1, 3, [1, 0, 0]), (4, 2, [2, 2])],
)
def test_a_limit_is_shared_out_and_nothing_is_added_or_lost(whole, among, expected):
    assert shares(whole, among) == expected


def test_orders_go_over_a_command_line():
    orders = Orders(descriptor=7, place=1, first=False, max_messages=5, paused=("mail", "other"))

    assert Orders.of_text(orders.as_text()) == orders
