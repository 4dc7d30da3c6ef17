"""Gabor filters: stripes of one width and direction, in planes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy import fft

from her2node.quantities.radiomics.filters.grid import Reach, isotropic_mm, needs, reach_of
from her2node.quantities.radiomics.filters.kernel import Boundary, Floats, axes_of

_PADDING = {
    Boundary.NEAREST: "edge",
    Boundary.PERIODIC: "wrap",
    Boundary.MIRROR: "symmetric",
}
_CUTOFF = 5.5
"""Of the envelope's larger standard deviation; beyond it the envelope is below 3e-7."""
_PLANES_AT_ONCE = 16
"""Bounds the memory of the transforms."""

_ORTHOGONAL = ((1, 2), (0, 2), (0, 1))
"""The first of them is that of the slices."""


@dataclass(frozen=True)
class Gabor:
    """Modulus of the response to a 2-D Gabor kernel, averaged over directions and planes where asked.

    Formula: |image * g|, g(k) = exp(-(a^2 + gamma^2 b^2) / (2 sigma^2) + i 2 pi a / lambda) with
    a = k1 cos(theta) + k2 sin(theta), b = k2 cos(theta) - k1 sin(theta), all in voxels; average over
    theta = 0, step, ... below 2 pi and, with ``orthogonal_planes``, over the planes (k1, k2), (k1, k3), (k2, k3).
    Source: IBSI 2, Gabor filter (Q88H), modulus, average pooling.
    Known deviation: the kernel ends where the envelope is below 3e-7; IBSI sets no end.
    """

    kind: ClassVar[str] = "gabor"

    sigma_mm: float
    wavelength_mm: float
    aspect: float
    """gamma: how much narrower the envelope is along the stripes; below 1 it is longer."""
    boundary: Boundary
    theta_deg: float = 0.0
    rotation_step_deg: float | None = None
    """Average over directions in these steps from ``theta_deg``; they must divide 360."""
    orthogonal_planes: bool = False

    def __post_init__(self) -> None:
        for name in ("sigma_mm", "wavelength_mm", "aspect"):
            value = getattr(self, name)
            needs(value > 0, f"{self.kind}: {name} must be above 0, not {value}")
        step = self.rotation_step_deg
        whole = step is None or (step > 0 and math.isclose(360 / step, round(360 / step)))
        needs(whole, f"{self.kind}: rotation_step_deg must divide 360, {step} does not")

    @property
    def dimensions(self) -> int:
        return 3 if self.orthogonal_planes else 2

    @property
    def angles(self) -> tuple[float, ...]:
        """Radians. A direction and its opposite have the same modulus, so an even number of steps is halved."""
        if self.rotation_step_deg is None:
            return (math.radians(self.theta_deg),)
        count = round(360 / self.rotation_step_deg)
        turns = count // 2 if count % 2 == 0 else count
        return tuple(math.radians(self.theta_deg) + 2 * math.pi * turn / count for turn in range(turns))

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return reach_of(self._radius(self._voxel_mm(spacing_mm)), self.dimensions, self.boundary)

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        kernels = [self._kernel(theta, self._voxel_mm(spacing_mm)) for theta in self.angles]
        planes = _ORTHOGONAL if self.orthogonal_planes else _ORTHOGONAL[:1]
        response = np.zeros_like(voxels)
        for plane in planes:
            response += _mean_modulus(voxels, plane, kernels, self.boundary) / len(planes)
        return response

    def _voxel_mm(self, spacing_mm: tuple[float, float, float]) -> float:
        return isotropic_mm(spacing_mm, axes_of(self.dimensions), self.kind)

    def _radius(self, voxel_mm: float) -> int:
        return math.ceil(_CUTOFF * max(1.0, 1 / self.aspect) * self.sigma_mm / voxel_mm)

    def _kernel(self, theta: float, voxel_mm: float) -> npt.NDArray[np.complex128]:
        """(2 radius + 1, 2 radius + 1), second direction of the plane first."""
        radius = self._radius(voxel_mm)
        second, first = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        across = first * math.cos(theta) + second * math.sin(theta)
        along = second * math.cos(theta) - first * math.sin(theta)
        envelope = -(across**2 + (self.aspect * along) ** 2) / (2 * (self.sigma_mm / voxel_mm) ** 2)
        return np.asarray(np.exp(envelope + 2j * math.pi * across * voxel_mm / self.wavelength_mm))


def _mean_modulus(
    voxels: Floats, plane: tuple[int, int], kernels: list[npt.NDArray[np.complex128]], boundary: Boundary
) -> Floats:
    """Mean over the kernels of the modulus of the convolution of every plane, by Fourier transform."""
    stack = np.moveaxis(voxels, plane, (1, 2))
    radius = kernels[0].shape[0] // 2
    # What comes round falls on the padding alone, so the transform needs no room for the kernel's tails.
    shape = [fft.next_fast_len(size + 2 * radius) for size in stack.shape[1:]]
    spectra = [fft.fft2(kernel, shape) for kernel in kernels]
    result = np.empty_like(stack)
    for start in range(0, len(stack), _PLANES_AT_ONCE):
        part = _padded(stack[start : start + _PLANES_AT_ONCE], radius, boundary)
        image = fft.fft2(part, shape)
        total = np.zeros((len(part), *stack.shape[1:]))
        for spectrum in spectra:
            response = fft.ifft2(image * spectrum)
            total += np.abs(response[:, 2 * radius :, 2 * radius :][:, : stack.shape[1], : stack.shape[2]])
        result[start : start + _PLANES_AT_ONCE] = total / len(kernels)
    return np.moveaxis(result, (1, 2), plane)


def _padded(planes: Floats, radius: int, boundary: Boundary) -> Floats:
    width = ((0, 0), (radius, radius), (radius, radius))
    if boundary is Boundary.ZERO:
        return np.pad(planes, width)
    return np.pad(planes, width, mode=_PADDING[boundary])  # type: ignore[call-overload, no-any-return]
