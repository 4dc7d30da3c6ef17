from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from her2node.dimse.queries import QUERIES, STUDY_ROOT_FIND, SeriesHeld, StudyHeld
from her2node.dimse.requestor import (
    Link,
    Need,
    Outgoing,
    Requestor,
    TimeLimits,
    batches,
    needs_of,
)
from her2node.dimse.tls import client_context
from her2node.errors import (
    AssociationRejected,
    InstanceRejected,
    InstanceUnreadable,
    PeerAway,
    PeerBusy,
    SopClassRefused,
    SpoolAway,
)
from her2node.settings import Peer, TlsFiles
from tests.delivery.objects import CT, SEG, SR, write_object
from tests.delivery.peers import VERIFICATION, FakePacs, deaf_peer, holding, peer_at, storescp
from tests.dimse.test_probe import authority_server
from tests.orthanc import Orthanc, free_port, wait_for
from tests.wire.certificates import Authority

QUICK = TimeLimits(connect=timedelta(seconds=1), answer=timedelta(seconds=0.5), slowest_bytes_per_second=50_000_000)
PATIENT = TimeLimits(connect=timedelta(seconds=5), answer=timedelta(seconds=20))


@contextmanager
def sending(peer: Peer, *paths: Path, limits: TimeLimits = PATIENT) -> Iterator[tuple[Link, list[Outgoing]]]:
    files = [Outgoing.of(path) for path in paths]
    with Requestor("HER2NODE", limits=limits).open(peer, needs_of(files)) as link:
        yield link, files


def test_only_what_is_sent_is_proposed(tmp_path: Path) -> None:
    paths = [write_object(tmp_path, SR, 1), write_object(tmp_path, SR, 2), write_object(tmp_path, SEG, 3)]
    with FakePacs() as pacs, sending(pacs.peer, *paths) as (link, files):
        assert [link.store(file) for file in files] == ["", "", ""]
        assert pacs.stored == ["2.25.100.1", "2.25.100.2", "2.25.100.3"]
        assert pacs.proposed == [
            [
                (SR, ExplicitVRLittleEndian),
                (SR, ImplicitVRLittleEndian),
                (SEG, ExplicitVRLittleEndian),
                (SEG, ImplicitVRLittleEndian),
            ]
        ]
        assert set(pacs.syntaxes) == {ExplicitVRLittleEndian}


def test_an_answer_is_left_to_who_waits_for_it_however_often_pynetdicoms_reactor_looks(tmp_path: Path) -> None:
    paths = [write_object(tmp_path, SR, number) for number in range(1, 31)]
    done = threading.Event()

    def look(link: Link) -> None:
        while not done.is_set():
            link._assoc.dimse.get_msg(block=False)

    with FakePacs() as pacs, sending(pacs.peer, *paths) as (link, files):
        reactor = threading.Thread(target=look, args=(link,))
        reactor.start()
        try:
            assert [link.store(file) for file in files] == [""] * 30
        finally:
            done.set()
            reactor.join()
        assert len(pacs.stored) == 30


def test_the_peer_gets_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = write_object(tmp_path, SEG, padding=300_000)
    received = tmp_path / "received"
    received.mkdir()
    with storescp(received, "-aet", "PACS", "--bit-preserving") as port:
        with sending(peer_at(port), path) as (link, (file,)):
            link.store(file)
        (arrived,) = wait_for(lambda: list(received.iterdir()))
    assert dcmread(arrived) == dcmread(path)


def test_a_peer_that_takes_only_the_default_transfer_syntax_gets_that(tmp_path: Path) -> None:
    path = write_object(tmp_path, SR)
    with FakePacs(syntaxes=[ImplicitVRLittleEndian]) as pacs, sending(pacs.peer, path) as (link, (file,)):
        link.store(file)
        assert pacs.syntaxes == [ImplicitVRLittleEndian]
        assert pacs.datasets["2.25.100.1"] == dcmread(path)


def test_a_compressed_object_is_offered_in_its_own_syntax_alone(tmp_path: Path) -> None:
    file = Outgoing.of(write_object(tmp_path, SR, syntax=DeflatedExplicitVRLittleEndian))
    assert file.needs == (Need(SR, DeflatedExplicitVRLittleEndian),)


def test_what_needs_more_contexts_than_an_association_takes_is_split(tmp_path: Path) -> None:
    files = [Outgoing(tmp_path / "x", f"1.2.{number}", "1", ExplicitVRLittleEndian, 1) for number in range(100)]
    split = list(batches(files))
    assert [len(batch) for batch in split] == [64, 36]
    assert [file for batch in split for file in batch] == files


