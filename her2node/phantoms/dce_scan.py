"""The signal of a dynamic contrast-enhanced MR: what lies where, what each material shows, and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from her2node.phantoms.dce_options import (
    AORTA,
    BLOOD_M0,
    BLOOD_T1_MS,
    BODY,
    LIVER,
    SPLEEN,
    TUMOUR,
    DceOptions,
)
from her2node.phantoms.leakage import Echo, Leaky, concentration
from her2node.phantoms.planes import Labels, Plane, holds
from her2node.phantoms.shapes import Ellipsoid, Floats, Point, point


@dataclass(frozen=True)
class Scan:
    """Signal of any slice at any time and flip angle."""

    options: DceOptions
    planes: tuple[Plane, ...]

    @cached_property
    def materials(self) -> tuple[tuple[Ellipsoid, Leaky | None], ...]:
        """In the order in which they are painted, later over earlier; None is blood."""
        options = self.options
        painted: list[tuple[Ellipsoid, Leaky | None]] = [
            (BODY, options.muscle),
            (LIVER, options.liver),
            (SPLEEN, options.spleen),
            (AORTA, None),
            (TUMOUR, options.tumour),
        ]
        if options.core is not None:
            painted.append((TUMOUR.scaled(options.core_size), options.core))
        return tuple(painted)

    @cached_property
    def still(self) -> tuple[Labels, ...]:
        """What lies where while nothing moves."""
        return tuple(map(self._labels, self.planes))

    @cached_property
    def dynamic(self) -> Floats:
        """Signal of air and each material at each time: (materials, times)."""
        options = self.options
        echo = Echo(options.repetition_time_ms, options.flip_angle_deg)
        rows = [np.zeros(len(options.times_s))]
        for _, tissue in self.materials:
            t1_ms, m0 = (tissue.t1_ms, tissue.m0) if tissue else (BLOOD_T1_MS, BLOOD_M0)
            rows.append(echo.signal(m0, t1_ms, self._agent(tissue), options.relaxivity))
        return np.stack(rows)

    def _agent(self, tissue: Leaky | None) -> Floats:
        options = self.options
        if tissue is None:
            return np.array([options.artery.at(time) for time in options.times_s])
        return concentration(options.artery, tissue, options.haematocrit, options.times_s)

    def before(self, angle: float) -> Floats:
        """Signal of air and each material without agent: (materials,)."""
        echo = Echo(self.options.repetition_time_ms, angle)
        known = [(tissue.m0, tissue.t1_ms) if tissue else (BLOOD_M0, BLOOD_T1_MS) for _, tissue in self.materials]
        none = np.zeros(1)
        return np.array([0.0, *(float(echo.signal(m0, t1, none, self.options.relaxivity)[0]) for m0, t1 in known)])

    def image(self, of_materials: Floats, where: int, noise: tuple[int, ...], shift_mm: Point | None = None) -> Floats:
        """A slice with the noise that ``noise`` names."""
        found = self.still[where] if shift_mm is None else self._labels(_moved(self.planes[where], shift_mm))
        signal = of_materials[found]
        rng = np.random.default_rng(np.random.SeedSequence([self.options.seed, *noise, where]))
        real, imaginary = self.options.noise * rng.standard_normal((2, *signal.shape))
        return np.asarray(np.hypot(signal + real, imaginary))

    def at(self, when: int, where: int) -> Floats:
        """A slice of time point ``when``."""
        shift_mm = self.options.shifts_mm[when] if self.options.shifts_mm else None
        return self.image(self.dynamic[:, when], where, (1, when), shift_mm)

    def _labels(self, plane: Plane) -> Labels:
        found = np.zeros(plane.size, dtype=np.uint8)
        for number, (shape, _) in enumerate(self.materials, start=1):
            found[holds(shape, plane.coordinates(), plane.size)] = number
        return found


def _moved(plane: Plane, shift_mm: Point) -> Plane:
    return replace(plane, origin_mm=point(np.asarray(plane.origin_mm) - np.asarray(shift_mm)))
