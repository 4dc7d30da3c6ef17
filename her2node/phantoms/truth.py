"""The truth of a phantom: figures of the tumour and the organs from the shapes alone, before any voxel."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from her2node.phantoms.anatomy import Anatomy, Phase, Structure
from her2node.phantoms.planted import PLANTED
from her2node.phantoms.shapes import Ellipsoid, Point
from her2node.phantoms.texture import Texture, entropy_bits


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


PERCENTS = (1, 5, 10, 25, 75, 90, 95, 99)
"""Of a texture; the 50th of a checker may be either value."""
BIN_WIDTH_HU = 5
FARTHEST_MM = 10


@dataclass(frozen=True)
class TextureTruth:
    """What a textured tumour shows without noise, from the texture's formula alone.

    ``texture`` names it in words. ``percentiles_hu`` of all places are those about the tumour's mean, which is the
    phase's ``hu``; ``entropy_bits`` is that of the histogram by whole bins of 5 HU from 0 on, in each phase;
    ``correlation`` is the autocorrelation along x, y and z at whole millimetres from 1 on. ``standard_error`` of the
    mean (HU) and the variance (HU²) over this tumour is there for a random texture.
    """

    texture: str
    variance_hu2: float
    skewness: float
    kurtosis: float
    percentiles_hu: dict[int, float]
    entropy_bits: dict[Phase, float]
    correlation: dict[str, tuple[float, ...]]
    standard_error: tuple[float, float] | None


@dataclass(frozen=True)
class Truth:
    """What a phantom is. ``her2_positive`` is drawn with ``her2_probability``, which PLANTED derives from the HU,
    and of perfusion studies PLANTED_VOLUME from the vascular share.

    ``texture`` is there for textured tumours, ``iodine`` for dual-energy studies.
    """

    seed: int
    tumour: TumourTruth
    organs: tuple[OrganTruth, ...]
    her2_probability: float
    her2_positive: bool
    iodine: IodineTruth | None = None
    texture: TextureTruth | None = None

    def as_json(self) -> dict[str, object]:
        """Ready for ``json.dumps``."""
        return asdict(self)


def truth_of(anatomy: Anatomy, seed: int) -> Truth:
    """The truth of an anatomy; the label is drawn from ``seed``."""
    tumour = _tumour(anatomy)
    probability = PLANTED.probability(tumour.hu[Phase.PORTAL], tumour.hu[Phase.ARTERIAL])
    organs = {structure.name: _organ(structure) for structure in anatomy.organs}
    texture = None if anatomy.tumour.texture is None else _texture(anatomy.tumour.texture, tumour)
    drawn = PLANTED.draw(probability, seed)
    return Truth(seed, tumour, tuple(organs.values()), probability, drawn, texture=texture)


def _texture(texture: Texture, tumour: TumourTruth) -> TextureTruth:
    axes = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
    return TextureTruth(
        texture=str(texture),
        variance_hu2=texture.variance_hu2,
        skewness=0.0,
        kurtosis=texture.kurtosis,
        percentiles_hu={percent: texture.quantile(percent / 100) for percent in PERCENTS},
        entropy_bits={phase: entropy_bits(texture, hu, BIN_WIDTH_HU) for phase, hu in tumour.hu.items()},
        correlation={
            name: tuple(texture.correlation((x * mm, y * mm, z * mm)) for mm in range(1, FARTHEST_MM + 1))
            for name, (x, y, z) in axes.items()
        },
        standard_error=texture.standard_errors(tumour.volume_mm3),
    )


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
