"""Machine code for the loops that arrays cannot say, made at the first call and kept in numba's cache.

It lets go of the interpreter, so threads that call it run at the same time. A compiled function may call others of its
own module, which become part of it.
"""

from __future__ import annotations

import functools
import pickle
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


_NO_CACHE = (RuntimeError, OSError, EOFError, pickle.UnpicklingError)
"""Neither the package's folder nor the user's can be written, the disk is full, or what lies there is cut short."""
_REORDERING = frozenset({"reassoc", "contract", "nsz", "nnan"})
_PARTS: dict[Callable[..., Any], Callable[[], Callable[..., Any]]] = {}
"""Of each compiled function how others of its module call it."""
_ONE_AT_A_TIME = threading.RLock()
"""Threads whose first call is the same shall wait for one compiler, not run two."""


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

        made = numba.njit(cache=cache, nogil=True, fastmath=set(fastmath))
        return cast(Callable[..., Any], made(_with_its_parts(function)))

    def one_machine_code(*, cache: bool) -> Callable[..., Any]:
        with _ONE_AT_A_TIME:
            return machine_code(cache=cache)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal keeps
        if keeps:
            try:
                return one_machine_code(cache=True)(*arguments)
            except _NO_CACHE:
                keeps = False
        return one_machine_code(cache=False)(*arguments)

    _PARTS[call] = functools.partial(one_machine_code, cache=False)
    return cast(F, call)


def _with_its_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with those of its module that it calls as machine code. Of its module alone, for numba makes its
    cache anew when the file of the function that it keeps has changed."""
    scope = function.__globals__
    named = {name: scope[name] for name in function.__code__.co_names if name in scope}
    parts = {
        name: _PARTS[value]()
        for name, value in named.items()
        if isinstance(value, FunctionType) and value in _PARTS and value.__module__ == function.__module__
    }
    bound = FunctionType(
        function.__code__, {**scope, **parts}, function.__name__, function.__defaults__, function.__closure__
    )
    return functools.update_wrapper(bound, function)
