from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt

from her2node import log
from her2node.delivery.desk import Timing
from her2node.dimse.requestor import Link, TimeLimits
from her2node.errors import LedgerAway
from tests.delivery.objects import PDF, SC, SEG, SR
from tests.delivery.office import HURRY, Office, now
from tests.delivery.peers import FakePacs, deaf_peer, peer_at, storescp
from tests.orthanc import Orthanc, free_port, wait_for

Open = Callable[..., Office]
ALL = ("report", "segmentation", "summary-image", "summary-document")


@pytest.fixture
def told(tmp_path: Path) -> Callable[[str], list[dict[str, object]]]:
    """What was logged as an event."""
    file = (tmp_path / "log").open("w+")
    log.configure("json", file)

    def events(name: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    yield events
    log.configure()
    file.close()


def test_results_are_sent_over_one_association_and_confirmed(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        uids = at.read("report", "segmentation")
        with at.delivering():
            at.await_states({"confirmed"})
        assert pacs.stored == uids
        assert len(pacs.proposed) == 2  # one to store, one to ask
    assert [
        delivery.attempts
        for result in at.ledger.study("2.25.100").editions[0].results
        for delivery in result.deliveries
    ] == [1, 1]


def test_without_queries_what_was_sent_stays_sent(office: Open) -> None:
    with FakePacs(finds=False) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        with at.delivering(timing=Timing(tick=timedelta(seconds=0.02))):
            wait_for(lambda: len(pacs.proposed) == 2)
        assert set(at.states().values()) == {"sent"}


def test_a_site_that_does_not_want_queries_has_none(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        courier = at.courier(confirms=False)
        assert courier.run_once()
        assert not courier.run_once()
        assert set(at.states().values()) == {"sent"}
        assert not pacs.queries


def test_a_pacs_that_is_away_gets_everything_when_it_is_back(office: Open) -> None:
    port = free_port()
    at = office(pacs=peer_at(port))
    uids = at.read("report", "segmentation")
    with at.delivering():
        wait_for(
            lambda: any(
                to.attempts > 2
                for result in at.ledger.study("2.25.100").editions[0].results
                for to in result.deliveries
            )
        )
        assert "refused" in at.errors()[0]
        with FakePacs(port=port) as pacs:
            at.await_states({"confirmed"})
            assert sorted(pacs.stored) == uids


def test_the_pause_doubles_and_outlives_the_process(office: Open) -> None:
    at = office(pacs=peer_at(free_port()))
    at.read("report")
    moment = [now()]
    timing = Timing(first_pause=timedelta(seconds=5), longest_pause=timedelta(seconds=30))
    pauses = []
    for _ in range(5):
        assert at.courier(timing=timing, clock=lambda: moment[0]).run_once()  # a new courier each time
        (delivery,) = at.ledger.study("2.25.100").editions[0].results[0].deliveries
        assert delivery.state == "due"
        pauses.append((delivery.due_at - moment[0]).total_seconds())
        moment[0] = delivery.due_at - timedelta(seconds=1)
        assert not at.courier(timing=timing, clock=lambda: moment[0]).run_once()
        moment[0] = delivery.due_at
    assert pauses == pytest.approx([5, 10, 20, 30, 30], abs=0.01)


def test_a_peer_that_is_away_or_silent_holds_up_nobody(office: Open) -> None:
    with FakePacs(ae_title="PACS") as pacs, deaf_peer() as silent:
        at = office(away=peer_at(free_port(), "AWAY"), silent=peer_at(silent, "SILENT"), pacs=pacs.peer)
        began = time.monotonic()
        with at.delivering(limits=TimeLimits(answer=timedelta(seconds=8))):
            for number in range(3):
                at.read("report", study=f"2.25.{number}", destinations=["away", "silent"])
            wait_for(lambda: len(pacs.stored) == 3)
            assert time.monotonic() - began < 6
    assert at.states("2.25.0")["report", "pacs"] in {"sent", "confirmed"}
    assert at.states("2.25.0")["report", "away"] == "due"


def test_a_refused_class_stops_that_object_alerts_and_the_rest_goes(
    office: Open, told: Callable[[str], list[dict[str, object]]]
) -> None:
    with FakePacs(classes=[SR]) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report", "segmentation")
        with at.delivering():
            at.await_states({"confirmed", "refused"})
        assert at.states()["segmentation", "pacs"] == "refused"
        (alert,) = told("delivery-refused")
        assert alert["level"] == "error"
        assert alert["kind"] == "segmentation"
        assert "switched on at the peer" in str(alert["remedy"])
        assert "Test" not in json.dumps(alert)


def test_a_refused_report_wakes_its_summaries(office: Open) -> None:
    with FakePacs(classes=[SEG, SC, PDF]) as pacs:
        at = office(pacs=pacs.peer)
        at.read(*ALL)
        with at.delivering():
            at.await_states({"refused", "confirmed"})
        assert at.states()["report", "pacs"] == "refused"
        assert Counter(at.states().values()) == {"confirmed": 3, "refused": 1}


def test_an_accepted_report_leaves_its_summaries_asleep(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        at.read(*ALL)
        with at.delivering():
            at.await_states({"confirmed", "withheld"})
        assert len(pacs.stored) == 2


def test_a_rejected_object_stops_alone(office: Open) -> None:
    with FakePacs(on_store=lambda event: 0xC000 if event.request.AffectedSOPClassUID == SEG else 0) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report", "segmentation")
        with at.delivering():
            at.await_states({"confirmed", "refused"})
        assert at.states()["segmentation", "pacs"] == "refused"


def test_a_busy_peer_is_tried_again(office: Open) -> None:
    answers = iter([0xA700, 0xA700, 0x0000])
    with FakePacs(on_store=lambda event: next(answers, 0)) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        with at.delivering():
            at.await_states({"confirmed"})


def test_a_warning_is_delivered_with_a_note(office: Open, told: Callable[[str], list[dict[str, object]]]) -> None:
    with FakePacs(on_store=lambda event: 0xB000) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        with at.delivering():
            at.await_states({"confirmed"})
        (event,) = told("delivered")
        assert "0xB000" in str(event["note"])


def test_a_peer_that_does_not_know_the_node_stops_at_once_with_a_remedy(
    office: Open, told: Callable[[str], list[dict[str, object]]]
) -> None:
    with FakePacs(require_calling=["OTHER"]) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report", "segmentation")
        at.courier().run_once()
        assert set(at.states().values()) == {"refused"}
        assert {event["remedy"] for event in told("delivery-refused")} == {
            "make the AE title HER2NODE known to the peer"
        }
        pacs._server.ae.require_calling_aet = []
        at.ledger.resend("2.25.100", now())
        with at.delivering():
            at.await_states({"confirmed"})


def test_a_pacs_that_loses_an_object_gets_it_again_a_bounded_number_of_times(
    office: Open, told: Callable[[str], list[dict[str, object]]]
) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        lost, kept = at.read("report", "segmentation")
        pacs.lost.add(lost)
        timing = HURRY  # asked 3 times, then sent again, at most twice
        with at.delivering(timing=timing):
            wait_for(lambda: "unconfirmed" in [event.kind for event in at.ledger.study("2.25.100").events])
            assert at.ledger.to_confirm(["pacs"], now() + timedelta(days=365), 9) == ()
        assert Counter(pacs.stored) == {lost: 3, kept: 1}
        assert at.states() == {("report", "pacs"): "sent", ("segmentation", "pacs"): "confirmed"}
        assert len([event for event in told("delivery-postponed") if event.get("instance") == lost]) == 2


def test_an_object_that_the_pacs_shows_late_is_confirmed_and_not_sent_again(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        (uid,) = at.read("report")
        pacs.lost.add(uid)
        with at.delivering():
            wait_for(lambda: pacs.queries)
            pacs.lost.clear()
            at.await_states({"confirmed"})
        assert pacs.stored == [uid]


def test_a_pacs_that_is_away_or_fails_when_it_is_asked_is_asked_again(office: Open) -> None:
    port = free_port()
    with FakePacs(port=port) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        at.courier(confirms=False).run_once()
        stored = list(pacs.stored)
    with at.delivering():
        wait_for(lambda: not at.ledger.to_confirm(["pacs"], now(), 9))
        assert [item.asked for item in at.ledger.to_confirm(["pacs"], now() + timedelta(days=1), 9)] == [0]
        assert set(at.states().values()) == {"sent"}
        with FakePacs(port=port) as pacs:
            pacs.fails_queries = True
            pacs.stored += stored
            wait_for(lambda: len(pacs.queries) > 1)
            pacs.fails_queries = False
            at.await_states({"confirmed"})


@pytest.mark.parametrize("trouble", [LedgerAway("the database is down"), RuntimeError("a mistake of ours")])
def test_trouble_is_told_once_and_ends_no_courier(
    office: Open, told: Callable[[str], list[dict[str, object]]], trouble: Exception
) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        at.read("report")
        calls, claim = [0], at.ledger.claim_deliveries

        def troubled(*given: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] < 12:
                raise trouble
            return claim(*given, **named)

        at.ledger.claim_deliveries = troubled  # type: ignore[method-assign]
        with at.delivering():
            at.await_states({"confirmed"})
        assert len([event for event in told("unexpected") if event["during"] == "delivery: pacs"]) == 1


def test_held_results_go_as_soon_as_their_sender_is_configured(office: Open) -> None:
    with FakePacs() as pacs:
        at = office()
        at.read(*ALL)
        assert set(at.states().values()) == {"held", "withheld"}
        with at.delivering():
            pass
        at.peers["pacs"] = pacs.peer
        with at.delivering():
            at.await_states({"confirmed", "withheld"})
        assert len(pacs.stored) == 2


def test_a_held_kind_that_its_peer_does_not_receive_expires_by_name(office: Open) -> None:
    with FakePacs() as pacs:
        at = office()
        at.read("report", "segmentation", "summary-image")
        at.peers["pacs"] = peer_at(pacs.port, receives=["segmentation", "summary-image"])
        with at.delivering():
            at.await_states({"expired", "confirmed"})
        assert at.states()["report", None] == "expired"
        assert "does not receive this kind" in at.errors()[0]
        assert len(pacs.stored) == 2  # the summary stands in for the report


def test_results_for_a_peer_that_left_the_settings_say_so_and_wait_for_it(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(old=pacs.peer)
        at.read("report")
        at.peers.clear()
        with at.delivering():
            wait_for(lambda: at.errors())
        assert "old" in at.errors()[0]
        at.peers["old"] = pacs.peer
        with at.delivering():
            at.await_states({"confirmed"})


def test_a_changed_file_is_not_sent(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        first, _ = at.read("report", "segmentation")
        path = next(at.folder.glob(f"*/{first}.dcm"))
        path.write_bytes(path.read_bytes()[:-2] + b"xx")
        with at.delivering():
            at.await_states({"refused", "confirmed"})
        assert len(pacs.stored) == 1


def test_a_missing_file_is_looked_for_again(office: Open) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        (uid,) = at.read("report")
        path = next(at.folder.glob(f"*/{uid}.dcm"))
        path.rename(path.with_suffix(".away"))
        with at.delivering():
            wait_for(lambda: at.errors())
            path.with_suffix(".away").rename(path)
            at.await_states({"confirmed"})


def test_a_long_send_keeps_its_lease(office: Open) -> None:
    """The peer takes longer than the lease for one object, and another courier is looking for work."""

    def ponder(event: evt.Event) -> int:
        threading.Event().wait(4.2)
        return 0

    timing = Timing(lease=timedelta(seconds=3), heartbeat=timedelta(seconds=0.1), tick=timedelta(seconds=0.02))
    with FakePacs(on_store=ponder) as pacs:
        at = office(pacs=pacs.peer)
        (uid,) = at.read("report")
        with at.delivering(timing=timing), at.delivering(timing=timing):
            at.await_states({"confirmed"})
        assert pacs.stored == [uid]


def test_sigterm_hands_back_what_a_slow_peer_has_not_answered(office: Open) -> None:
    reached, done = threading.Event(), threading.Event()

    def ponder(event: evt.Event) -> int:
        reached.set()
        done.wait(20)
        return 0

    with FakePacs(on_store=ponder) as pacs:
        at = office(pacs=pacs.peer)
        at.read("report", "segmentation")
        with at.delivering(limits=TimeLimits(answer=timedelta(seconds=60))):
            assert reached.wait(20)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert set(at.states().values()) == {"due"}
        done.set()
        claim = at.ledger.claim_deliveries("another", timedelta(seconds=5), now(), 1)
        assert len(claim[0].items) == 2  # due at once, not after a pause


def test_an_idle_courier_hardly_works(office: Open) -> None:
    at = office(pacs=peer_at(free_port()))
    with at.delivering(timing=Timing()):
        began = time.process_time()
        threading.Event().wait(1.0)
        assert time.process_time() - began < 0.2


# --- killed ------------------------------------------------------------------------------------------------


def _deliver_and_die(folder: Path, port: int, point: str) -> None:
    """A courier in a process of its own that kills itself at ``point``."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    at = Office(folder, pacs=peer_at(port))
    if point == "before send":
        Link.store = die  # type: ignore[method-assign, assignment]
    elif point == "between send and answer":
        from pynetdicom.dimse import DIMSEServiceProvider

        get_msg = DIMSEServiceProvider.get_msg
        DIMSEServiceProvider.get_msg = lambda self, block=False: die() if block else get_msg(self, block)
    elif point == "between answer and ledger":
        at.ledger.delivered = die  # type: ignore[method-assign, assignment]
    elif point == "between two objects":
        delivered = at.ledger.delivered
        at.ledger.delivered = lambda *said: (delivered(*said), die())  # type: ignore[method-assign, assignment]
    at.courier().run(threading.Event())


@pytest.mark.parametrize(
    "point", ["before send", "between send and answer", "between answer and ledger", "between two objects"]
)
def test_a_courier_killed_at_any_step_loses_nothing_and_doubles_nothing(office: Open, point: str) -> None:
    with FakePacs() as pacs:
        at = office(pacs=pacs.peer)
        uids = at.read("report", "segmentation", padding=200_000)
        process = multiprocessing.get_context("spawn").Process(
            target=_deliver_and_die, args=(at.folder, pacs.port, point)
        )
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        with at.delivering():
            at.await_states({"confirmed"})
        assert set(pacs.stored) == set(uids)


# --- real peers --------------------------------------------------------------------------------------------


@pytest.mark.servers
def test_orthanc_away_for_a_while_gets_each_object_once(office: Open, tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs") as pacs:
        at = office(pacs=peer_at(pacs.port, pacs.ae_title))
        with at.delivering():
            first = at.read("report", "segmentation", study="2.25.1", sender=pacs.ae_title)
            at.await_states({"confirmed"}, "2.25.1")
            pacs.kill()
            second = at.read("report", "segmentation", study="2.25.2", sender=pacs.ae_title)
            wait_for(lambda: at.errors("2.25.2"))
        with at.delivering():  # another courier on the same ledger
            pacs.start()
            at.await_states({"confirmed"}, "2.25.2")
        assert pacs.studies() == ["2.25.1", "2.25.2"]
        assert pacs.instances("2.25.1") == first
        assert pacs.instances("2.25.2") == second


@pytest.mark.servers
def test_an_object_deleted_in_orthanc_before_it_was_confirmed_comes_back(office: Open, tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs") as pacs:
        at = office(pacs=peer_at(pacs.port, pacs.ae_title))
        (uid,) = at.read("report", sender=pacs.ae_title)
        at.courier(confirms=False).run_once()
        pacs.delete(uid)
        with at.delivering():
            at.await_states({"confirmed"})
        assert pacs.instances() == [uid]


@pytest.mark.servers
def test_storescp_gets_the_files_and_stays_at_sent(office: Open, tmp_path: Path) -> None:
    folder = tmp_path / "scp"
    folder.mkdir()
    with storescp(folder) as port:
        at = office(pacs=peer_at(port))
        at.read("report", "segmentation")
        with at.delivering():
            at.await_states({"sent"})
        assert len(list(folder.iterdir())) == 2