def test_a_file_that_is_no_dicom_is_unreadable_and_one_that_is_gone_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(SpoolAway):
        Outgoing.of(tmp_path / "gone.dcm")
    junk = tmp_path / "junk.dcm"
    junk.write_bytes(b"junk" * 100)
    with pytest.raises(InstanceUnreadable):
        Outgoing.of(junk)


def test_a_refused_class_is_named_and_the_rest_still_goes(tmp_path: Path) -> None:
    paths = [write_object(tmp_path, SR, 1), write_object(tmp_path, SEG, 2)]
    with FakePacs(classes=[SEG]) as pacs, sending(pacs.peer, *paths) as (link, (sr, seg)):
        with pytest.raises(SopClassRefused, match="Comprehensive 3D SR"):
            link.store(sr)
        assert link.store(seg) == ""


def test_a_peer_that_accepts_nothing_of_it_refuses_each_object(tmp_path: Path) -> None:
    with (
        FakePacs(classes=[SEG]) as pacs,
        sending(pacs.peer, write_object(tmp_path, SR)) as (link, (file,)),
        pytest.raises(SopClassRefused),
    ):
        link.store(file)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, PeerBusy),
        (0xA7FF, PeerBusy),
        (0x0110, PeerBusy),
        (0x0213, PeerBusy),
        (0xA900, InstanceRejected),
        (0xC000, InstanceRejected),
        (0xC211, InstanceRejected),
        (0x0124, InstanceRejected),
        (0x0122, SopClassRefused),
    ],
)
def test_a_failure_says_whether_another_try_can_help(tmp_path: Path, status: int, error: type[Exception]) -> None:
    path = write_object(tmp_path)
    with FakePacs(on_store=lambda event: status) as pacs, sending(pacs.peer, path) as (link, (file,)):
        with pytest.raises(error, match=f"0x{status:04X}"):
            link.store(file)
        with pytest.raises(error):  # the association lives on
            link.store(file)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_counts_as_accepted_with_a_note(tmp_path: Path, status: int) -> None:
    path = write_object(tmp_path)
    with FakePacs(on_store=lambda event: status) as pacs, sending(pacs.peer, path) as (link, (file,)):
        assert f"0x{status:04X}" in link.store(file)


def test_nobody_at_the_port_is_a_peer_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(PeerAway, match="refused"), sending(peer_at(free_port()), write_object(tmp_path)):
        pass


def test_a_host_without_address_is_a_peer_that_is_away(tmp_path: Path) -> None:
    peer = Peer(ae="PACS", host="no-such-host.invalid", port=104)
    with pytest.raises(PeerAway) as caught, sending(peer, write_object(tmp_path)):
        pass
    assert "host" in caught.value.remedy


