"""Machine code for the loops that arrays cannot say, made at the first call and kept in numba's cache."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


_REORDERING = frozenset({"reassoc", "contract", "nsz", "nnan"})


def compiled(function: F) -> F:
    """Compile at the first call, so that importing a module loads no compiler."""
    return _at_first_call(function, frozenset())


def compiled_reordering(function: F) -> F:
    """``compiled``, with sums in any order and on numbers alone (no NaN), so that loops use wide registers."""
    return _at_first_call(function, _REORDERING)


def _at_first_call(function: F, fastmath: frozenset[str]) -> F:
    @functools.cache
    def machine_code() -> Callable[..., Any]:
        import numba

        try:
            return cast(Callable[..., Any], numba.njit(cache=True, fastmath=set(fastmath))(function))
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return cast(Callable[..., Any], numba.njit(fastmath=set(fastmath))(function))

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return machine_code()(*arguments)

    return cast(F, call)
