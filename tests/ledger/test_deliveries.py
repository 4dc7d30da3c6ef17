from __future__ import annotations

import pytest

from her2node.errors import LeaseLost, NotFound
from her2node.ledger.records import DeliveryClaim, Taker
from tests.ledger.way import LEASE, MINUTE, SECOND, SEG, Way, deliver, result

REPORT, MASK, PAGE = "2.25.1", "2.25.2", "2.25.3"
RESULTS = [result(REPORT), result(MASK, "segmentation", SEG), result(PAGE, "summary-image")]
KINDS = ("report", "segmentation", "summary-image")
BOTH = [deliver(REPORT), deliver(MASK)]


def ids(claim: DeliveryClaim) -> list[int]:
    return [item.delivery_id for item in claim.items]


def claims(way: Way, limit: int = 10, worker: str = "c1") -> tuple[DeliveryClaim, ...]:
    return way.ledger.claim_deliveries(worker, LEASE, way.now, limit)


def test_a_claim_is_all_that_is_due_of_one_edition_to_one_destination(way: Way) -> None:
    edition_id = way.read(RESULTS, [*BOTH, deliver(REPORT, "archive", "ARCHIVE")])
    archive, pacs = claims(way)
    assert (archive.destination, archive.ae_title, len(archive.items)) == ("archive", "ARCHIVE", 1)
    assert (pacs.destination, pacs.edition_id, pacs.study_instance_uid) == ("pacs", edition_id, "1.2.3")
    assert [(item.kind, item.sop_instance_uid, item.name, item.size, item.attempts) for item in pacs.items] == [
        ("report", REPORT, REPORT, 2000, 1),
        ("segmentation", MASK, MASK, 2000, 1),
    ]
    assert archive.token != pacs.token


def test_a_delivery_is_claimed_once(way: Way) -> None:
    way.read(RESULTS, BOTH)
    assert len(claims(way, worker="c1")) == 1
    assert claims(way, worker="c2") == ()


def test_a_courier_may_name_the_destinations_it_serves(way: Way) -> None:
    way.read(RESULTS, [*BOTH, deliver(REPORT, "archive", "ARCHIVE")])
    (claim,) = way.ledger.claim_deliveries("c1", LEASE, way.now, 10, to=["archive"])
    assert claim.destination == "archive"
    assert way.ledger.claim_deliveries("c1", LEASE, way.now, 10, not_to=["pacs", "archive"]) == ()
    (claim,) = way.ledger.claim_deliveries("c1", LEASE, way.now, 10, not_to=["archive"])
    assert claim.destination == "pacs"


def test_at_most_as_many_claims_as_asked_the_longest_due_first(way: Way) -> None:
    way.read([result(REPORT)], [deliver(REPORT, "b"), deliver(REPORT, "a"), deliver(REPORT, "c")])
    assert [claim.destination for claim in claims(way, 2)] == ["a", "b"]
    assert [claim.destination for claim in claims(way, 2)] == ["c"]


def test_sent_and_confirmed_are_different_words(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier()
    way.ledger.delivered(claim.token, ids(claim), way.now)
    assert set(way.states().values()) == {"sent"}
    to_confirm = way.ledger.to_confirm(["pacs"], way.now, 10)
    assert [(item.sop_instance_uid, item.series_instance_uid) for item in to_confirm] == [
        (REPORT, f"{REPORT}.0"),
        (MASK, f"{MASK}.0"),
    ]
    assert way.ledger.confirmed([item.delivery_id for item in to_confirm], way.now) == 2
    assert set(way.states().values()) == {"confirmed"}
    assert way.ledger.confirmed([item.delivery_id for item in to_confirm], way.now) == 0
    assert way.ledger.to_confirm(["pacs"], way.now, 10) == ()


def test_only_peers_that_can_be_asked_are_asked(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier()
    way.ledger.delivered(claim.token, ids(claim), way.now)
    assert way.ledger.to_confirm(["archive"], way.now, 10) == ()
    assert way.ledger.to_confirm([], way.now, 10) == ()


def test_a_question_in_vain_is_asked_again_later_and_counted(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT)])
    claim = way.courier()
    way.ledger.delivered(claim.token, ids(claim), way.now)
    way.ledger.ask_again(ids(claim), way.now + MINUTE)
    assert way.ledger.to_confirm(["pacs"], way.now, 10) == ()
    (item,) = way.ledger.to_confirm(["pacs"], way.later(MINUTE), 10)
    assert item.asked == 1


