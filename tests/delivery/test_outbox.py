from __future__ import annotations

import tomllib
from typing import Any

import pytest

from her2node.delivery.outbox import address, remedy_for
from her2node.ledger.records import NewDelivery, NewResult
from her2node.settings import Peer, Settings


def results(*kinds: str) -> list[NewResult]:
    return [NewResult(kind, "1.2.3", kind, f"{kind}.series", 1, "", kind) for kind in kinds]


def peer(ae: str, *receives: str) -> Peer:
    kinds: dict[str, Any] = {"receives": receives} if receives else {}
    return Peer.model_validate({"ae": ae, "host": "pacs.example", **kinds})


PACS = peer("PACS")


def test_results_go_to_the_peer_that_sent_the_study() -> None:
    assert address(results("report", "segmentation"), "PACS ", {"pacs": PACS}) == (
        NewDelivery("report", "pacs", "PACS"),
        NewDelivery("segmentation", "pacs", "PACS"),
    )


def test_results_of_an_unknown_sender_are_held() -> None:
    held = address(results("report", "summary-image"), "CT1", {"pacs": PACS})
    assert held == (NewDelivery("report", None, "CT1"), NewDelivery("summary-image", None, "CT1", "report"))


def test_configured_destinations_get_everything_too_and_each_once() -> None:
    peers = {"pacs": PACS, "archive": peer("ARCHIVE")}
    made = address(results("report"), "PACS", peers, destinations=["archive", "pacs"])
    assert made == (NewDelivery("report", "pacs", "PACS"), NewDelivery("report", "archive", "ARCHIVE"))


def test_with_a_destination_nothing_is_held_for_an_unknown_sender() -> None:
    made = address(results("report"), "CT1", {"pacs": PACS}, destinations=["pacs"])
    assert made == (NewDelivery("report", "pacs", "PACS"),)


def test_nothing_goes_to_the_sender_when_the_site_does_not_want_it() -> None:
    assert address(results("report"), "PACS", {"pacs": PACS}, to_sender=False) == ()
    peers = {"pacs": PACS, "archive": peer("ARCHIVE")}
    made = address(results("report"), "PACS", peers, to_sender=False, destinations=["archive"])
    assert made == (NewDelivery("report", "archive", "ARCHIVE"),)


def test_a_peer_gets_only_the_kinds_that_it_receives() -> None:
    made = address(results("report", "segmentation"), "VIEWER", {"viewer": peer("VIEWER", "segmentation")})
    assert made == (NewDelivery("segmentation", "viewer", "VIEWER"),)


@pytest.mark.parametrize("report", ["report", "could-not"])
def test_summaries_wait_for_the_refusal_of_the_report(report: str) -> None:
    made = address(results("segmentation", report, "summary-image", "summary-document"), "PACS", {"pacs": PACS})
    assert {delivery.result: delivery.fallback_for for delivery in made} == {
        "segmentation": None,
        report: None,
        "summary-image": report,
        "summary-document": report,
    }


def test_summaries_go_at_once_to_a_peer_that_gets_no_report() -> None:
    made = address(results("report", "summary-image"), "VIEWER", {"viewer": peer("VIEWER", "summary-image")})
    assert made == (NewDelivery("summary-image", "viewer", "VIEWER"),)


def test_summaries_go_always_or_never_when_the_site_says_so() -> None:
    made = results("report", "summary-image")
    always = address(made, "PACS", {"pacs": PACS}, summary="always")
    never = address(made, "PACS", {"pacs": PACS}, summary="never")
    assert [(delivery.result, delivery.fallback_for) for delivery in always] == [
        ("report", None),
        ("summary-image", None),
    ]
    assert [delivery.result for delivery in never] == ["report"]


@pytest.mark.parametrize("ae_title", ["CT1", "WEIRD PACS/1", 'A"B', "日本"])
def test_the_remedy_for_an_unknown_sender_is_settings_that_can_be_read(ae_title: str) -> None:
    (name, keys) = tomllib.loads(remedy_for(ae_title))["peers"].popitem()
    assert name
    assert keys["ae"] == ae_title
    assert set(keys) <= set(Peer.model_fields)


def test_the_remedy_names_the_address_that_the_sender_called_from_and_asks_to_check_the_port() -> None:
    remedy = remedy_for("CT1", "192.0.2.7")
    keys = tomllib.loads(remedy)["peers"]["ct1"]
    assert (keys["host"], keys["port"]) == ("192.0.2.7", 104)
    assert "port = 104  # check" in remedy
    assert tomllib.loads(remedy_for("CT1"))["peers"]["ct1"]["host"] == "..."


def test_the_remedy_for_a_study_without_sender_names_destinations() -> None:
    assert set(tomllib.loads(remedy_for(""))["delivery"]) <= set(
        Settings.model_fields["delivery"].annotation.model_fields
    )
