from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from her2node.dimse.reception import (
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    NO_REASON,
    AssociationRequest,
)
from her2node.intake.association import Refusals, judge
from her2node.settings import Reception

LOCAL = AssociationRequest("PACS", "HER2NODE", "127.0.0.1", 0)


def test_this_machine_may_associate_by_default_under_any_title() -> None:
    assert judge(LOCAL, Reception()) is None
    assert judge(AssociationRequest("OTHER", "HER2NODE", "::1", 0), Reception()) is None


def test_another_machine_may_not_and_the_log_says_what_to_add() -> None:
    refusal = judge(AssociationRequest("PACS", "HER2NODE", "10.1.2.3", 0), Reception())
    assert refusal is not None
    assert (refusal.rejection, refusal.reason) == (NO_REASON, "address-not-allowed")
    added = json.loads(refusal.remedy.rpartition(" = ")[2])
    mended = Reception(allow_addresses=added)
    assert judge(AssociationRequest("PACS", "HER2NODE", "10.1.2.3", 0), mended) is None
    assert judge(LOCAL, mended) is None


def test_networks_are_allowed() -> None:
    reception = Reception(allow_addresses=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    assert judge(AssociationRequest("PACS", "HER2NODE", "10.200.0.1", 0), reception) is None
    assert judge(AssociationRequest("PACS", "HER2NODE", "fd00::5", 0), reception) is None
    assert judge(LOCAL, reception) is not None


def test_another_title_must_not_be_called() -> None:
    refusal = judge(AssociationRequest("PACS", "her2node", "127.0.0.1", 0), Reception())
    assert refusal is not None
    assert refusal.rejection == CALLED_AE_NOT_RECOGNISED
    assert 'ae_title = "her2node"' in refusal.remedy


def test_only_listed_titles_may_call_where_there_is_a_list() -> None:
    reception = Reception(allow_ae_titles=("CT1", "PACS"))
    assert judge(LOCAL, reception) is None
    refusal = judge(AssociationRequest('X"Y', "HER2NODE", "127.0.0.1", 0), reception)
    assert refusal is not None
    assert refusal.rejection == CALLING_AE_NOT_RECOGNISED
    assert json.loads(refusal.remedy.rpartition(" = ")[2]) == ["CT1", "PACS", 'X"Y']


@pytest.mark.parametrize(("active", "accepted"), [(1, True), (2, False)])
def test_one_association_too_many_is_rejected(active: int, accepted: bool) -> None:
    refusal = judge(AssociationRequest("PACS", "HER2NODE", "127.0.0.1", active), Reception(maximum_associations=2))
    assert (refusal is None) is accepted
    assert refusal is None or refusal.rejection == LOCAL_LIMIT_EXCEEDED


def test_the_same_refusal_is_logged_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    refusals = Refusals(clock=lambda: now)
    for _ in range(5):
        refusals.log("address-not-allowed", "10.0.0.1", "PACS")
    refusals.log("address-not-allowed", "10.0.0.2", "PACS")
    now = 11.0
    refusals.log("address-not-allowed", "10.0.0.1", "PACS")
    assert capsys.readouterr().out.count("association-refused") == 3
    for number in range(1000):
        refusals.log("x", str(number))
    assert len(refusals._last) <= 256
