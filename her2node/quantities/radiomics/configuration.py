"""The settings block that makes a radiomics signature reproducible, read from TOML.

``read(file)`` reads a site's own, ``shipped(name)`` one of those that come with the node (IBSI 1 configurations A to E
and the digital phantom's). The reader is strict: an unknown key, a wrong type or a value out of range is refused by its
name. Filters, each a ``[[filters]]`` table, are measured beside the image itself (IBSI 2).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any

from her2node.dicom.codes import PRIVATE_SCHEME, Code
from her2node.errors import SettingsRefused
from her2node.quantities.radiomics.discretisation import Discretisation, FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.filters import Filter, filter_from
from her2node.quantities.radiomics.texture import Aggregation

FAMILIES = ("morph", "loc", "stat", "ih", "ivh", "cm", "rlm", "szm", "dzm", "ngt", "ngl")
"""Prefixes of IBSI's tags: morphology, local intensity, statistics, histogram, intensity-volume histogram, GLCM, GLRLM,
GLSZM, GLDZM, NGTDM, NGLDM."""
OF_RESPONSES = tuple(family for family in FAMILIES if family not in ("morph", "loc", "ivh"))
"""What is measured of a filter's response, whose values have no unit: intensity statistics, histogram, texture."""


@dataclass(frozen=True)
class Interpolation:
    """To voxels of another size; ``slice_mm`` None leaves the slices as they are (2-D). ``order`` 1 linear, 3 cubic.

    ``rounds``: intensities become whole numbers again. A voxel is in the region when ``mask_threshold`` of it are.
    """

    in_plane_mm: float
    slice_mm: float | None
    order: int
    rounds: bool
    mask_threshold: float


@dataclass(frozen=True)
class Resegmentation:
    """Which intensities count: from ``lowest`` to ``highest``, and within ``outliers_sigma`` SD of their mean."""

    lowest: float | None = None
    highest: float | None = None
    outliers_sigma: float | None = None


@dataclass(frozen=True)
class Filtered:
    """A filter by the name that a site gives it, and the tags wanted of its response (none: all of the families)."""

    name: str
    filter: Filter
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Response:
    """What is measured of every filter's response, and how it is discretised for histogram and texture."""

    families: tuple[str, ...] = ("stat",)
    discretisation: Discretisation | None = None


@dataclass(frozen=True)
class Configuration:
    """Everything that shapes the value of a feature, and which features are wanted."""

    name: str
    title: str
    interpolation: Interpolation | None
    resegmentation: Resegmentation
    discretisation: Discretisation
    volume_histogram: Discretisation | None
    aggregations: tuple[Aggregation, ...]
    dependence_coarseness: int
    families: tuple[str, ...]
    features: tuple[str, ...] = ()
    """Tags, when not all of the families are wanted."""
    filters: tuple[Filtered, ...] = ()
    response: Response = Response()

    @property
    def method(self) -> Code:
        """Names the configuration by a hash of what shapes a value, in words by name and title.

        Which features are wanted shapes none: a signature keeps the code of the block that it was found with.
        """
        return _hashed(repr(self._shaping()), f"Radiomics by {self.name}: {self.title}")

    def method_of(self, filtered: Filtered) -> Code:
        """Names the configuration and one of its filters."""
        settings = repr((self._shaping(), self.response.discretisation, filtered.filter))
        return _hashed(settings, f"Radiomics by {self.name}, {filtered.name}: {self.title}")

    def _shaping(self) -> dict[str, object]:
        wanted = {"aggregations", "families", "features", "filters", "response"}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in wanted}

    def of_response(self, filtered: Filtered) -> Configuration:
        """By what the features of a filter's response are calculated, once the image is processed."""
        return replace(
            self,
            resegmentation=Resegmentation(),
            discretisation=self.response.discretisation or self.discretisation,
            volume_histogram=None,
            families=self.response.families,
            features=filtered.features,
            filters=(),
            response=Response(),
        )

    def alike(self) -> tuple[Configuration, ...]:
        """By what features are calculated: of the image, then of each response."""
        return (self, *map(self.of_response, self.filters))


def _hashed(settings: str, words: str) -> Code:
    digest = hashlib.sha256(settings.encode()).hexdigest()[:8].upper()
    return Code(f"RAD-{digest}", PRIVATE_SCHEME, words[:64])


