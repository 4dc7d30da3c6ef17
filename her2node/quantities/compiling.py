"""Machine code for the loops that arrays cannot say, made at the first call and kept in numba's cache."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


_NO_CACHE = (RuntimeError, OSError, EOFError, pickle.UnpicklingError)
"""Neither the package's folder nor the user's can be written, the disk is full, or what lies there is cut short."""
_REORDERING = frozenset({"reassoc", "contract", "nsz", "nnan"})


def compiled(function: F) -> F:
    """Compile at the first call, so that importing a module loads no compiler."""
    return _at_first_call(function, frozenset())


def compiled_reordering(function: F) -> F:
    """``compiled``, with sums in any order and on numbers alone (no NaN), so that loops use wide registers."""
    return _at_first_call(function, _REORDERING)


def _at_first_call(function: F, fastmath: frozenset[str]) -> F:
    keeps = True

    @functools.cache
    def machine_code(*, cache: bool) -> Callable[..., Any]:
        import numba

        return cast(Callable[..., Any], numba.njit(cache=cache, fastmath=set(fastmath))(function))

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal keeps
        if keeps:
            try:
                return machine_code(cache=True)(*arguments)
            except _NO_CACHE:
                keeps = False
        return machine_code(cache=False)(*arguments)

    return cast(F, call)
