"""From an uptake to the stored values of a PET image: dose, decay, units, as a scanner's calibration would.

The forward model of the PET phantom. The tracer decays in the body by its half-life; a frame holds the mean activity of
its duration, corrected for decay as DecayCorrection says; stored values are that in the units of the header.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from her2node.dicom.codes import Code
from her2node.phantoms.headers import coded, da, decimal, fill, item, tm


class Units(StrEnum):
    """What rescaled values are."""

    BQML = "bqml"
    """Activity in Bq/ml."""
    GML = "gml"
    """SUVbw, as GE writes it: SUVType is absent."""
    GML_LEAN = "gml-lean"
    """SUVlbm by Janmahasatian, SUVType LBMJANMA."""
    CM2ML = "cm2ml"
    """SUVbsa."""
    PHILIPS_SUV = "philips-suv"
    """CNTS with Philips' factor to SUVbw (7053,1000)."""
    PHILIPS_ACTIVITY = "philips-activity"
    """CNTS with Philips' factor to Bq/ml (7053,1009)."""


class Decay(StrEnum):
    """To which moment activity is corrected, and what tells it."""

    START = "start"
    """To the start of the scan, which SeriesTime tells."""
    START_GE = "start-ge"
    """To the start of the scan; SeriesTime lies after it, (0009,100D) of GEMS_PETD_01 tells it."""
    START_COUNTED = "start-counted"
    """To the start of the scan; SeriesTime lies after it, FrameReferenceTime leads back to it."""
    ADMIN = "admin"
    """To the injection."""
    NONE = "none"
    """Not at all."""


@dataclass(frozen=True)
class Person:
    """Who was given the tracer."""

    sex: str
    weight_kg: float
    size_m: float

    @property
    def lean_janmahasatian(self) -> float:
        """Lean body mass over weight: 9270 / (6680 + 216 BMI) for men, 9270 / (8780 + 244 BMI) for women."""
        bmi = self.weight_kg / self.size_m**2
        return 9270 / ((6680 + 216 * bmi) if self.sex == "M" else (8780 + 244 * bmi))

    @property
    def lean_james128(self) -> float:
        """Lean body mass over weight: 1.10 - 128 W / H² for men, 1.07 - 148 W / H² for women, H in cm."""
        ratio = self.weight_kg / (100 * self.size_m) ** 2
        return 1.10 - 128 * ratio if self.sex == "M" else 1.07 - 148 * ratio

    @property
    def surface_cm2_per_g(self) -> float:
        """Body surface (Du Bois) over weight: 71.84 W^0.425 H^0.725 cm2, H in cm."""
        return float(71.84 * self.weight_kg**0.425 * (100 * self.size_m) ** 0.725 / (1000 * self.weight_kg))


@dataclass(frozen=True)
class Tracer:
    """What was given, how much, when."""

    name: str
    radionuclide: Code
    half_life_s: float
    positron_fraction: float
    dose_bq: float
    injected: datetime

    def left(self, at: datetime) -> float:
        """What is left of the dose, Bq."""
        return self.dose_bq * math.pow(0.5, (at - self.injected).total_seconds() / self.half_life_s)


@dataclass(frozen=True)
class Timing:
    """When a bed position was scanned: the start of the scan, the start of this position and its duration."""

    scan: datetime
    begin: datetime
    duration: timedelta


