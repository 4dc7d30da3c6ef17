"""MaZda's wavelet features: energies of Haar subbands, scale by scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from her2node.errors import Refused, TooFewVoxels
from her2node.quantities.texture.slice_levels import Bools, Floats, Levels

BITS = 8
SCALES = 5
SUBBANDS = ("LL", "LH", "HL", "HH")
"""First letter along the columns, second along the rows; LH is the response to horizontal edges."""


def decomposition(image: Floats, region: Bools) -> Iterator[tuple[dict[str, Floats], Bools]]:
    """Haar coefficients by subband, scale after scale, and which of them stand for pixels of the region alone.

    Formula: of each 2 x 2 block a b / c d: LL = (a + b + c + d) / 2, LH = (a + b - c - d) / 2,
    HL = (a - b + c - d) / 2, HH = (a - b - c + d) / 2; LL is what the next scale takes. A row or column left over is
    dropped. The transform keeps the sum of squares.
    """
    while min(image.shape) >= 2:
        rows, columns = (size // 2 * 2 for size in image.shape)
        a, b = image[0:rows:2, 0:columns:2], image[0:rows:2, 1:columns:2]
        c, d = image[1:rows:2, 0:columns:2], image[1:rows:2, 1:columns:2]
        region = np.all(region[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2), axis=(1, 3))
        image = (a + b + c + d) / 2
        yield {"LL": image, "LH": (a + b - c - d) / 2, "HL": (a - b + c - d) / 2, "HH": (a - b - c + d) / 2}, region


def wavelet_energy(coefficients: Floats) -> float:
    """WavEn: energy of a Haar subband.

    Formula: sum(c^2) / n over the coefficients whose pixels all lie in the region, of 256 grey levels.
    Unit: 1.
    Shapes: coefficients (n,), n >= 1.
    Source: MaZda (Szczypinski 2009); Haar transform of norm 1.
    Known deviation: checked on analytic cases only; MaZda's norm of the transform and the corner from which it lays out
    the blocks are not verified (here the upper left corner of the region's box).
    """
    return float(np.mean(coefficients**2))


MEASURES = (wavelet_energy,)
NAMES = tuple(f"WavEn{band}_s-{scale}" for scale in range(1, SCALES + 1) for band in SUBBANDS)


def features(levels: Levels) -> dict[str, float | Refused]:
    """Four subbands of five scales by MaZda's names; a scale without a whole block in the region is TooFewVoxels."""
    few = TooFewVoxels("no block of this scale lies within the region")
    found: dict[str, float | Refused] = dict.fromkeys(NAMES, few)
    scales = decomposition(levels.astype(np.float64), levels > 0)
    for scale, (bands, region) in zip(range(1, SCALES + 1), scales, strict=False):
        if region.any():
            found |= {f"WavEn{band}_s-{scale}": wavelet_energy(bands[band][region]) for band in SUBBANDS}
    return found
