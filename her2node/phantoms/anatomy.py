"""An abdomen as shapes with attenuations: the truth, written down before any voxel is made.

The organs are drawn after an adult abdomen; ``varied`` draws sizes, places and attenuations of one patient from a
seed. Attenuations are whole Hounsfield units, so that rounding to stored values moves no mean. The figures are of the
usual textbook order (aorta 310 HU in the arterial, 155 HU in the portal phase) and stand for no scanner or population.
Tumours are 10 to 70 ml, so that voxels of 1 x 1 x 2.5 mm hold every volume within 1 %. Shipped packages are fitted on
these phantoms: whoever changes what a seed gives fits them anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from her2node.errors import PhantomRefused
from her2node.phantoms.shapes import Bools, Cap, Capsule, Column, Ellipsoid, Floats, Point, Shape, point
from her2node.phantoms.texture import Texture


class Phase(StrEnum):
    """The contrast phases of a gastric CT, in order of time."""

    PLAIN = "plain"
    """Before contrast."""
    ARTERIAL = "arterial"
    """About 30 s after the start of injection."""
    PORTAL = "portal"
    """About 70 s."""
    EQUILIBRIUM = "equilibrium"
    """About 150 s."""


@dataclass(frozen=True)
class Attenuation:
    """Hounsfield units of one material in each phase."""

    plain: int
    arterial: int
    portal: int
    equilibrium: int

    def at(self, phase: Phase) -> int:
        values = {
            Phase.PLAIN: self.plain,
            Phase.ARTERIAL: self.arterial,
            Phase.PORTAL: self.portal,
            Phase.EQUILIBRIUM: self.equilibrium,
        }
        return values[phase]

    def enhanced_by(self, factor: float) -> Attenuation:
        """The same material with its enhancement over plain multiplied, as by another dose."""
        gains = (round(self.plain + factor * (self.at(phase) - self.plain)) for phase in list(Phase)[1:])
        return Attenuation(self.plain, *gains)


def constant(hu: int) -> Attenuation:
    """A material that takes up no contrast."""
    return Attenuation(hu, hu, hu, hu)


@dataclass(frozen=True)
class Structure:
    """One shape of one material."""

    name: str
    shape: Shape
    hu: Attenuation


@dataclass(frozen=True)
class Tumour:
    """An ellipsoid joined to the gastric wall, with a concentric necrotic core ``core`` times its size (0: none).

    ``texture``, which goes about the attenuation of every phase alike, is that of a tumour without a core.
    """

    place: str
    shape: Ellipsoid
    hu: Attenuation
    core: float = 0.0
    core_hu: Attenuation = Attenuation(25, 25, 25, 25)
    texture: Texture | None = None

    def mean_hu(self, phase: Phase) -> float:
        """Mean over the whole tumour: (1 − f³)·rim + f³·core."""
        share = self.core**3
        return (1 - share) * self.hu.at(phase) + share * self.core_hu.at(phase)

    @property
    def structures(self) -> tuple[Structure, ...]:
        """The tumour, and over it its core where it has one."""
        whole = Structure("tumour", self.shape, self.hu)
        if not self.core:
            return (whole,)
        return whole, Structure("tumour core", self.shape.scaled(self.core), self.core_hu)


@dataclass(frozen=True)
class Anatomy:
    """Structures in the order in which they are painted, later over earlier; the tumour comes last, so nothing
    cuts it and its volume is that of its shape. Outside all of them is air."""

    organs: tuple[Structure, ...]
    tumour: Tumour

    @property
    def structures(self) -> tuple[Structure, ...]:
        return self.organs + self.tumour.structures

    def breathed(self, by_mm: Point) -> Anatomy:
        """The anatomy with tumour and organs displaced; trunk, spine, aorta and vena cava stay where they are."""
        organs = tuple(replace(organ, shape=_moved(organ.shape, by_mm)) for organ in self.organs)
        shape = _moved_ellipsoid(self.tumour.shape, by_mm)
        return Anatomy(organs, replace(self.tumour, shape=shape))

    def textured(self, texture: Texture) -> Anatomy:
        """The anatomy with a tumour of this texture, and without a core."""
        return replace(self, tumour=replace(self.tumour, core=0.0, texture=texture))

    def organ(self, name: str) -> tuple[Structure, ...]:
        """The structures of this name."""
        return tuple(structure for structure in self.organs if structure.name == name)


def _moved(shape: Shape, by_mm: Point) -> Shape:
    match shape:
        case Ellipsoid():
            return _moved_ellipsoid(shape, by_mm)
        case Cap(whole, normal, offset_mm):
            return Cap(_moved_ellipsoid(whole, by_mm), normal, offset_mm + float(np.dot(normal, by_mm)))
        case Capsule(start_mm, end_mm, radius_mm):
            return Capsule(_plus(start_mm, by_mm), _plus(end_mm, by_mm), radius_mm)
        case _:
            return shape


def _moved_ellipsoid(shape: Ellipsoid, by_mm: Point) -> Ellipsoid:
    return replace(shape, centre_mm=_plus(shape.centre_mm, by_mm))


def _plus(place: Point, by_mm: Point) -> Point:
    return point(np.add(place, by_mm))


AIR = constant(-1000)
_FAT = constant(-100)
_MUSCLE = Attenuation(55, 60, 66, 66)
_BONE = Attenuation(240, 245, 250, 250)
_CANAL = constant(30)
_LIVER = Attenuation(58, 72, 112, 95)
_SPLEEN = Attenuation(48, 112, 120, 96)
_KIDNEY = Attenuation(32, 150, 190, 170)
_MEDULLA = Attenuation(32, 62, 150, 168)
_MEDULLA_SHARE = 0.6
"""Half axes of the medulla over those of its kidney."""
_AORTA = Attenuation(42, 310, 155, 115)
_CAVA = Attenuation(40, 85, 140, 114)
_PORTAL_VEIN = Attenuation(42, 92, 170, 118)
_WALL = Attenuation(40, 72, 88, 82)
_FLUID = constant(8)
_GAS = constant(-990)

_INNER_STOMACH = {
    "fundus": Ellipsoid((62, 0, 42), (38, 36, 36)),
    "corpus": Ellipsoid((52, -30, 5), (34, 30, 44)),
    "antrum": Ellipsoid((22, -38, -28), (40, 24, 22)),
}
_AIR_LEVEL_MM = -40.0
_KEPT_CLEAR = ("liver", "spleen", "kidney", "aorta", "vena cava", "portal vein", "vertebra")


def varied(seed: int) -> Anatomy:
    """The abdomen of one patient, drawn from ``seed``. Raises PhantomRefused for a negative seed."""
    if seed < 0:
        raise PhantomRefused(f"seed {seed} is negative")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    stomach = {name: _vary(rng, part, 3.0) for name, part in _INNER_STOMACH.items()}
    wall_mm = float(rng.uniform(3.5, 5.0))
    organs = (*_trunk(rng), *_vessels_and_organs(rng), *_stomach(stomach, wall_mm))
    return Anatomy(organs, _tumour(rng, organs, stomach, wall_mm))


def _vary(rng: np.random.Generator, shape: Ellipsoid, shift_mm: float) -> Ellipsoid:
    centre = np.asarray(shape.centre_mm) + rng.uniform(-shift_mm, shift_mm, 3)
    return Ellipsoid(point(centre), point(np.asarray(shape.semi_axes_mm) * rng.uniform(0.94, 1.06, 3)), shape.axes)


def _trunk(rng: np.random.Generator) -> tuple[Structure, ...]:
    """Skin and fat, the muscle wall, the visceral fat inside it, the spine with its muscles."""
    fat_mm = float(rng.uniform(8, 25))
    return (
        Structure("subcutaneous fat", Column((0, 0), (150 + fat_mm, 102 + fat_mm / 2)), _FAT),
        Structure("abdominal wall", Column((0, 0), (150, 102)), _MUSCLE),
        Structure("visceral fat", Column((0, -4), (138, 90)), _FAT),
        Structure("paraspinal muscle", Column((34, 78), (26, 17)), _MUSCLE),
        Structure("paraspinal muscle", Column((-34, 78), (26, 17)), _MUSCLE),
        Structure("vertebra", Column((0, 56), (21, 16)), _BONE),
        Structure("vertebra", Column((0, 88), (5, 12)), _BONE),
        Structure("spinal canal", Column((0, 79), (9, 8)), _CANAL),
    )


def _vessels_and_organs(rng: np.random.Generator) -> tuple[Structure, ...]:
    dose = float(rng.uniform(0.88, 1.12))
    radius_mm = float(rng.uniform(8.5, 11.5))
    liver = _vary(rng, Ellipsoid((-70, -8, 15), (60, 66, 68)), 4.0)
    shapes: tuple[tuple[str, Shape, Attenuation], ...] = (
        ("liver", liver, _LIVER),
        ("spleen", _vary(rng, Ellipsoid((108, 34, 25), (20, 30, 40)), 3.0), _SPLEEN),
        ("kidney", _vary(rng, Ellipsoid((62, 52, -30), (24, 22, 46)), 3.0), _KIDNEY),
        ("kidney", _vary(rng, Ellipsoid((-62, 52, -36), (24, 22, 46)), 3.0), _KIDNEY),
        ("aorta", Column((9, 30), (radius_mm, radius_mm)), _AORTA),
        ("vena cava", Column((-20, 32), (12, 9)), _CAVA),
        ("portal vein", Capsule((-2, 8, -8), (-52, -4, 24), 6.5), _PORTAL_VEIN),
    )
    found = tuple(Structure(name, shape, hu.enhanced_by(dose)) for name, shape, hu in shapes)
    kidneys = (organ.shape for organ in found if organ.name == "kidney" and isinstance(organ.shape, Ellipsoid))
    medulla = _MEDULLA.enhanced_by(dose)
    return (*found, *(Structure("renal medulla", shape.scaled(_MEDULLA_SHARE), medulla) for shape in kidneys))


def _stomach(inner: dict[str, Ellipsoid], wall_mm: float) -> tuple[Structure, ...]:
    """Three joined ellipsoids: all walls first, then the fluid over them, then the gas in front (patient supine)."""
    parts = tuple(inner.values())
    gas = tuple(Cap(part, (0.0, 1.0, 0.0), _AIR_LEVEL_MM) for part in parts)
    return (
        *(Structure("gastric wall", part.grown(wall_mm), _WALL) for part in parts),
        *(Structure("gastric fluid", part, _FLUID) for part in parts),
        *(Structure("gastric gas", part, _GAS) for part in gas),
    )


def _tumour(
    rng: np.random.Generator, organs: tuple[Structure, ...], stomach: dict[str, Ellipsoid], wall_mm: float
) -> Tumour:
    """A place on the wall where the tumour touches no other organ, and what it takes up."""
    hu = _tumour_attenuation(rng)
    necrotic = rng.uniform() < 0.3
    core = float(rng.uniform(0.3, 0.6)) if necrotic else 0.0
    core_hu = Attenuation(hu.plain - 8, hu.plain - 4, hu.plain, hu.plain)
    for _ in range(500):
        place = str(rng.choice(list(stomach)))
        shape = _on_wall(rng, stomach[place].grown(wall_mm / 2))
        others = [part.grown(wall_mm / 2) for name, part in stomach.items() if name != place]
        if _fits(shape, organs, others):
            return Tumour(place, shape, hu, core, core_hu)
    raise PhantomRefused("no free place for the tumour on the gastric wall")


def _tumour_attenuation(rng: np.random.Generator) -> Attenuation:
    """Plain 38 ± 4 HU; enhancement 30 ± 11 (arterial) and 50 ± 14 (portal), correlated; later washout or plateau."""
    plain = round(float(np.clip(rng.normal(38, 4), 28, 48)))
    common, own, late = rng.normal(size=3)
    arterial = float(np.clip(30 + 11 * (0.5 * common + 0.866 * own), 6, 65))
    portal = float(np.clip(50 + 14 * common, 14, 95))
    return Attenuation(plain, round(plain + arterial), round(plain + portal), round(plain + portal - 6 + 7 * late))


def _on_wall(rng: np.random.Generator, mid_wall: Ellipsoid) -> Ellipsoid:
    """A flat ellipsoid centred in the wall, its shortest axis along the wall's normal."""
    direction = _unit(rng.normal(size=3))
    centre = np.asarray(mid_wall.centre_mm) + np.asarray(mid_wall.semi_axes_mm) * direction
    normal = _unit(direction / np.asarray(mid_wall.semi_axes_mm))
    tangent = _unit(np.cross(normal, rng.normal(size=3)))
    long_mm = float(rng.uniform(18, 32))
    middle_mm = long_mm * float(rng.uniform(0.7, 0.95))
    short_mm = max(11.0, long_mm * float(rng.uniform(0.42, 0.58)))
    axes = (point(tangent), point(np.cross(normal, tangent)), point(normal))
    return Ellipsoid(point(centre), (long_mm, middle_mm, short_mm), axes)


def _fits(shape: Ellipsoid, organs: tuple[Structure, ...], other_parts: list[Ellipsoid]) -> bool:
    """Centred on the outer wall, clear of the named organs and within the abdominal cavity."""
    if any(_holds(part, shape.centre_mm) for part in other_parts):
        return False
    x, y, z = _surface(shape.scaled(1.1))
    (cavity,) = (organ.shape for organ in organs if organ.name == "visceral fat")
    clear = not any(organ.shape.contains(x, y, z).any() for organ in organs if organ.name in _KEPT_CLEAR)
    return clear and bool(cavity.contains(x, y, z).all())


def _holds(shape: Shape, at_mm: Point) -> Bools:
    x, y, z = (np.asarray([value]) for value in at_mm)
    return shape.contains(x, y, z)


def _surface(shape: Ellipsoid, count: int = 200) -> tuple[Floats, Floats, Floats]:
    """Points spread evenly over the surface (Fibonacci sphere, stretched)."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    sphere = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    at = np.asarray(shape.centre_mm) + (sphere * shape.semi_axes_mm) @ np.asarray(shape.axes)
    return at[:, 0], at[:, 1], at[:, 2]


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