@pytest.mark.parametrize(
    "says",
    [b"", b"\x02\x00\xff\xff\xff\xff\x00\x01", b"\x02\x00\x00\x00\x00\x10", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ids=["silence", "a claim of 4 GiB", "half an answer", "another protocol"],
)
def test_a_peer_that_does_not_answer_the_association_is_away_in_time(tmp_path: Path, says: bytes) -> None:
    began = time.monotonic()
    with (
        deaf_peer(says=says) as port,
        pytest.raises(PeerAway),
        sending(peer_at(port), write_object(tmp_path), limits=QUICK),
    ):
        pass
    assert time.monotonic() - began < 5


def test_a_peer_that_hangs_up_is_away(tmp_path: Path) -> None:
    with (
        deaf_peer(then_closes=True) as port,
        pytest.raises(PeerAway),
        sending(peer_at(port), write_object(tmp_path), limits=QUICK),
    ):
        pass


def test_a_peer_that_aborts_amid_an_object_is_away(tmp_path: Path) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    paths = [write_object(tmp_path, SR, number) for number in (1, 2)]
    with FakePacs(on_store=abort) as pacs:
        with pytest.raises(PeerAway), sending(pacs.peer, *paths) as (link, files):
            link.store(files[0])
        with sending(pacs.peer, *paths) as (link, files):
            with pytest.raises(PeerAway):
                link.store(files[0])
            with pytest.raises(PeerAway):
                link.store(files[1])


def test_a_peer_that_does_not_answer_an_object_is_away_in_time(tmp_path: Path) -> None:
    done = threading.Event()

    def ponder(event: evt.Event) -> int:
        done.wait(20)
        return 0x0000

    began = time.monotonic()
    with FakePacs(on_store=ponder) as pacs:
        with (
            pytest.raises(PeerAway, match="did not answer within"),
            sending(pacs.peer, write_object(tmp_path), limits=QUICK) as (link, (file,)),
        ):
            link.store(file)
        assert time.monotonic() - began < 5
        done.set()


def test_a_peer_that_stops_reading_is_away_in_time(tmp_path: Path) -> None:
    """After it accepted the association it reads nothing, so that the node's send blocks in the kernel."""
    seen: list[evt.Event] = []

    def plug(event: evt.Event) -> None:
        seen.append(event)
        done.wait(20)

    done = threading.Event()
    path = write_object(tmp_path, padding=40_000_000)
    began = time.monotonic()
    with FakePacs() as pacs:
        pacs._server.bind(evt.EVT_PDU_RECV, lambda event: plug(event) if seen else seen.append(event))
        with pytest.raises(PeerAway), sending(pacs.peer, path, limits=QUICK) as (link, (file,)):
            link.store(file)
        assert time.monotonic() - began < 10
        done.set()


def test_an_unknown_calling_ae_title_is_rejected_with_a_remedy(tmp_path: Path) -> None:
    with (
        FakePacs(require_calling=["OTHER"]) as pacs,
        pytest.raises(AssociationRejected) as caught,
        sending(pacs.peer, write_object(tmp_path)),
    ):
        pass
    assert "HER2NODE" in caught.value.remedy


def test_a_wrong_called_ae_title_is_rejected_with_a_remedy(tmp_path: Path) -> None:
    with (
        FakePacs() as pacs,
        pytest.raises(AssociationRejected) as caught,
        sending(peer_at(pacs.port, "WRONG"), write_object(tmp_path)),
    ):
        pass
    assert "`ae`" in caught.value.remedy


def test_a_peer_at_its_limit_of_associations_is_away_not_lost(tmp_path: Path) -> None:
    path = write_object(tmp_path)
    with FakePacs() as pacs:
        pacs._server.ae.maximum_associations = 1
        with (
            sending(pacs.peer, path),
            pytest.raises(PeerAway, match="transient"),
            sending(pacs.peer, path),
        ):
            pass


def test_storescp_that_refuses_associations_is_rejected(tmp_path: Path) -> None:
    with (
        storescp(tmp_path, "--refuse") as port,
        pytest.raises(AssociationRejected),
        sending(peer_at(port), write_object(tmp_path)),
    ):
        pass


def test_storescp_that_aborts_is_away(tmp_path: Path) -> None:
    with (
        storescp(tmp_path, "--abort-during") as port,
        pytest.raises(PeerAway),
        sending(peer_at(port), write_object(tmp_path, padding=500_000)) as (link, (file,)),
    ):
        link.store(file)


def test_echo_is_answered() -> None:
    with FakePacs() as pacs, Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(VERIFICATION)]) as link:
        link.echo()
        assert pacs.echoes == 1


def test_a_query_tells_what_the_peer_has_of_a_series(tmp_path: Path) -> None:
    with FakePacs() as pacs:
        pacs.stored += ["2.25.100.1", "2.25.100.2"]
        with Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link:
            assert link.find("2.25.100", "2.25.100.1", ["2.25.100.1", "2.25.100.9"]) == {"2.25.100.1"}
            assert link.find("2.25.100", "2.25.100.1", ["2.25.100.9"]) == frozenset()
        query = pacs.queries[0]
        assert (query.QueryRetrieveLevel, query.StudyInstanceUID) == ("IMAGE", "2.25.100")


def test_a_query_tells_how_many_objects_the_peer_has_of_a_study() -> None:
    with FakePacs() as pacs:
        pacs.holds = holding({"1.2": ("CT", 120), "1.1": ("SEG", 1)}, objects=121)
        with Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link:
            held = link.count("2.25.100")
    assert held == StudyHeld((SeriesHeld("1.1", "SEG", 1), SeriesHeld("1.2", "CT", 120)), 121)
    asked = {query.QueryRetrieveLevel: query for query in pacs.queries}
    for level in ("SERIES", "STUDY"):
        assert {item.keyword for item in asked[level]} - {"QueryRetrieveLevel"} == set(QUERIES[level])
        assert [item.value for item in asked[level] if item.value] == [level, "2.25.100"]


def test_a_number_that_the_peer_leaves_out_or_garbles_is_none() -> None:
    with FakePacs() as pacs, Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link:
        pacs.holds = holding({"1.1": ("CT", None), "1.2": ("", ""), "1.3": ("CT", -4)}, objects="")
        held = link.count("2.25.100")
        pacs.holds = []
        assert link.count("2.25.100") == StudyHeld((), None)
    assert held == StudyHeld(
        (SeriesHeld("1.1", "CT", None), SeriesHeld("1.2", "", None), SeriesHeld("1.3", "CT", None)), None
    )


