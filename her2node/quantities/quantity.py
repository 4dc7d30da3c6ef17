"""A measured number with its meaning, the same voxel by voxel, and the refusal that stands where there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from her2node.dicom.codes import Code
from her2node.errors import Refused
from her2node.selection.roles import Role
from her2node.volumes.volume import Floats, Geometry, SliceSource


@dataclass(frozen=True)
class Quantity:
    """One value: finite float, coded, with its UCUM unit, the ROI (tracking id) and series it was measured in.

    ``flags`` are sentences on what a reader must know to trust it; reports print them beside the value.
    ``parameters`` say in words what the method was set to, where it can be set. ``phase`` is the contrast phase of a
    dual-energy series, whose role says what its values are; a series whose role is a phase has none beside it.
    """

    roi: str
    role: Role | None
    code: Code
    value: float
    unit: Code
    modifier: Code | None = None
    method: Code | None = None
    series_uids: tuple[str, ...] = ()
    flags: tuple[str, ...] = field(default=(), kw_only=True)
    parameters: tuple[str, ...] = field(default=(), kw_only=True)
    phase: Role | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class NotMeasured:
    """What could not be measured, and why. ``code`` is None when nothing at all could be measured in the series,
    ``modifier`` and ``method`` when it is about all of them. ``phase`` as in ``Quantity``."""

    roi: str
    role: Role | None
    refused: Refused
    code: Code | None = None
    series_uids: tuple[str, ...] = ()
    modifier: Code | None = field(default=None, kw_only=True)
    method: Code | None = field(default=None, kw_only=True)
    phase: Role | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Evaluation:
    """What was found of a region in words: a coded concept with a coded value, from these series."""

    roi: str
    code: Code
    value: Code
    series_uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuantityMap:
    """One quantity voxel by voxel, on the grid of the series it was calculated from.

    ``voxels`` float32, shape ``geometry.shape``, read-only, NaN where the quantity is not defined. ``sources`` has one
    entry a slice: the images (of a dynamic series, those of one time point) that lie at the same place.
    ``low`` and ``high`` are the ends of a window in which a reader first sees it, in ``unit``. ``of``: the package
    whose answer it explains. ``own_grid``: the grid is that of no series, and ``sources`` are the images nearest to
    each slice.
    """

    code: Code
    unit: Code
    geometry: Geometry
    voxels: Floats = field(repr=False)
    sources: tuple[SliceSource, ...] = field(repr=False)
    series_uids: tuple[str, ...]
    low: float
    high: float
    role: Role | None = None
    method: Code | None = None
    parameters: tuple[str, ...] = ()
    of: str = ""
    own_grid: bool = False
