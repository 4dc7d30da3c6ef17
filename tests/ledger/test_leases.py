from __future__ import annotations

from her2node.ledger import Ledger
from tests.ledger.way import LEASE, SECOND, START


def test_a_lease_has_one_holder(ledger: Ledger) -> None:
    assert ledger.hold("leader", "one", LEASE, START)
    assert not ledger.hold("leader", "two", LEASE, START)
    assert ledger.hold("housekeeper", "two", LEASE, START)


def test_the_holder_may_extend_and_others_wait(ledger: Ledger) -> None:
    assert ledger.hold("leader", "one", LEASE, START)
    assert ledger.hold("leader", "one", LEASE, START + LEASE - SECOND)
    assert not ledger.hold("leader", "two", LEASE, START + LEASE + SECOND)


def test_a_lease_that_is_over_is_free(ledger: Ledger) -> None:
    assert ledger.hold("leader", "one", LEASE, START)
    assert ledger.hold("leader", "two", LEASE, START + LEASE + SECOND)
    assert not ledger.hold("leader", "one", LEASE, START + LEASE + SECOND)


def test_only_the_holder_can_let_go(ledger: Ledger) -> None:
    assert ledger.hold("leader", "one", LEASE, START)
    ledger.let_go("leader", "two")
    assert not ledger.hold("leader", "two", LEASE, START)
    ledger.let_go("leader", "one")
    assert ledger.hold("leader", "two", LEASE, START)
