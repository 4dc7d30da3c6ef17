"""Who is let in, seen from the peer."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import system_tool
from tests.wire.conftest import NodeMaker
from tests.wire.node import until
from tests.wire.peer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, Peer, associate_rq


@pytest.mark.parametrize(
    ("reception", "request_fields", "rejection", "remedy"),
    [
        ({"allow_addresses": ("10.0.0.0/8",)}, {}, (1, 1, 1), 'allow_addresses = ["10.0.0.0/8", "127.0.0.1"]'),
        ({}, {"called": "OTHER"}, (1, 1, 7), 'ae_title = "OTHER"'),
        ({"allow_ae_titles": ("CT1",)}, {"calling": "CT2"}, (1, 1, 3), 'allow_ae_titles = ["CT1", "CT2"]'),
    ],
)
def test_a_stranger_is_rejected_and_the_log_says_what_to_add(
    make_node: NodeMaker,
    capsys: pytest.CaptureFixture[str],
    reception: dict[str, Any],
    request_fields: dict[str, str],
    rejection: tuple[int, int, int],
    remedy: str,
) -> None:
    node = make_node(**reception)
    with Peer(node.port) as peer:
        peer.send(associate_rq(**request_fields))
        kind, body = peer.receive()
        assert (kind, tuple(body[1:])) == (A_ASSOCIATE_RJ, rejection)
        assert peer.receive() == (0, b"")
    assert remedy.replace('"', "") in capsys.readouterr().out.replace('\\"', "").replace('"', "")


def test_the_listed_title_is_let_in(make_node: NodeMaker) -> None:
    node = make_node(allow_ae_titles=("CT1",))
    with Peer(node.port) as peer:
        assert peer.associate(associate_rq(calling="CT1")) == A_ASSOCIATE_AC


def test_a_crowd_of_strangers_is_not_even_rejected(make_node: NodeMaker) -> None:
    node = make_node(allow_addresses=("10.0.0.0/8",))
    with ExitStack() as stack:
        silent = [stack.enter_context(Peer(node.port)) for _ in range(8)]
        until(lambda: len(node.receiver._acceptor._connections) == len(silent))
        with Peer(node.port) as ninth:
            assert ninth.receive() == (0, b"")


def test_dcmtk_understands_the_rejection(make_node: NodeMaker) -> None:
    node = make_node()
    done = subprocess.run(
        [system_tool("echoscu"), "-v", "-aec", "OTHER", "localhost", str(node.port)],
        env={**os.environ, "TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "Called AE Title Not Recognized" in done.stdout + done.stderr
