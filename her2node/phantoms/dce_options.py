"""What kind of dynamic contrast-enhanced MR to make: layout, sequence, tissues and what lies where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum

import numpy as np

from her2node.errors import PhantomRefused
from her2node.phantoms.flow import Artery
from her2node.phantoms.leakage import BLOOD, Leaky
from her2node.phantoms.options import RoiForm
from her2node.phantoms.shapes import Ellipsoid, Point


class Layout(StrEnum):
    """How the time points lie in series and objects."""

    ONE_SERIES = "one-series"
    """One series with TemporalPositionIdentifier and AcquisitionTime."""
    SERIES_A_POINT = "series-a-point"
    """A series a time point."""
    CONTENT_TIME = "content-time"
    """One series, one AcquisitionTime, no temporal tags: ContentTime alone tells the points apart."""
    TRIGGER_TIME = "trigger-time"
    """One series, one AcquisitionTime and ContentTime: TriggerTime (ms) tells when, as GE writes it."""
    ENHANCED = "enhanced"
    """One enhanced object with a frame a slice and time point."""


BODY = Ellipsoid((0.0, 0.0, 0.0), (112.0, 92.0, 400.0))
LIVER = Ellipsoid((-58.0, -12.0, 0.0), (40.0, 45.0, 90.0))
SPLEEN = Ellipsoid((78.0, 30.0, 0.0), (16.0, 24.0, 50.0))
AORTA = Ellipsoid((8.0, 40.0, 0.0), (11.0, 11.0, 2000.0))
LUMEN = Ellipsoid((8.0, 40.0, 0.0), (9.0, 9.0, 300.0))
"""What is outlined of the aorta."""
TUMOUR = Ellipsoid((30.0, -28.0, 0.0), (26.0, 20.0, 16.0))
TISSUE = Leaky(0.18, 0.32, 0.05, 1200.0)
"""Of the tumour."""
_LIVER = Leaky(0.6, 0.35, 0.12, 800.0)
_SPLEEN = Leaky(0.45, 0.25, 0.15, 1300.0)
_MUSCLE = Leaky(0.06, 0.12, 0.01, 1100.0)
BLOOD_T1_MS = 1660.0
"""At 3 T (Lu 2004)."""
BLOOD_M0 = 34_000.0


@dataclass(frozen=True)
class DceOptions:
    """A study of ``slices`` x ``times_s``, and a series at each of ``flip_angles_deg`` before it (empty: none).

    The tumour has a ``core`` of other tissue, concentric and ``core_size`` times its size, where one is given.
    ``gauss``: MagneticFieldStrength in gauss. ``philips_scale``: stored in steps of (2005,100E) that differ between
    the series. ``shifts_mm`` is where the whole patient has moved to at each time point (empty: he lies still).
    ``relaxivity`` is in l/mmol/s: 4.5 is that of gadobutrol, which the headers name, in blood at 3 T (Shen 2015).
    Raises PhantomRefused.
    """

    seed: int = 1
    times_s: tuple[float, ...] = tuple(float(t) for t in range(0, 180, 3))
    flip_angles_deg: tuple[float, ...] = (2.0, 5.0, 10.0, 15.0)
    flip_angle_deg: float = 15.0
    repetition_time_ms: float = 5.0
    echo_time_ms: float = 1.8
    field_strength_t: float = 3.0
    gauss: bool = False
    philips_scale: bool = False
    rows: int = 64
    columns: int = 64
    slices: int = 8
    spacing_mm: float = 4.0
    slice_spacing_mm: float = 5.0
    noise: float = 2.0
    layout: Layout = Layout.ONE_SERIES
    rois: tuple[RoiForm, ...] = (RoiForm.BINARY,)
    aorta: bool = True
    tumour: Leaky = TISSUE
    core: Leaky | None = None
    core_size: float = 0.6
    liver: Leaky = _LIVER
    spleen: Leaky = _SPLEEN
    muscle: Leaky = _MUSCLE
    artery: Artery = BLOOD
    haematocrit: float = 0.45
    relaxivity: float = 4.5
    shifts_mm: tuple[Point, ...] = ()
    started: datetime = datetime(2025, 3, 5, 10, 15, tzinfo=timezone(timedelta(hours=8)))

    def __post_init__(self) -> None:
        if len(self.times_s) < 2 or self.times_s[0] < 0 or np.diff(self.times_s).min() <= 0:
            raise PhantomRefused("times must ascend from 0 or later, and be two at least")
        if self.shifts_mm and len(self.shifts_mm) != len(self.times_s):
            raise PhantomRefused("there must be one shift a time point")
        if not 0 < self.core_size < 1:
            raise PhantomRefused(f"a core of {self.core_size} times the tumour's size")
        if set(self.rois) - {RoiForm.BINARY, RoiForm.CONTOURS}:
            raise PhantomRefused("regions of MR are made as binary segments or as contours")
