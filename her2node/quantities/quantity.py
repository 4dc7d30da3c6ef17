"""A measured number with its meaning, and the refusal that stands where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from her2node.dicom.codes import Code
from her2node.errors import Refused
from her2node.selection.roles import Role


@dataclass(frozen=True)
class Quantity:
    """One value: finite float, coded, with its UCUM unit, the ROI (tracking id) and series it was measured in."""

    roi: str
    role: Role | None
    code: Code
    value: float
    unit: Code
    modifier: Code | None = None
    method: Code | None = None
    series_uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotMeasured:
    """What could not be measured, and why. ``code`` is None when nothing at all could be measured in the series."""

    roi: str
    role: Role | None
    refused: Refused
    code: Code | None = None
    series_uids: tuple[str, ...] = ()
