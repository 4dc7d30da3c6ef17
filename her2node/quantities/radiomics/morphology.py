"""Morphology (IBSI HCUG): size and shape of a region, and how its intensities lie in it.

Size and shape are of the morphological mask, intensities of the intensity mask. The surface is a marching-cubes mesh at
0.5 of the mask. Densities by oriented bounding box and minimum volume ellipsoid are left out: IBSI did not standardise
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull

from her2node.errors import Undefined
from her2node.quantities.radiomics.autocorrelation import Pairs, pairs
from her2node.quantities.radiomics.feature import Bools, Dimension, Feature, Floats, Spacing, Values, evaluated, over
from her2node.quantities.surface import Mesh, farthest, mesh_of

_TERMS = 20
"""Of the series for the area of an ellipsoid, as IBSI has it."""


@dataclass(frozen=True)
class Shape:
    """A region in a box: the two masks (slices, rows, columns) and the intensities (n,) of the intensity mask."""

    morphological: Bools
    intensity: Bools
    x: Floats
    spacing_mm: Spacing

    @cached_property
    def mesh(self) -> Mesh:
        return mesh_of(self.morphological, self.spacing_mm)

    @cached_property
    def volume(self) -> float:
        return self.mesh.volume_mm3

    @cached_property
    def area(self) -> float:
        return self.mesh.area_mm2

    @cached_property
    def points(self) -> Floats:
        """Voxel centres of the morphological mask, mm."""
        return np.asarray(np.argwhere(self.morphological) * np.asarray(self.spacing_mm))

    @cached_property
    def semi_axes(self) -> tuple[float, float, float]:
        """2 sqrt(eigenvalue) of the covariance of voxel centres, falling."""
        centred = self.points - self.points.mean(axis=0)
        values = np.linalg.eigvalsh(centred.T @ centred / max(len(centred) - 1, 1))[::-1]
        # Below rounding an axis has no length: a flat region is flat.
        values = np.where(values > 1e-12 * max(values[0], 1e-300), values, 0)
        a, b, c = 2 * np.sqrt(values)
        return float(a), float(b), float(c)

    @cached_property
    def hull(self) -> ConvexHull:
        return ConvexHull(self.mesh.vertices_mm)

    @cached_property
    def box(self) -> Floats:
        """Edges of the axis-aligned box around the mesh."""
        return np.asarray(np.ptp(self.mesh.vertices_mm, axis=0))

    @cached_property
    def pairs(self) -> Pairs:
        return pairs(self.intensity, self.x, self.spacing_mm)

    @cached_property
    def mean(self) -> float:
        if not len(self.x):
            raise Undefined("no voxel of the region has an intensity")
        return float(self.x.mean())


def voxel_volume(s: Shape) -> float:
    return float(np.count_nonzero(s.morphological) * np.prod(s.spacing_mm))


def compactness_1(s: Shape) -> float:
    return float(s.volume / (np.sqrt(np.pi) * s.area**1.5))


def compactness_2(s: Shape) -> float:
    return 36 * np.pi * s.volume**2 / s.area**3


def disproportion(s: Shape) -> float:
    return float(s.area / (36 * np.pi * s.volume**2) ** (1 / 3))


def asphericity(s: Shape) -> float:
    return float((s.area**3 / (36 * np.pi * s.volume**2)) ** (1 / 3) - 1)


def centre_of_mass_shift(s: Shape) -> float:
    total = float(s.x.sum())
    if abs(total) <= 1e-12 * float(np.abs(s.x).sum()):
        raise Undefined("the intensities sum to zero")
    weighted = s.x @ (np.argwhere(s.intensity) * np.asarray(s.spacing_mm)) / total
    return float(np.linalg.norm(s.points.mean(axis=0) - weighted))


def maximum_diameter(s: Shape) -> float:
    return farthest(s.mesh.vertices_mm[s.hull.vertices])[2]


def elongation(s: Shape) -> float:
    a, b, _ = s.semi_axes
    return float(np.sqrt(over(b**2, a**2, "the major axis")))


def flatness(s: Shape) -> float:
    a, _, c = s.semi_axes
    return float(np.sqrt(over(c**2, a**2, "the major axis")))


def box_volume_density(s: Shape) -> float:
    return over(s.volume, float(np.prod(s.box)), "the volume of the box")


def box_area_density(s: Shape) -> float:
    a, b, c = s.box
    return over(s.area, float(2 * (a * b + b * c + c * a)), "the area of the box")


def ellipsoid_volume_density(s: Shape) -> float:
    a, b, c = s.semi_axes
    return over(s.volume, 4 / 3 * np.pi * a * b * c, "the volume of the ellipsoid")


def ellipsoid_area(a: float, b: float, c: float) -> float:
    """4 pi a b times the sum over v = 0 .. 20 of (al be)^v / (1 - 4 v^2) P_v((al^2 + be^2) / (2 al be)).

    a >= b >= c semi-axes, al^2 = 1 - b^2/a^2, be^2 = 1 - c^2/a^2, P_v Legendre polynomials; by their recurrence,
    which also holds where al is zero. As IBSI prints it (RDD2) and its reference values need it; the true area has
    al^2 = 1 - c^2/a^2, be^2 = 1 - c^2/b^2 and is up to some percent larger.
    """
    alpha2, beta2 = 1 - (b / a) ** 2, 1 - (c / a) ** 2
    half, last, total = (alpha2 + beta2) / 2, 0.0, 0.0
    term = 1.0
    for v in range(_TERMS + 1):
        total += term / (1 - 4 * v**2)
        last, term = term, ((2 * v + 1) * half * term - v * alpha2 * beta2 * last) / (v + 1)
    return 4 * np.pi * a * b * total


def ellipsoid_area_density(s: Shape) -> float:
    if s.semi_axes[0] == 0:
        raise Undefined("the ellipsoid has no area")
    return over(s.area, ellipsoid_area(*s.semi_axes), "the area of the ellipsoid")


FEATURES: tuple[Feature[Shape], ...] = (
    Feature(
        "morph_volume",
        "RNU0",
        "Volume of mesh",
        "|sum over triangles of a . (b x c)| / 6",
        lambda s: s.volume,
        Dimension.MM3,
    ),
    Feature("morph_vol_approx", "YEKZ", "Volume by voxel counting", "n voxel volumes", voxel_volume, Dimension.MM3),
    Feature(
        "morph_area_mesh",
        "C0JK",
        "Surface area of mesh",
        "sum over triangles of |(b - a) x (c - a)| / 2",
        lambda s: s.area,
        Dimension.MM2,
    ),
    Feature("morph_av", "2PR5", "Surface to volume ratio", "A / V", lambda s: s.area / s.volume, Dimension.PER_MM),
    Feature("morph_comp_1", "SKGS", "Compactness 1", "V / (pi^(1/2) A^(3/2))", compactness_1),
    Feature("morph_comp_2", "BQWJ", "Compactness 2", "36 pi V^2 / A^3", compactness_2),
    Feature("morph_sph_dispr", "KRCK", "Spherical disproportion", "A / (36 pi V^2)^(1/3)", disproportion),
    Feature("morph_sphericity", "QCFX", "Sphericity", "(36 pi V^2)^(1/3) / A", lambda s: 1 / disproportion(s)),
    Feature("morph_asphericity", "25C7", "Asphericity", "(A^3 / (36 pi V^2))^(1/3) - 1", asphericity),
    Feature(
        "morph_com",
        "KLMA",
        "Centre of mass shift",
        "|mean voxel centre - mean voxel centre weighted by intensity|",
        centre_of_mass_shift,
        Dimension.MM,
    ),
    Feature(
        "morph_diam", "L0JK", "Maximum 3D diameter", "max |v - w| over mesh vertices", maximum_diameter, Dimension.MM
    ),
    Feature(
        "morph_pca_maj_axis",
        "TDIC",
        "Major axis length",
        "4 sqrt(l1), l eigenvalues of the covariance (divisor n - 1) of voxel centres",
        lambda s: 2 * s.semi_axes[0],
        Dimension.MM,
    ),
    Feature(
        "morph_pca_min_axis", "P9VJ", "Minor axis length", "4 sqrt(l2)", lambda s: 2 * s.semi_axes[1], Dimension.MM
    ),
    Feature(
        "morph_pca_least_axis", "7J51", "Least axis length", "4 sqrt(l3)", lambda s: 2 * s.semi_axes[2], Dimension.MM
    ),
    Feature("morph_pca_elongation", "Q3CK", "Elongation", "sqrt(l2 / l1)", elongation),
    Feature("morph_pca_flatness", "N17B", "Flatness", "sqrt(l3 / l1)", flatness),
    Feature(
        "morph_vol_dens_aabb",
        "PBX1",
        "Volume density in the axis-aligned bounding box",
        "V / volume of the box around the mesh",
        box_volume_density,
    ),
    Feature(
        "morph_area_dens_aabb",
        "R59B",
        "Area density in the axis-aligned bounding box",
        "A / area of the box around the mesh",
        box_area_density,
    ),
    Feature(
        "morph_vol_dens_aee",
        "6BDE",
        "Volume density in the approximate enclosing ellipsoid",
        "3 V / (4 pi a b c), a, b, c = 2 sqrt(l1), 2 sqrt(l2), 2 sqrt(l3)",
        ellipsoid_volume_density,
    ),
    Feature(
        "morph_area_dens_aee",
        "RDD2",
        "Area density in the approximate enclosing ellipsoid",
        "A / area of that ellipsoid by 21 terms of IBSI's series (``ellipsoid_area``)",
        ellipsoid_area_density,
    ),
    Feature(
        "morph_vol_dens_conv_hull",
        "R3ER",
        "Volume density in the convex hull",
        "V / volume of the convex hull of the mesh",
        lambda s: s.volume / s.hull.volume,
    ),
    Feature(
        "morph_area_dens_conv_hull",
        "7T7F",
        "Area density in the convex hull",
        "A / area of the convex hull of the mesh",
        lambda s: s.area / s.hull.area,
    ),
    Feature(
        "morph_integ_int",
        "99N0",
        "Integrated intensity",
        "V mean(x)",
        lambda s: s.volume * s.mean,
        Dimension.INTENSITY_MM3,
    ),
    Feature(
        "morph_moran_i",
        "N365",
        "Moran's I index",
        "n sum(w (x1 - mean) (x2 - mean)) / (sum(w) sum((x - mean)^2)), over pairs of voxels, w = 1 / distance",
        lambda s: s.pairs.moran_i,
    ),
    Feature(
        "morph_geary_c",
        "NPT7",
        "Geary's C measure",
        "(n - 1) sum(w (x1 - x2)^2) / (2 sum(w) sum((x - mean)^2)), over pairs of voxels, w = 1 / distance",
        lambda s: s.pairs.geary_c,
    ),
)


def morphology(shape: Shape) -> Values:
    """The 25 features that IBSI standardised, of a morphological mask with at least one voxel."""
    return evaluated(FEATURES, shape)
