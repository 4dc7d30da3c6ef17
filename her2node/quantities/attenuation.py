"""First-order statistics of CT attenuation over the voxels of a region that hold an image.

A voxel outside the field of view or with a padding value (``Volume.valid`` False) is no tissue and counts in no
statistic; how many such voxels the region had is a quantity of its own, left out when there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code, Derivation, Method, Unit, percentile_modifier
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import NotCalibrated, Refused, TooFewVoxels
from her2node.quantities.histogram import histogram_of
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Volume

Values = npt.NDArray[np.float64]

PERCENTS = (5, 10, 25, 75, 90, 95)
"""The 50th is the median, which has a code of its own."""
FEWEST_FOR_PERCENTILES = 30
"""Below this a percentile says more about the interpolation than about the tissue."""


def mean(values: Values) -> float:
    """Mean attenuation.

    Formula: sum(x) / n.
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: IBSI Q4LE (mean intensity); the review's HU of a phase.
    Known deviation: none; summed pairwise in float64.
    """
    return float(values.mean())


def standard_deviation(values: Values) -> float:
    """Standard deviation of attenuation, of a sample.

    Formula: sqrt(sum((x - mean)^2) / (n - 1)).
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 2.
    Source: DICOM (386136009, SCT) with divisor n-1, as dcmqi and radiology workstations print it.
    Known deviation: IBSI's variance (ECT3) divides by n.
    """
    return float(values.std(ddof=1))


def minimum(values: Values) -> float:
    """Lowest attenuation.

    Formula: min(x).
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: IBSI 1GSF.
    Known deviation: never below -1024 HU, which is no tissue (see volumes.ct).
    """
    return float(values.min())


def maximum(values: Values) -> float:
    """Highest attenuation.

    Formula: max(x).
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: IBSI 84IY.
    Known deviation: none.
    """
    return float(values.max())


def median(values: Values) -> float:
    """Median attenuation.

    Formula: the middle of the sorted values; the mean of the two middle ones when n is even.
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: IBSI Y12H.
    Known deviation: none.
    """
    return float(np.median(values))


def percentile(values: Values, percent: int) -> float:
    """Percentile of attenuation.

    Formula: with h = (n - 1) percent / 100 and x sorted, x[floor h] + (h - floor h) (x[floor h + 1] - x[floor h]).
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 30.
    Source: Hyndman and Fan 1996, type 7 (linear), the default of numpy and R.
    Known deviation: SPSS uses type 6; IBSI names no interpolation.
    """
    return float(np.percentile(values, percent, method="linear"))


def without_image(valid: Bools) -> float:
    """Voxels of the region without image.

    Formula: the number of voxels of the region that are padding or below -1024 HU.
    Unit: 1.
    Shapes: valid (n,), one a voxel of the region.
    Source: this node (volumes.ct).
    Known deviation: none.
    """
    return float(np.count_nonzero(~valid))


MEASURES: tuple[Callable[..., float], ...] = (
    mean,
    standard_deviation,
    minimum,
    maximum,
    median,
    percentile,
    without_image,
)
"""Every quantity of this method."""


@dataclass(frozen=True)
class _Statistic:
    """A statistic with its codes and the fewest voxels for which it is defined."""

    of: Callable[[Values], float]
    modifier: Code
    method: Code | None = None
    fewest: int = 1


def _of_percent(percent: int) -> Callable[[Values], float]:
    return lambda values: percentile(values, percent)


_STATISTICS = (
    _Statistic(mean, Derivation.MEAN),
    _Statistic(standard_deviation, Derivation.STANDARD_DEVIATION, Method.SD_N_MINUS_1, fewest=2),
    _Statistic(minimum, Derivation.MINIMUM),
    _Statistic(maximum, Derivation.MAXIMUM),
    _Statistic(median, Derivation.MEDIAN),
    *(
        _Statistic(_of_percent(p), percentile_modifier(p), Method.PERCENTILE_LINEAR, FEWEST_FOR_PERCENTILES)
        for p in PERCENTS
    ),
)


BIN_HU = 5.0
"""For the entropy: of the order of the noise."""


def histogram(
    volume: Volume, roi: Roi, role: Role | None, percents: Sequence[int]
) -> tuple[Quantity | NotMeasured, ...]:
    """What a histogram tells of a region of a CT volume beyond ``measure``: the other percentiles wanted, skewness,
    kurtosis and entropy. Nothing of a volume in another unit than HU, of which ``measure`` says why."""
    if volume.unit != Unit.HU:
        return ()
    values = volume.voxels[roi.mask][volume.valid[roi.mask]]
    told = {statistic.modifier for statistic in _STATISTICS}
    found = histogram_of(
        values, Concept.ATTENUATION, Unit.HU, roi.tracking_id, role, (volume.series_instance_uid,),
        bin_width=BIN_HU, percents=percents,
    )  # fmt: skip
    return tuple(one for one in found if one.modifier not in told)


def measure(volume: Volume, roi: Roi, role: Role | None) -> tuple[Quantity | NotMeasured, ...]:
    """Attenuation in a region of a CT volume.

    A statistic for which the region has too few voxels with image is a NotMeasured with TooFewVoxels; a volume in
    another unit than HU gives one NotMeasured with NotCalibrated.
    """
    series_uids = (volume.series_instance_uid,)
    if volume.unit != Unit.HU:
        reason = NotCalibrated(f"attenuation needs HU, the volume is in {volume.unit.value}")
        return (NotMeasured(roi.tracking_id, role, reason, Concept.ATTENUATION, series_uids),)
    valid = volume.valid[roi.mask]
    values = volume.voxels[roi.mask][valid].astype(np.float64)

    def judged(statistic: _Statistic) -> Quantity | NotMeasured:
        refused = _too_few(statistic, len(values))
        if refused is not None:
            modifier = statistic.modifier
            return NotMeasured(roi.tracking_id, role, refused, Concept.ATTENUATION, series_uids, modifier=modifier)
        return Quantity(
            roi=roi.tracking_id,
            role=role,
            code=Concept.ATTENUATION,
            value=statistic.of(values),
            unit=Unit.HU,
            modifier=statistic.modifier,
            method=statistic.method,
            series_uids=series_uids,
        )

    found = tuple(judged(statistic) for statistic in _STATISTICS)
    missing = without_image(valid)
    if not missing:
        return found
    count = Quantity(roi.tracking_id, role, Concept.VOXELS_WITHOUT_IMAGE, missing, Unit.ONE, series_uids=series_uids)
    return (*found, count)


def _too_few(statistic: _Statistic, voxels: int) -> Refused | None:
    if voxels >= statistic.fewest:
        return None
    return TooFewVoxels(f"{statistic.modifier.meaning}: {voxels} voxels with image, {statistic.fewest} needed")