@dataclass(frozen=True)
class Calibration:
    """How uptake becomes rescaled values."""

    units: Units
    decay: Decay
    person: Person
    tracer: Tracer

    def per_suv(self, timing: Timing) -> float:
        """The rescaled value of SUVbw 1."""
        match self.units:
            case Units.GML:
                return 1.0
            case Units.GML_LEAN:
                return self.person.lean_janmahasatian
            case Units.CM2ML:
                return self.person.surface_cm2_per_g
            case Units.PHILIPS_SUV | Units.PHILIPS_ACTIVITY:
                return self._activity(timing) / _COUNTS
            case Units.BQML:
                return self._activity(timing)

    def _activity(self, timing: Timing) -> float:
        """Bq/ml of SUVbw 1, as the image shows it."""
        tracer = self.tracer
        seconds = timing.duration.total_seconds()
        decay = math.log(2) / tracer.half_life_s
        shown = {
            Decay.ADMIN: tracer.dose_bq,
            Decay.NONE: tracer.left(timing.begin) * (1 - math.exp(-decay * seconds)) / (decay * seconds),
        }.get(self.decay, tracer.left(timing.scan))
        return shown / (1000 * self.person.weight_kg)

    def tell(self, ds: Dataset, timing: Timing) -> None:
        """Write it into the header: patient's tracer, units, decay, and the moments of the frame."""
        fill(
            ds,
            RadiopharmaceuticalInformationSequence=Sequence([self._given()]),
            Units=_WRITTEN[self.units],
            DecayCorrection={Decay.ADMIN: "ADMIN", Decay.NONE: "NONE"}.get(self.decay, "START"),
            CorrectedImage=["NORM", "ATTN", "SCAT", "DTIM", "RAN", *(["DECY"] if self.decay is not Decay.NONE else [])],
            AcquisitionDate=da(timing.begin),
            AcquisitionTime=tm(timing.begin),
            ActualFrameDuration=round(1000 * timing.duration.total_seconds()),
            FrameReferenceTime=decimal(1000 * self._mean_moment(timing)),
        )
        if self.units is Units.GML_LEAN:
            ds.SUVType = "LBMJANMA"
        if self.units in (Units.PHILIPS_SUV, Units.PHILIPS_ACTIVITY):
            self._tell_as_philips(ds, timing)
        if self.decay is Decay.START_GE:
            ds.Manufacturer = "GE MEDICAL SYSTEMS"
            ds.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", f"{timing.scan:%Y%m%d%H%M%S.%f}")
        if self.decay in (Decay.START_GE, Decay.START_COUNTED):
            late = timing.scan + timedelta(hours=1)
            fill(ds, SeriesDate=da(late), SeriesTime=tm(late))
        if self.decay in (Decay.START, Decay.START_GE, Decay.START_COUNTED):
            ds.DecayFactor = decimal(self.tracer.left(timing.scan) / self.tracer.left(self._middle(timing)))

    def _mean_moment(self, timing: Timing) -> float:
        """Seconds from the start of the scan to the moment at which the frame's mean activity held."""
        return (self._middle(timing) - timing.scan).total_seconds()

    def _middle(self, timing: Timing) -> datetime:
        decay = math.log(2) / self.tracer.half_life_s
        seconds = timing.duration.total_seconds()
        mean = (1 - math.exp(-decay * seconds)) / (decay * seconds)
        return timing.begin + timedelta(seconds=-math.log(mean) / decay)

    def _given(self) -> Dataset:
        tracer = self.tracer
        return item(
            Radiopharmaceutical=tracer.name,
            RadionuclideTotalDose=decimal(tracer.dose_bq),
            RadionuclideHalfLife=decimal(tracer.half_life_s),
            RadionuclidePositronFraction=decimal(tracer.positron_fraction),
            RadiopharmaceuticalStartTime=tm(tracer.injected),
            RadiopharmaceuticalStartDateTime=f"{tracer.injected:%Y%m%d%H%M%S.%f}",
            RadionuclideCodeSequence=coded(tracer.radionuclide),
            RadiopharmaceuticalCodeSequence=coded(FDG) if tracer.name == "FDG" else Sequence(),
        )

    def _tell_as_philips(self, ds: Dataset, timing: Timing) -> None:
        ds.Manufacturer = "Philips Medical Systems"
        block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
        direct = self.units is Units.PHILIPS_SUV
        block.add_new(0x00, "DS", decimal(1 / self.per_suv(timing)) if direct else "0")
        block.add_new(0x09, "DS", "0" if direct else decimal(_COUNTS))


FDG = Code("35321007", "SCT", "Fluorodeoxyglucose F^18^")
FLUORINE_18 = Code("77004003", "SCT", "^18^Fluorine")
_COUNTS = 1.75
"""Bq/ml of one count of Philips' images."""
_WRITTEN = {
    Units.BQML: "BQML",
    Units.GML: "GML",
    Units.GML_LEAN: "GML",
    Units.CM2ML: "CM2ML",
    Units.PHILIPS_SUV: "CNTS",
    Units.PHILIPS_ACTIVITY: "CNTS",
}
