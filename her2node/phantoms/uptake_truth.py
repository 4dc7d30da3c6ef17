"""What a lesion of the PET phantom takes up, and the figures of it in closed form, before any voxel."""

from __future__ import annotations

from dataclasses import dataclass

from her2node.dicom.codes import Code
from her2node.errors import PhantomRefused
from her2node.phantoms.activity import Person
from her2node.phantoms.shapes import Ellipsoid

_PEAK_RADIUS_MM = 6.2
"""Of a sphere of 1 ml."""
_ROOM_MM = 4.0
"""What a voxel's centre may lie off the middle of the hot part."""
_STEPS = (0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid of concentric layers: (size, SUVbw), from the whole (size 1) inwards, sizes as shares of its axes.

    Uptake rises inwards, so that a threshold keeps everything from some layer on.
    """

    label: str
    kind: Code
    shape: Ellipsoid
    layers: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        sizes, uptakes = zip(*self.layers, strict=True)
        if sizes[0] != 1 or list(sizes) != sorted(sizes, reverse=True) or list(uptakes) != sorted(uptakes):
            raise PhantomRefused(f"layers of {self.label}: sizes must fall from 1, uptake must rise")

    @property
    def parts(self) -> tuple[tuple[Ellipsoid, float], ...]:
        """Shapes with their SUVbw, later over earlier."""
        return tuple((self.shape.scaled(size), suv) for size, suv in self.layers)

    @property
    def levels(self) -> tuple[tuple[float, float], ...]:
        """(SUVbw, ml) of each layer."""
        shares = [size**3 for size, _ in self.layers] + [0.0]
        whole = self.shape.volume_mm3 / 1000
        return tuple((suv, whole * (shares[n] - shares[n + 1])) for n, (_, suv) in enumerate(self.layers))

    @property
    def highest(self) -> float:
        return max(suv for suv, _ in self.levels)

    @property
    def mean(self) -> float:
        return sum(suv * ml for suv, ml in self.levels) / sum(ml for _, ml in self.levels)

    @property
    def peak(self) -> float | None:
        """The highest SUVbw where its layer has room for a sphere of 1 ml, else None: no closed form."""
        shape, suv = self.parts[-1]
        return suv if min(shape.semi_axes_mm) >= _PEAK_RADIUS_MM + _ROOM_MM else None

    def above(self, threshold: float) -> dict[str, float]:
        """MTV in ml and TLG in g of what has at least a SUVbw."""
        found = [(suv, ml) for suv, ml in self.levels if suv >= threshold]
        return {"mtv_ml": sum(ml for _, ml in found), "tlg_g": sum(suv * ml for suv, ml in found)}

    @property
    def heterogeneity(self) -> float:
        """|slope| in ml/% of the least squares line of MTV on 40, 50, 60, 70, 80 % of SUVmax:
        (2 (V80 - V40) + V70 - V50) / 100."""
        v = [self.above(share * self.highest)["mtv_ml"] for share in _STEPS]
        return abs(2 * (v[4] - v[0]) + v[3] - v[1]) / 100

    def figures(self, person: Person, liver_suv: float) -> dict[str, object]:
        """All of it, by name. The liver is even, so that PERCIST's threshold is 1.5 times its uptake."""
        kinds = {
            "suvbw": 1.0,
            "suvlbm_janmahasatian": person.lean_janmahasatian,
            "suvlbm_james128": person.lean_james128,
            "suvbsa": person.surface_cm2_per_g,
        }
        return {
            "volume_ml": self.shape.volume_mm3 / 1000,
            **{
                name: {"max": scale * self.highest, "mean": scale * self.mean, "peak": self.peak and scale * self.peak}
                for name, scale in kinds.items()
            },
            "41_percent": self.above(0.41 * self.highest),
            "40_percent": self.above(0.40 * self.highest),
            "suv_2.5": self.above(2.5),
            "percist": self.above(1.5 * liver_suv),
            "heterogeneity_ml_per_percent": self.heterogeneity,
        }
