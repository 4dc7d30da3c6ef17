"""Filters from tables of a configuration file, strictly: every key is known, every value of its kind."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from her2node.errors import SettingsRefused
from her2node.quantities.radiomics.filters.gabor import Gabor
from her2node.quantities.radiomics.filters.grid import Reach
from her2node.quantities.radiomics.filters.kernel import Floats
from her2node.quantities.radiomics.filters.linear import LaplacianOfGaussian, Laws, Mean
from her2node.quantities.radiomics.filters.riesz import Riesz
from her2node.quantities.radiomics.filters.wavelets import NonSeparableWavelet, SeparableWavelet


class Filter(Protocol):
    """An image in, an image of the same shape out."""

    @property
    def kind(self) -> str:
        """What a configuration file calls it."""
        ...

    @property
    def dimensions(self) -> int:
        """2: each slice by itself; 3: in space."""
        ...

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        """The response map, float64, of voxels of shape (slices, rows, columns).

        AnisotropicVoxels where the filter has a size in mm and the spacings along its axes differ.
        """
        ...

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        """How far around a voxel its response looks."""
        ...


_KINDS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (Mean, LaplacianOfGaussian, Laws, Gabor, SeparableWavelet, NonSeparableWavelet, Riesz)
}


def filter_from(table: Mapping[str, object]) -> Filter:
    """The filter that a table describes: ``kind`` and that kind's parameters by their names.

    SettingsRefused names the key that is unknown, missing or of the wrong type, and the values that an enumerated one
    can have. A parameter that is left out has the default of its class.
    """
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsRefused(f"filter kind {kind!r} is none of {', '.join(_KINDS)}")
    cls = _KINDS[kind]
    fields = {field.name: field for field in dataclasses.fields(cls)}
    _refuse(kind, "unknown", [key for key in table if key not in {"kind", *fields}])
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    _refuse(kind, "missing", [name for name in required if name not in table])
    hints = typing.get_type_hints(cls)
    values = {name: _value(f"{kind}: {name}", table[name], hints[name]) for name in fields if name in table}
    made: Filter = cls(**values)
    return made


def _refuse(kind: str, what: str, keys: list[str]) -> None:
    if keys:
        raise SettingsRefused(f"{kind}: {what} {', '.join(keys)}")


def _value(name: str, given: object, hint: object) -> object:
    """The value as the parameter's type has it."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    option = next(one for one in options if one is not types.NoneType)
    if option in _KINDS.values():
        return _inner(name, given, options)
    if isinstance(option, type) and issubclass(option, StrEnum):
        return _enumerated(name, given, option)
    if typing.get_origin(option) is tuple:
        if not isinstance(given, list) or any(type(item) is not int for item in given):
            raise SettingsRefused(f"{name} must be a list of whole numbers, not {given!r}")
        return tuple(given)
    if option is float and type(given) is int:
        return float(given)
    if type(given) is not option:
        raise SettingsRefused(f"{name} must be {getattr(option, '__name__', option)}, not {given!r}")
    return given


def _inner(name: str, given: object, kinds: tuple[object, ...]) -> Filter:
    if not isinstance(given, Mapping):
        raise SettingsRefused(f"{name} must be a table, not {given!r}")
    inner = filter_from(given)
    if type(inner) not in kinds:
        allowed = " or ".join(cls.kind for cls in _KINDS.values() if cls in kinds)
        raise SettingsRefused(f"{name} must be {allowed}, not {inner.kind}")
    return inner


def _enumerated(name: str, given: object, of: type[StrEnum]) -> StrEnum:
    if given not in list(of):
        raise SettingsRefused(f"{name} {given!r} is none of {', '.join(of)}")
    return of(str(given))
