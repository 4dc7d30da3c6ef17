"""Dual-energy CT: iodine in a region, iodine against the aorta, effective atomic number; iodine from two energies.

Unit trap: scanners write iodine in mg/ml, in 100 ug/ml or without a unit. A gastric cancer takes up some 1 to 4 mg/ml
(which 70 keV show as 26 to 104 HU); "28" is 2.8 mg/ml in units of 100 ug/ml, and "3" is 3 mg/ml or, in tissue that
takes up little, 0.3. So where no unit is stated iodine is refused, whatever the values. The ratio to the aorta needs no
unit and is given all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code, Derivation, DualEnergy, Unit
from her2node.errors import NoReference, Refused, TooFewVoxels, UnitMissing
from her2node.quantities.histogram import PERCENTS, histogram_of
from her2node.quantities.photon_attenuation import hu_of_iodine
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Floats, Volume

Values = npt.NDArray[np.float64]

HIGHEST_LIKELY_MG_PER_ML = 10.0
"""Of the median of a tumour. More would be over 260 HU of enhancement at 70 keV."""
NORMALIZED_RANGE = (0.05, 1.2)
"""Of a tumour against the aorta in the same images; outside it the unit, the aorta or the region is suspect."""


BIN_MG_PER_ML = 0.1
"""Width of the bins of which the entropy of iodine is calculated."""
BIN_EFFECTIVE_Z = 0.1
"""The same of the effective atomic number."""


@dataclass(frozen=True)
class Aorta:
    """The voxels of the aorta on an iodine volume, bool, and whether the node found them itself."""

    mask: Bools = field(repr=False)
    found: bool = False


@dataclass(frozen=True)
class Provenance:
    """How the voxels of an iodine volume were had: whether their unit was stated, and by which method if not by the
    scanner alone."""

    stated: bool = True
    method: Code | None = None


def mean_iodine(values: Values) -> float:
    """Mean iodine concentration (IC).

    Formula: sum(x) / n.
    Unit: mg/ml.
    Shapes: values (n,), n >= 1.
    Source: the mean of the scanner's iodine map, as in Zhao H 2021 (AJR); concept (44588005, SCT, Iodine).
    Known deviation: scanners calibrate iodine each in its own way; figures of two makers differ by some per cent.
    """
    return float(values.mean())


def normalized_iodine(lesion: float, aorta: float) -> float:
    """Normalized iodine concentration (NIC).

    Formula: IC of the lesion / IC of the aorta, in the same images.
    Unit: 1.
    Shapes: two means.
    Source: Zhao H 2021 (AJR); normalized to the aorta as in Meng 2021.
    Known deviation: none; whatever unit both are in cancels.
    """
    return lesion / aorta


def effective_atomic_number(values: Values) -> float:
    """Mean effective atomic number.

    Formula: sum(x) / n.
    Unit: 1.
    Shapes: values (n,), n >= 1.
    Source: the mean of the scanner's map, concept (129320, DCM, Effective Atomic Number).
    Known deviation: the exponent of the mixture rule (2.94 to 3.5) is the scanner's and is not stated by it.
    """
    return float(values.mean())


def decompose(low: Floats, high: Floats, low_kev: float, high_kev: float) -> Floats:
    """Iodine concentration from images at two photon energies.

    Formula: c = (HU(low) - HU(high)) / (k(low) - k(high)), k(E) of ``photon_attenuation.hu_of_iodine``: a voxel is
    water of some density with c of iodine, so HU(E) = 1000 (density - 1) + c k(E).
    Unit: mg/ml.
    Shapes: low, high and the result alike, float32.
    Source: two-material decomposition into water and iodine (Alvarez and Macovski 1976).
    Known deviation: tissue that attenuates not as water (bone, calcium, fat) gets iodine that is not there.

    Raises InvalidAttribute for an energy that is not in the table.
    """
    found = np.subtract(low, high, dtype=np.float32)
    found /= np.float32(hu_of_iodine(low_kev) - hu_of_iodine(high_kev))
    return found


MEASURES: tuple[Callable[..., float | Floats], ...] = (
    mean_iodine,
    normalized_iodine,
    effective_atomic_number,
    decompose,
)
"""Every quantity of this method."""


def measure(
    volume: Volume,
    roi: Roi,
    role: Role | None,
    provenance: Provenance,
    aorta: Aorta | Refused | None,
    percents: Sequence[int] = PERCENTS,
) -> tuple[Quantity | NotMeasured, ...]:
    """Iodine in a region of an iodine volume, its histogram, and against the aorta.

    ``aorta``: its voxels on the same volume, why there is none, or None where the region is the aorta. What cannot be
    had is a NotMeasured: TooFewVoxels, UnitMissing (no unit is stated), NoReference (the aorta holds no iodine).
    """
    series_uids = (volume.series_instance_uid,)
    values = _values(volume, roi)
    if not values.size:
        reason = TooFewVoxels("no voxel of the region holds an image")
        return (NotMeasured(roi.tracking_id, role, reason, DualEnergy.IODINE, series_uids),)
    found = _concentrations(values, roi, role, provenance, series_uids, percents)
    return found if aorta is None else (*found, _normalized(volume, roi, role, aorta, mean_iodine(values)))


def measure_effective_z(
    volume: Volume, roi: Roi, role: Role | None, percents: Sequence[int] = ()
) -> tuple[Quantity | NotMeasured, ...]:
    """The mean effective atomic number in a region, its histogram too where ``percents`` of it are wanted;
    TooFewVoxels where no voxel holds an image."""
    series_uids, code = (volume.series_instance_uid,), DualEnergy.EFFECTIVE_ATOMIC_NUMBER
    values = _values(volume, roi)
    if not values.size:
        reason = TooFewVoxels("no voxel of the region holds an image")
        return (NotMeasured(roi.tracking_id, role, reason, code, series_uids),)
    if percents:
        where = (roi.tracking_id, role, series_uids)
        return histogram_of(values, code, Unit.ONE, *where, bin_width=BIN_EFFECTIVE_Z, percents=percents)
    value = effective_atomic_number(values)
    return (Quantity(roi.tracking_id, role, code, value, Unit.ONE, Derivation.MEAN, series_uids=series_uids),)


def _values(volume: Volume, roi: Roi) -> Values:
    return volume.voxels[roi.mask][volume.valid[roi.mask]].astype(np.float64)


def _concentrations(
    values: Values,
    roi: Roi,
    role: Role | None,
    provenance: Provenance,
    series_uids: tuple[str, ...],
    percents: Sequence[int],
) -> tuple[Quantity | NotMeasured, ...]:
    median = float(np.median(values))
    if not provenance.stated:
        reason = UnitMissing(
            f"iodine with a median of {median:.4g} and no unit: mg/ml or 100 ug/ml?",
            remedy="let the scanner write RescaleType MGML or a real world value mapping",
        )
        return (NotMeasured(roi.tracking_id, role, reason, DualEnergy.IODINE, series_uids),)
    unlikely = f"a median of {median:.4g} mg/ml is more than tissue takes up: check the unit that the scanner states"
    flags = (unlikely,) if median > HIGHEST_LIKELY_MG_PER_ML else ()
    told, bins = provenance.method, BIN_MG_PER_ML
    where = (roi.tracking_id, role, series_uids)
    found = histogram_of(values, DualEnergy.IODINE, Unit.MG_PER_ML, *where, bin_width=bins, percents=percents)
    # One method a value: where the statistic has its own, that of the voxels is a parameter.
    return tuple(
        replace(q, method=q.method or told, flags=flags, parameters=(told.meaning,) if told and q.method else ())
        if isinstance(q, Quantity)
        else q
        for q in found
    )


def _normalized(
    volume: Volume, roi: Roi, role: Role | None, aorta: Aorta | Refused, lesion: float
) -> Quantity | NotMeasured:
    series_uids, code = (volume.series_instance_uid,), DualEnergy.NORMALIZED_IODINE
    if isinstance(aorta, Refused):
        return NotMeasured(roi.tracking_id, role, aorta, code, series_uids)
    reference = volume.voxels[aorta.mask & volume.valid].astype(np.float64)
    if not reference.size or mean_iodine(reference) <= 0:
        reason = NoReference("the region of the aorta holds no iodine")
        return NotMeasured(roi.tracking_id, role, reason, code, series_uids)
    value = normalized_iodine(lesion, mean_iodine(reference))
    low, high = NORMALIZED_RANGE
    flags = () if low <= value <= high else (f"outside {low:g} to {high:g}: check the unit, the aorta and the region",)
    method = DualEnergy.FOUND_AORTA if aorta.found else DualEnergy.REGION_OF_AORTA
    return Quantity(roi.tracking_id, role, code, value, Unit.ONE, None, method, series_uids, flags=flags)