def shipped(name: str) -> Configuration:
    """One that comes with the node: ``ibsi-a`` to ``ibsi-e``, ``ibsi-digital``. Raises SettingsRefused."""
    return parse(shipped_text(name), name)


def shipped_text(name: str) -> str:
    """The file of one that comes with the node. Raises SettingsRefused."""
    folder = resources.files(__package__) / "configurations"
    known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in known:
        raise SettingsRefused(f"there is no configuration {name!r}", remedy=f"one of {', '.join(known)}")
    return (folder / f"{name}.toml").read_text(encoding="utf-8")


def parse(text: str, source: str) -> Configuration:
    """A configuration from the text of a TOML file; ``source`` is named in refusals. Raises SettingsRefused."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long and lists too deep
        raise SettingsRefused(f"{source}: {error}", remedy="correct the TOML") from error
    return of_table(content, source)


def of_table(content: Mapping[str, Any], source: str) -> Configuration:
    """A configuration from what a TOML file holds; ``source`` is named in refusals. Raises SettingsRefused."""
    table = _Table(content, source)
    found = Configuration(
        name=table.text("name", r"[A-Za-z0-9._-]{1,24}"),
        title=table.text("title", r".{1,200}"),
        interpolation=_interpolation(table.table("interpolation")),
        resegmentation=_resegmentation(table.table("resegmentation")),
        discretisation=_discretisation(table.need_table("discretisation")),
        volume_histogram=_volume_histogram(table.table("intensity_volume_histogram")),
        **_texture(table.need_table("texture")),
        families=table.choices("families", FAMILIES, FAMILIES),
        features=table.texts("features"),
        filters=_filters(table),
        response=_response(table.table("response")),
    )
    table.end()
    levels = {"ih", "cm", "rlm", "szm", "dzm", "ngt", "ngl"}
    of_levels = {tag.partition("_")[0] for one in found.filters for tag in one.features} | set(found.response.families)
    if found.filters and found.response.discretisation is None and of_levels & levels:
        raise SettingsRefused(
            f"{source}: [response] has no discretisation, which {', '.join(sorted(of_levels & levels))} needs",
            remedy='write for example discretisation = { method = "fixed-bin-number", bins = 32 }',
        )
    return found


def _filters(table: _Table) -> tuple[Filtered, ...]:
    found = [_filtered(one) for one in table.tables("filters")]
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise SettingsRefused(f"filters are named twice: {', '.join(names)}", remedy="give each filter its own name")
    return tuple(found)


def _filtered(table: _Table) -> Filtered:
    name = table.text("name", r"[A-Za-z0-9._-]{1,24}")
    features = table.texts("features")
    others = [tag for tag in features if tag.partition("_")[0] not in OF_RESPONSES]
    if others:
        raise SettingsRefused(
            f"filter {name}: {', '.join(others)} cannot be measured of a response",
            remedy=f"features of {', '.join(OF_RESPONSES)} can",
        )
    return Filtered(name, filter_from(table.rest()), features)


def _response(table: _Table | None) -> Response:
    if table is None:
        return Response()
    how = table.table("discretisation")
    found = Response(
        table.choices("families", OF_RESPONSES, Response.families), None if how is None else _discretisation(how)
    )
    table.end()
    return found


def _interpolation(table: _Table | None) -> Interpolation | None:
    if table is None:
        return None
    found = Interpolation(
        in_plane_mm=table.number("in_plane_mm", above=0),
        slice_mm=table.number("slice_mm", above=0) if "slice_mm" in table else None,
        order={"linear": 1, "cubic-spline": 3}[table.choice("method", ("linear", "cubic-spline"))],
        rounds=table.flag("round_intensities"),
        mask_threshold=table.number("mask_threshold", above=0, most=1) if "mask_threshold" in table else 0.5,
    )
    table.end()
    return found


def _resegmentation(table: _Table | None) -> Resegmentation:
    if table is None:
        return Resegmentation()
    lowest, highest = table.number("lowest") if "lowest" in table else None, None
    if "highest" in table:
        highest = table.number("highest", above=lowest)
    sigma = table.number("outliers_sigma", above=0) if "outliers_sigma" in table else None
    table.end()
    return Resegmentation(lowest, highest, sigma)


def _discretisation(table: _Table) -> Discretisation:
    found: Discretisation
    if table.choice("method", ("fixed-bin-size", "fixed-bin-number")) == "fixed-bin-size":
        found = FixedBinSize(table.number("size", above=0))
    else:
        found = FixedBinNumber(table.whole("bins", least=1))
    table.end()
    return found


def _volume_histogram(table: _Table | None) -> Discretisation | None:
    return None if table is None else _discretisation(table)


def _texture(table: _Table) -> dict[str, Any]:
    allowed = tuple(aggregation.value for aggregation in Aggregation)
    found = {
        "aggregations": tuple(map(Aggregation, table.choices("aggregations", allowed))),
        "dependence_coarseness": table.whole("dependence_coarseness", least=0)
        if "dependence_coarseness" in table
        else 0,
    }
    table.end()
    return found


class _Table:
    """A TOML table whose keys are taken one by one; what is left at the end was not known."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self._left = dict(content)
        self._where = where
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        self._known.append(key)
        return key in self._left

    def _refuse(self, key: str, problem: str, remedy: str) -> SettingsRefused:
        return SettingsRefused(f"{self._where}: {key} {problem}", remedy=remedy)

    def _take(self, key: str, kinds: tuple[type, ...], example: str) -> Any:
        if key not in self:
            raise self._refuse(key, "is missing", f"write for example {key} = {example}")
        value = self._left.pop(key)
        if type(value) not in kinds:
            raise self._refuse(key, f"is {value!r}", f"write for example {key} = {example}")
        return value

    def text(self, key: str, pattern: str) -> str:
        value: str = self._take(key, (str,), '"a-name"')
        if not re.fullmatch(pattern, value):
            raise self._refuse(key, f"is {value!r}", f"it must match {pattern}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        if key not in self:
            return ()
        values = self._take(key, (list,), '["morph_volume"]')
        if not values or any(type(value) is not str for value in values):
            raise self._refuse(key, f"is {values!r}", f'write for example {key} = ["morph_volume"]')
        return tuple(values)

    def flag(self, key: str) -> bool:
        return bool(self._take(key, (bool,), "true"))

    def number(self, key: str, *, above: float | None = None, most: float | None = None) -> float:
        value = float(self._take(key, (int, float), "2.0"))
        if not abs(value) < 1e12 or (above is not None and value <= above) or (most is not None and value > most):
            limits = [f"above {above}"] * (above is not None) + [f"at most {most}"] * (most is not None)
            raise self._refuse(key, f"is {value}", f"it must be a finite number {' and '.join(limits)}".strip())
        return value

    def whole(self, key: str, *, least: int) -> int:
        value: int = self._take(key, (int,), "32")
        if value < least:
            raise self._refuse(key, f"is {value}", f"it must be at least {least}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value: str = self._take(key, (str,), f'"{allowed[0]}"')
        if value not in allowed:
            raise self._refuse(key, f"is {value!r}", f"one of {', '.join(allowed)}")
        return value

    def choices(self, key: str, allowed: tuple[str, ...], default: tuple[str, ...] = ()) -> tuple[str, ...]:
        if default and key not in self:
            return default
        values = self._take(key, (list,), f'["{allowed[0]}"]')
        unknown = [value for value in values if value not in allowed]
        if unknown or not values:
            raise self._refuse(key, f"has {unknown or 'nothing'}", f"some of {', '.join(allowed)}")
        return tuple(dict.fromkeys(values))

    def table(self, key: str) -> _Table | None:
        return self.need_table(key) if key in self else None

    def tables(self, key: str) -> tuple[_Table, ...]:
        if key not in self:
            return ()
        values = self._take(key, (list,), "[[filters]] tables")
        if any(type(value) is not dict for value in values):
            raise self._refuse(key, f"is {values!r}", f"write [[{key}]] tables")
        return tuple(_Table(value, f"{self._where}: [[{key}]] {n}") for n, value in enumerate(values, start=1))

    def rest(self) -> dict[str, Any]:
        """What was not taken, for a reader of its own."""
        return self._left

    def need_table(self, key: str) -> _Table:
        return _Table(self._take(key, (dict,), "{ ... }"), f"{self._where}: [{key}]")

    def end(self) -> None:
        if self._left:
            known = ", ".join(dict.fromkeys(self._known))
            raise self._refuse(", ".join(self._left), "is not known here", f"the keys are {known}")