def test_what_a_peer_answers_of_other_studies_is_left_out() -> None:
    with FakePacs() as pacs, Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link:
        pacs.holds = holding({"1.1": ("CT", 5)}, 5, study="2.25.999") + holding({"1.2": ("CT", 7)}, 7)
        assert link.count("2.25.100") == StudyHeld((SeriesHeld("1.2", "CT", 7),), 7)


def test_a_failed_count_is_tried_again_and_a_refused_one_is_not() -> None:
    with FakePacs() as pacs, Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link:
        pacs.fails_queries = True
        with pytest.raises(PeerBusy, match="0xC001"):
            link.count("2.25.100")
    with (
        FakePacs(finds=False) as pacs,
        Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link,
        pytest.raises(SopClassRefused),
    ):
        link.count("2.25.100")


def test_a_peer_without_queries_says_so(tmp_path: Path) -> None:
    with (
        FakePacs(finds=False) as pacs,
        Requestor("HER2NODE", limits=PATIENT).open(pacs.peer, [Need(STUDY_ROOT_FIND)]) as link,
        pytest.raises(SopClassRefused),
    ):
        link.find("2.25.100", "2.25.100.1", ["2.25.100.1"])


def test_objects_go_over_tls_with_the_certificate_of_the_node(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    tls = client_context(TlsFiles(certificate=certificate, key=key, ca=authority.file))
    file = Outgoing.of(write_object(tmp_path, SEG, padding=300_000))
    with FakePacs(tls=authority_server(authority)) as pacs:
        peer = peer_at(pacs.port, host="localhost", tls=True)
        with Requestor("HER2NODE", tls, PATIENT).open(peer, file.needs) as link:
            assert link.store(file) == ""
        assert pacs.stored == ["2.25.100.1"]
        with pytest.raises(PeerAway, match="wants TLS"), Requestor("HER2NODE").open(peer, file.needs):
            pass
        stranger = peer_at(pacs.port, host="127.0.0.1", tls=True)  # a name that its certificate does not bear
        with (
            pytest.raises(PeerAway, match="certificate verify failed"),
            Requestor("HER2NODE", tls, PATIENT).open(stranger, file.needs),
        ):
            pass


def test_everything_open_can_be_cut_from_another_thread(tmp_path: Path) -> None:
    reached, done = threading.Event(), threading.Event()

    def ponder(event: evt.Event) -> int:
        reached.set()
        done.wait(20)
        return 0x0000

    requestor = Requestor("HER2NODE", limits=PATIENT)
    file = Outgoing.of(write_object(tmp_path))
    with FakePacs(on_store=ponder) as pacs:
        cutter = threading.Thread(target=lambda: (reached.wait(20), requestor.cut_all()))
        cutter.start()
        with pytest.raises(PeerAway, match="the node stops"), requestor.open(pacs.peer, needs_of([file])) as link:
            link.store(file)
        done.set()
        cutter.join()


def test_an_association_that_is_being_opened_can_be_cut_too() -> None:
    requestor = Requestor("HER2NODE", limits=PATIENT)
    with deaf_peer() as port:
        cutter = threading.Timer(0.3, requestor.cut_all)
        cutter.start()
        began = time.monotonic()
        with pytest.raises(PeerAway), requestor.open(peer_at(port), [Need(VERIFICATION)]):
            pass
        assert time.monotonic() - began < 5
        cutter.join()


@pytest.mark.servers
def test_orthanc_stores_finds_and_answers(tmp_path: Path) -> None:
    paths = [write_object(tmp_path, SR, 1), write_object(tmp_path, CT, 2)]
    with Orthanc(tmp_path / "pacs") as pacs:
        peer = peer_at(pacs.port, pacs.ae_title)
        with sending(peer, *paths) as (link, files):
            assert [link.store(file) for file in files] == ["", ""]
        with Requestor("HER2NODE").open(peer, [Need(STUDY_ROOT_FIND), Need(VERIFICATION)]) as link:
            link.echo()
            assert link.find("2.25.100", "2.25.100.1.1", ["2.25.100.1", "2.25.100.7"]) == {"2.25.100.1"}
            held = link.count("2.25.100")
        assert held == StudyHeld((SeriesHeld("2.25.100.1.1", "SR", 1), SeriesHeld("2.25.100.2.1", "CT", 1)), 2)
        assert pacs.instances("2.25.100") == ["2.25.100.1", "2.25.100.2"]
        assert pacs.instances(modality="CT") == ["2.25.100.2"]
        assert dcmread(paths[0]).PatientID == "P1"
        assert pacs.fetch("2.25.100.1", tmp_path / "back.dcm")
        assert dcmread(tmp_path / "back.dcm") == dcmread(paths[0])
