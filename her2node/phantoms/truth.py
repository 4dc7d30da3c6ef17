"""The truth of a phantom: figures of the tumour and the organs from the shapes alone, before any voxel."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from her2node.phantoms.anatomy import Anatomy, Phase, Structure
from her2node.phantoms.planted import PLANTED
from her2node.phantoms.shapes import Ellipsoid, Point


@dataclass(frozen=True)
class TumourTruth:
    """Analytic figures of the tumour.

    ``diameter_mm`` is its longest chord; ``long_axis_mm`` and ``short_axis_mm`` are the axes of the largest section by
    a transverse plane; ``hu`` is the mean attenuation in each phase.
    """

    place: str
    centre_mm: Point
    semi_axes_mm: Point
    volume_mm3: float
    diameter_mm: float
    long_axis_mm: float
    short_axis_mm: float
    z_range_mm: tuple[float, float]
    hu: dict[Phase, float]


@dataclass(frozen=True)
class OrganTruth:
    """Mean attenuation of an organ's material in each phase."""

    name: str
    hu: dict[Phase, float]


@dataclass(frozen=True)
class IodineTruth:
    """Iodine in mg/ml of the tumour, of the aorta and of every organ's material, and the tumour's over the aorta's."""

    tumour: float
    aorta: float
    normalized: float
    organs: dict[str, float]


@dataclass(frozen=True)
class Truth:
    """What a phantom is. ``her2_positive`` is drawn with ``her2_probability``, which PLANTED derives from the HU.

    ``iodine`` is there for dual-energy studies.
    """

    seed: int
    tumour: TumourTruth
    organs: tuple[OrganTruth, ...]
    her2_probability: float
    her2_positive: bool
    iodine: IodineTruth | None = None

    def as_json(self) -> dict[str, object]:
        """Ready for ``json.dumps``."""
        return asdict(self)


def truth_of(anatomy: Anatomy, seed: int) -> Truth:
    """The truth of an anatomy; the label is drawn from ``seed``."""
    tumour = _tumour(anatomy)
    probability = PLANTED.probability(tumour.hu[Phase.PORTAL], tumour.hu[Phase.ARTERIAL])
    organs = {structure.name: _organ(structure) for structure in anatomy.organs}
    return Truth(seed, tumour, tuple(organs.values()), probability, PLANTED.draw(probability, seed))


def _tumour(anatomy: Anatomy) -> TumourTruth:
    shape = anatomy.tumour.shape
    long_mm, short_mm = _transverse_axes(shape)
    low, high = shape.bounds_mm
    return TumourTruth(
        place=anatomy.tumour.place,
        centre_mm=shape.centre_mm,
        semi_axes_mm=shape.semi_axes_mm,
        volume_mm3=shape.volume_mm3,
        diameter_mm=shape.diameter_mm,
        long_axis_mm=long_mm,
        short_axis_mm=short_mm,
        z_range_mm=(low[2], high[2]),
        hu={phase: anatomy.tumour.mean_hu(phase) for phase in Phase},
    )


def _transverse_axes(shape: Ellipsoid) -> tuple[float, float]:
    """Full axes of the section through the centre, the largest of the parallel sections, which are all similar."""
    section = shape.section(shape.centre_mm, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    if section is None:
        raise ValueError("a plane through the centre always cuts")
    axes = sorted((2 * math.hypot(*section.u_mm), 2 * math.hypot(*section.v_mm)))
    return axes[1], axes[0]


def _organ(structure: Structure) -> OrganTruth:
    return OrganTruth(structure.name, {phase: float(structure.hu.at(phase)) for phase in Phase})