def test_what_a_peer_has_lost_is_sent_again_and_its_questions_still_count(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT)])
    claim = way.courier()
    way.ledger.delivered(claim.token, ids(claim), way.now)
    assert way.ledger.missing(ids(claim), "not found", way.now + MINUTE, way.now) == 1
    assert claims(way) == ()
    way.later(MINUTE)
    again = way.courier()
    way.ledger.delivered(again.token, ids(again), way.now)
    assert way.ledger.to_confirm(["pacs"], way.now, 1)[0].asked == 1


def test_a_peer_that_was_asked_often_enough_is_asked_no_more_and_the_story_says_so_once(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier()
    way.ledger.delivered(claim.token, ids(claim), way.now)
    way.ledger.unconfirmed(ids(claim), "not there", way.now)
    assert way.ledger.to_confirm(["pacs"], way.later(1000 * MINUTE), 10) == ()
    assert set(way.states().values()) == {"sent"}
    assert [event.detail for event in way.ledger.study("1.2.3").events if event.kind == "unconfirmed"] == ["not there"]


def test_a_postponed_delivery_waits_for_its_time_and_counts_attempts(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier()
    way.ledger.postponed(claim.token, ids(claim), "peer-away", way.now + MINUTE, way.now)
    assert claims(way) == ()
    way.later(MINUTE)
    assert [item.attempts for item in way.courier().items] == [2, 2]


def test_a_claim_may_end_in_parts(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier()
    report, mask = ids(claim)
    way.ledger.delivered(claim.token, [report], way.now)
    way.ledger.postponed(claim.token, [mask], "peer-away", way.now + MINUTE, way.now)
    assert way.states() == {("report", "pacs"): "sent", ("segmentation", "pacs"): "due"}
    assert not way.ledger.extend_deliveries(claim.token, LEASE, way.now)


def test_a_delivery_whose_courier_gives_no_sign_goes_to_another(way: Way) -> None:
    way.read(RESULTS, BOTH)
    lost = way.courier("c1")
    way.later(LEASE + SECOND)
    ours = way.courier("c2")
    assert ids(ours) == ids(lost)
    with pytest.raises(LeaseLost):
        way.ledger.delivered(lost.token, ids(lost), way.now)
    assert not way.ledger.extend_deliveries(lost.token, LEASE, way.now)
    way.ledger.delivered(ours.token, ids(ours), way.now)
    assert set(way.states().values()) == {"sent"}


def test_an_extended_lease_is_kept(way: Way) -> None:
    way.read(RESULTS, BOTH)
    claim = way.courier("c1")
    way.later(50 * SECOND)
    assert way.ledger.extend_deliveries(claim.token, LEASE, way.now)
    way.later(50 * SECOND)
    assert claims(way, worker="c2") == ()


def test_a_step_on_what_is_partly_not_ours_changes_nothing(way: Way) -> None:
    way.read(RESULTS, [*BOTH, deliver(REPORT, "archive", "ARCHIVE")])
    archive, pacs = claims(way)
    with pytest.raises(LeaseLost, match="1 of 3"):
        way.ledger.delivered(pacs.token, [*ids(pacs), *ids(archive)], way.now)
    assert set(way.states().values()) == {"sending"}


# --- refusals and fallbacks --------------------------------------------------------------------------------


def test_a_fallback_waits_until_what_it_stands_for_is_refused_there(way: Way) -> None:
    way.read(
        RESULTS,
        [
            *BOTH,
            deliver(PAGE, fallback_for=REPORT),
            deliver(REPORT, "archive", "ARCHIVE"),
            deliver(PAGE, "archive", "ARCHIVE", REPORT),
        ],
    )
    archive, pacs = claims(way)
    report, mask = ids(pacs)
    way.ledger.refused(pacs.token, [report], "sop-class-refused", way.now)
    way.ledger.delivered(pacs.token, [mask], way.now)
    way.ledger.delivered(archive.token, ids(archive), way.now)
    assert way.states() == {
        ("report", "pacs"): "refused",
        ("segmentation", "pacs"): "sent",
        ("summary-image", "pacs"): "due",
        ("report", "archive"): "sent",
        ("summary-image", "archive"): "withheld",
    }
    (woken,) = claims(way)
    assert [item.kind for item in woken.items] == ["summary-image"]


def test_a_refused_delivery_is_never_tried_again_by_itself(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT)])
    claim = way.courier()
    way.ledger.refused(claim.token, ids(claim), "instance-rejected", way.now)
    assert way.ledger.claim_deliveries("c1", LEASE, way.later(1000 * MINUTE), 10) == ()
    (delivery,) = way.ledger.study("1.2.3").editions[0].results[0].deliveries
    assert (delivery.state, delivery.error) == ("refused", "instance-rejected")


# --- held --------------------------------------------------------------------------------------------------


def test_a_result_without_a_peer_is_held_until_one_is_configured(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT, None, "SCANNER"), deliver(PAGE, None, "SCANNER", REPORT)])
    assert way.states() == {("report", None): "held", ("summary-image", None): "withheld"}
    assert way.ledger.release_held({"PACS": Taker("pacs", KINDS)}, way.now) == 0
    assert claims(way) == ()
    assert way.ledger.release_held({"SCANNER": Taker("console", KINDS)}, way.now) == 1
    assert way.states() == {("report", "console"): "due", ("summary-image", "console"): "withheld"}
    claim = way.courier()
    way.ledger.refused(claim.token, ids(claim), "sop-class-refused", way.now)
    assert way.states()["summary-image", "console"] == "due"


