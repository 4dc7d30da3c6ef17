"""Machine code is kept where it can be, and made anew where it cannot: a full disk fails no job."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import caching

from her2node.quantities.compiling import compiled


def halved(values: Any) -> Any:
    return values / 2


@compiled
def squared(values: Any) -> Any:
    return values * values


def squared_sum(values: Any) -> Any:
    return squared(values).sum()


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


def test_compiled_functions_of_a_module_call_each_other_also_from_the_cache(cache: Path) -> None:
    for _ in range(2):
        assert compiled(squared_sum)(np.array([1.0, 2.0, 3.0])) == 14.0
    assert {path.name.split("-")[0] for path in files_of(cache)} == {"test_compiling.squared_sum"}


def test_threads_whose_first_call_is_the_same_share_one_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    njit = numba.njit
    monkeypatch.setattr(numba, "njit", lambda **options: made.append(options) or njit(**options))
    call, together = compiled(halved), threading.Barrier(4)

    def first_call(_: int) -> Any:
        together.wait()
        return call(np.ones(2)).tolist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first_call, range(4))) == [[0.5, 0.5]] * 4
    assert len(made) == 1


class _NoPlace(caching.CompileResultCacheImpl):
    _locator_classes = ()
