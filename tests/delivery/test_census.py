"""The courier asks senders that count how many objects they have, over the wire, and the ledger keeps the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from her2node.delivery.census import is_due
from her2node.delivery.desk import Timing
from her2node.dimse.requestor import TimeLimits
from her2node.ledger.records import Census, Gathering, OpenAssociation, SeriesCount
from her2node.settings import Peer
from tests.delivery.office import HURRY, Office
from tests.delivery.peers import FakePacs, deaf_peer, holding, peer_at
from tests.ledger.way import slices
from tests.orthanc import free_port, wait_for

Open = Callable[..., Office]
START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SETTLE = 5 * SECOND
STUDY = "2.25.100"
PROMPT = replace(HURRY, settle=timedelta(milliseconds=10))


def counting(peer: Peer) -> Peer:
    return peer.model_copy(update={"counts": True})


def answer(at: Office, study: str = STUDY) -> Census | None:
    return next(facts.census for facts in at.ledger.gathering() if facts.study_instance_uid == study)


# --- when it is asked --------------------------------------------------------------------------------------

GATHERING = Gathering(1, STUDY, 1, START, START, (), sender_ae="PACS")
AWAY = Census(START + 5 * SECOND, silence="away", vain=1, again_at=START + 20 * SECOND)


@pytest.mark.parametrize(
    ("facts", "seconds", "due"),
    [
        (GATHERING, 4.9, False),
        (GATHERING, 5, True),
        (replace(GATHERING, delivering=(OpenAssociation("a1", "PACS", START),)), 60, False),
        (replace(GATHERING, filed_until=START + 4 * SECOND), 60, False),
        (replace(GATHERING, filed_until=START + 5 * SECOND), 60, True),
        (replace(GATHERING, census=Census(START + 5 * SECOND)), 3600, False),
        (replace(GATHERING, census=Census(START + 5 * SECOND, silence="refused")), 3600, False),
        (replace(GATHERING, census=Census(START + 5 * SECOND), last_at=START + 6 * SECOND), 10.9, False),
        (replace(GATHERING, census=Census(START + 5 * SECOND), last_at=START + 6 * SECOND), 11, True),
        (
            replace(GATHERING, census=Census(START + 5 * SECOND, silence="away", again_at=START + 20 * SECOND)),
            19,
            False,
        ),
        (replace(GATHERING, census=Census(START + 5 * SECOND, silence="away", again_at=START + 20 * SECOND)), 20, True),
    ],
)
def test_a_study_is_asked_for_once_whenever_it_rests(facts: Gathering, seconds: float, due: bool) -> None:
    assert is_due(facts, SETTLE, START + seconds * SECOND) is due


# --- what comes of it --------------------------------------------------------------------------------------


def test_the_sender_of_a_study_that_rests_is_asked_once_and_the_answer_is_kept(office: Open) -> None:
    with FakePacs() as pacs:
        pacs.holds = holding({"1.1": ("CT", 120), "1.2": ("SEG", None)}, objects=121)
        at = office(pacs=counting(pacs.peer))
        at.way.gather(slices(80, STUDY))
        with at.delivering(timing=PROMPT):
            wait_for(lambda: answer(at))
            threading.Event().wait(0.3)
        assert [query.QueryRetrieveLevel for query in pacs.queries] == ["SERIES", "STUDY"]
        assert len(pacs.proposed) == 1
    told = answer(at)
    assert told == replace(
        told,
        series=(SeriesCount("1.1", "CT", 120), SeriesCount("1.2", "SEG", None)),
        objects=121,
        silence="",
        again_at=None,
    )


def test_it_is_asked_again_after_something_came(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=counting(pacs.peer))
        at.way.gather(slices(1, STUDY))
        courier, moment = at.courier(timing=Timing(), clock=lambda: moment[0]), [at.way.later(5 * SECOND)]
        assert courier.run_once()
        assert not courier.run_once()
        at.way.later(SECOND)
        at.way.gather(slices(1, STUDY, first=2))
        moment[0] = at.way.later(4 * SECOND)
        assert not courier.run_once()
        moment[0] = at.way.later(SECOND)
        assert courier.run_once()
        assert answer(at) == Census(moment[0])


def test_only_senders_that_count_are_asked_and_only_for_their_studies(office: Open) -> None:
    with FakePacs() as pacs, FakePacs(ae_title="ARCHIVE") as archive:
        at = office(pacs=pacs.peer, archive=counting(archive.peer))
        at.way.gather(slices(1, STUDY))
        at.way.gather(slices(1, "2.25.200"), "ARCHIVE")
        at.way.later(6 * SECOND)
        courier = at.courier(timing=Timing(), clock=lambda: at.way.now)
        assert courier.run_once()
        assert not pacs.queries
        assert {query.StudyInstanceUID for query in archive.queries} == {"2.25.200"}
        assert answer(at) is None


def test_a_sender_that_offers_no_queries_has_answered(office: Open) -> None:
    with FakePacs(finds=False) as pacs:
        at = office(pacs=counting(pacs.peer))
        at.way.gather(slices(1, STUDY))
        at.way.later(6 * SECOND)
        courier = at.courier(timing=Timing(), clock=lambda: at.way.now)
        assert courier.run_once()
        told = answer(at)
        assert told is not None
        assert "does not accept C-FIND" in told.silence
        at.way.later(timedelta(hours=1))
        assert not courier.run_once()


def test_a_sender_that_rejects_the_node_has_answered(office: Open) -> None:
    with FakePacs(require_calling=["ANOTHER"]) as pacs:
        at = office(pacs=counting(pacs.peer))
        at.way.gather(slices(1, STUDY))
        at.way.later(6 * SECOND)
        assert at.courier(timing=Timing(), clock=lambda: at.way.now).run_once()
        told = answer(at)
        assert told is not None
        assert "rejected" in told.silence
        assert told.again_at is None


def test_a_sender_that_is_away_is_asked_again_with_a_growing_pause_one_call_for_all_studies(office: Open) -> None:
    port = free_port()
    at = office(pacs=counting(peer_at(port)))
    at.way.gather(slices(1, STUDY))
    at.way.gather(slices(1, "2.25.200"))
    at.way.later(6 * SECOND)
    timing = Timing(first_pause=5 * SECOND, longest_pause=20 * SECOND)
    courier = at.courier(timing=timing, clock=lambda: at.way.now)
    pauses = []
    for asked in range(1, 5):
        assert courier.run_once()
        told = answer(at)
        assert told == answer(at, "2.25.200")
        assert told is not None
        assert told.again_at is not None
        assert told.vain == asked
        assert "refused" in told.silence
        pauses.append((told.again_at - at.way.now) / SECOND)
        at.way.now = told.again_at - SECOND
        assert not courier.run_once()
        at.way.now = told.again_at
    assert pauses == [5, 10, 20, 20]
    with FakePacs(port=port) as pacs:
        pacs.holds = holding({"1.1": ("CT", 1)}, 1)
        assert courier.run_once()
        told = answer(at)
        assert told is not None
        assert (told.silence, told.vain, told.objects) == ("", 0, 1)
        assert len(pacs.proposed) == 1


def test_a_query_that_fails_is_asked_again_and_holds_up_no_other_study(office: Open) -> None:
    with FakePacs() as pacs:
        pacs.fails_queries = True
        at = office(pacs=counting(pacs.peer))
        at.way.gather(slices(1, STUDY))
        at.way.gather(slices(1, "2.25.200"))
        with at.delivering(timing=PROMPT):
            wait_for(lambda: (told := answer(at)) and told.vain >= 2 and "0xC001" in told.silence)
            wait_for(lambda: (told := answer(at, "2.25.200")) and told.vain >= 2)
            pacs.fails_queries = False
            wait_for(lambda: (told := answer(at)) and not told.silence)


def test_results_go_out_while_the_sender_is_asked_in_vain(office: Open) -> None:
    with FakePacs(on_store=lambda event: 0x0000) as pacs:
        pacs.fails_queries = True
        at = office(pacs=counting(pacs.peer))
        at.read("report", study="2.25.300")
        at.way.gather(slices(1, STUDY))
        with at.delivering(timing=PROMPT):
            wait_for(lambda: (told := answer(at)) and told.vain >= 3)
            wait_for(lambda: set(at.states("2.25.300").values()) == {"sent"})


def test_a_question_that_the_end_of_the_process_cuts_says_nothing_of_the_peer(office: Open) -> None:
    with deaf_peer() as port:
        at = office(pacs=counting(peer_at(port)))
        at.way.gather(slices(1, STUDY))
        with at.delivering(timing=PROMPT, limits=TimeLimits(answer=timedelta(seconds=30))):
            threading.Event().wait(0.5)
        assert answer(at) is None