def test_a_held_result_that_its_peer_gets_anyway_is_dropped(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT, None, "SCANNER"), deliver(REPORT, "console", "SCANNER")])
    assert way.ledger.release_held({"SCANNER": Taker("console", KINDS)}, way.now) == 0
    assert way.states() == {("report", None): "expired", ("report", "console"): "due"}


def test_held_kinds_that_the_peer_does_not_receive_expire_and_a_stand_in_goes_at_once(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT, None, "SCANNER"), deliver(PAGE, None, "SCANNER", REPORT)])
    assert way.ledger.release_held({"SCANNER": Taker("console", ("summary-image",))}, way.now) == 1
    assert way.states() == {("report", None): "expired", ("summary-image", "console"): "due"}


def test_a_stand_in_that_the_peer_does_not_receive_expires(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT, None, "SCANNER"), deliver(PAGE, None, "SCANNER", REPORT)])
    assert way.ledger.release_held({"SCANNER": Taker("console", ("report",))}, way.now) == 1
    assert way.states() == {("report", "console"): "due", ("summary-image", None): "expired"}


def test_held_results_are_told_in_the_story(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT, None, "SCANNER"), deliver(MASK, None, "SCANNER")])
    told = [item.detail for item in way.ledger.study("1.2.3").events if item.kind == "result-held"]
    assert told == ["no peer has AE title SCANNER"]


# --- resend ------------------------------------------------------------------------------------------------


def test_resend_makes_everything_of_the_latest_results_due_again(way: Way) -> None:
    way.read(RESULTS, [*BOTH, deliver(PAGE)])
    claim = way.courier()
    report, mask, page = ids(claim)
    way.ledger.delivered(claim.token, [report, mask], way.now)
    way.ledger.confirmed([report], way.now)
    way.ledger.refused(claim.token, [page], "instance-rejected", way.now)
    assert way.ledger.resend("1.2.3", way.now) == 3
    assert [item.attempts for item in way.courier().items] == [1, 1, 1]


def test_resend_leaves_what_is_being_sent_and_what_is_held_alone(way: Way) -> None:
    way.read(RESULTS, [deliver(REPORT), deliver(MASK, None, "SCANNER")])
    claim = way.courier()
    assert way.ledger.resend("1.2.3", way.now) == 0
    way.ledger.delivered(claim.token, ids(claim), way.now)
    assert way.states() == {("report", "pacs"): "sent", ("segmentation", None): "held"}


def test_resend_of_an_unknown_study_is_refused(way: Way) -> None:
    with pytest.raises(NotFound):
        way.ledger.resend("1.9.9", way.now)
