"""Machine code is kept where it can be, and made anew where it cannot: a full disk fails no job."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import caching

from her2node.quantities.compiling import compiled


def halved(values: Any) -> Any:
    return values / 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("act", ["load", "save"])
def test_code_is_made_anew_where_the_disk_refuses(act: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(*_: Any) -> None:
        tried.append(act)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, act, full)
    call = compiled(halved)
    for values in (np.arange(3.0), np.arange(3)):  # machine code of its own each
        assert call(values).tolist() == [0.0, 0.5, 1.0]
    assert tried == [act]
    assert not [path for path in files_of(cache) if path.suffix in (".nbi", ".nbc")]


@pytest.mark.parametrize("size", [0, 20])
def test_code_is_made_anew_where_what_was_kept_is_cut_short(size: int, cache: Path) -> None:
    """As by a power cut."""
    assert compiled(halved)(np.ones(2)).tolist() == [0.5, 0.5]
    assert files_of(cache)
    for path in files_of(cache):
        path.write_bytes(path.read_bytes()[:size])
    assert compiled(halved)(np.ones(2)).tolist() == [0.5, 0.5]


def test_code_is_made_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.FunctionCache, "_impl_class", _NoPlace)
    assert compiled(halved)(np.ones(2)).tolist() == [0.5, 0.5]


class _NoPlace(caching.CompileResultCacheImpl):
    _locator_classes = ()
