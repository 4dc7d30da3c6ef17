from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.wire.node import Node

NodeMaker = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeMaker]:
    """Starts receivers that end with the test."""
    with ExitStack() as stack:

        def make(name: str = "spool", **reception: Any) -> Node:
            node = Node(tmp_path / name, **reception)
            stack.callback(node.stop)
            return node

        yield make


@pytest.fixture
def node(make_node: NodeMaker) -> Node:
    return make_node()
