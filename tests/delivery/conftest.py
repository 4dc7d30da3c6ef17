from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from her2node.ledger import open_ledger
from her2node.settings import Peer
from tests.delivery.office import Office


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file to copy: making one takes a second."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    open_ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def office(tmp_path: Path, empty_ledger: Path) -> Iterator[Callable[..., Office]]:
    """Opens offices and closes their ledgers."""
    shutil.copy(empty_ledger, tmp_path / "ledger.sqlite")
    opened: list[Office] = []

    def open_office(**peers: Peer) -> Office:
        opened.append(Office(tmp_path, **peers))
        return opened[-1]

    yield open_office
    for one in opened:
        one.close()
