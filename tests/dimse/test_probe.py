from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from her2node.dimse.probe import Check, Verdict, probe
from her2node.dimse.requestor import Requestor, TimeLimits
from her2node.dimse.tls import client_context
from her2node.settings import Peer, TlsFiles
from tests.delivery.objects import SR
from tests.delivery.peers import FakePacs, deaf_peer, peer_at, storescp
from tests.orthanc import Orthanc, free_port
from tests.wire.certificates import Authority

LIMITS = TimeLimits(connect=timedelta(seconds=2), answer=timedelta(seconds=2))
REQUESTOR = Requestor("HER2NODE", limits=LIMITS)


def last(checks: Sequence[Check]) -> Check:
    """The check that ended the probe: bad, and with a remedy."""
    assert [check.fine for check in checks[:-1]] == [True] * (len(checks) - 1)
    assert not checks[-1].fine
    assert checks[-1].remedy
    return checks[-1]


def test_a_good_peer_passes_every_check() -> None:
    with FakePacs() as pacs:
        checks = {check.what: check for check in probe(REQUESTOR, pacs.peer)}
    assert all(check.fine for check in checks.values())
    assert list(checks) == [
        "connection",
        "association",
        *pacs.peer.receives,
        "C-FIND",
        "storage commitment",
    ]
    assert "Explicit VR Little Endian" in checks["report"].detail
    assert checks["storage commitment"].verdict is Verdict.LACKING


def test_a_class_that_the_peer_does_not_accept_is_named_with_what_to_do() -> None:
    with FakePacs(classes=[SR], finds=False) as pacs:
        checks = {check.what: check for check in probe(REQUESTOR, pacs.peer)}
    assert checks["report"].fine
    assert not checks["segmentation"].fine
    assert 'take "segmentation" out of its `receives`' in checks["segmentation"].remedy
    assert checks["C-FIND"].verdict is Verdict.LACKING


def test_only_what_the_peer_is_to_receive_is_asked_for() -> None:
    with FakePacs(classes=[SR]) as pacs:
        checks = probe(REQUESTOR, peer_at(pacs.port, receives=["report"]))
    assert all(check.fine for check in checks)


def test_nobody_at_the_port() -> None:
    assert "nobody listens there" in last(probe(REQUESTOR, peer_at(free_port()))).remedy


def test_an_unknown_host() -> None:
    assert "`host`" in last(probe(REQUESTOR, Peer(ae="PACS", host="no-such-host.invalid", port=104))).remedy


def test_a_port_that_answers_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        port = full.getsockname()[1]
        quick = Requestor("HER2NODE", limits=TimeLimits(connect=timedelta(seconds=0.3), answer=timedelta(seconds=0.3)))
        check = last(probe(quick, peer_at(port)))
    assert check.what in {"connection", "association"}


def test_a_port_that_speaks_something_else() -> None:
    with deaf_peer(says=b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert "DICOM port" in last(probe(REQUESTOR, peer_at(port))).remedy


def test_an_ae_title_that_the_peer_does_not_know() -> None:
    with FakePacs(require_calling=["OTHER"]) as pacs:
        assert "HER2NODE known to the peer" in last(probe(REQUESTOR, pacs.peer)).remedy
    with FakePacs() as pacs:
        assert "correct `ae`" in last(probe(REQUESTOR, peer_at(pacs.port, "WRONG"))).remedy


def test_tls_checks(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    with FakePacs(tls=authority_server(authority)) as pacs:
        peer = peer_at(pacs.port, host="localhost", tls=True)
        good = Requestor(
            "HER2NODE", client_context(TlsFiles(certificate=certificate, key=key, ca=authority.file)), LIMITS
        )
        assert all(check.fine for check in probe(good, peer))
        assert probe(good, peer)[1].detail.startswith("TLSv1.")

        assert "[delivery.tls]" in last(probe(REQUESTOR, peer)).remedy
        stranger = Authority(tmp_path, "stranger")
        distrusting = Requestor("HER2NODE", client_context(TlsFiles(ca=stranger.file)), LIMITS)
        assert "`ca`" in last(probe(distrusting, peer)).remedy
        without_certificate = Requestor("HER2NODE", client_context(TlsFiles(ca=authority.file)), LIMITS)
        assert "client certificate" in last(probe(without_certificate, peer)).remedy
        plain = peer_at(pacs.port, host="localhost")
        assert "TLS" in last(probe(good, plain)).remedy
    with FakePacs() as pacs:
        assert "speak TLS" in last(probe(good, peer_at(pacs.port, host="localhost", tls=True))).remedy


def authority_server(authority: Authority) -> ssl.SSLContext:
    """TLS of a PACS that wants a certificate from its peers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("pacs"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.servers
def test_orthanc_offers_everything(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs") as pacs:
        checks = probe(REQUESTOR, peer_at(pacs.port, pacs.ae_title))
    assert {check.what: check.verdict for check in checks if check.verdict is not Verdict.GOOD} == {}


@pytest.mark.servers
def test_storescp_offers_no_query(tmp_path: Path) -> None:
    with storescp(tmp_path) as port:
        checks = {check.what: check for check in probe(REQUESTOR, peer_at(port))}
        counting = {check.what: check for check in probe(REQUESTOR, peer_at(port, counts=True))}
    assert checks["report"].verdict is Verdict.GOOD
    assert checks["C-FIND"].verdict is counting["C-FIND"].verdict is Verdict.LACKING
    assert "`counts`" not in checks["C-FIND"].detail
    assert "`counts` is in vain" in counting["C-FIND"].detail
