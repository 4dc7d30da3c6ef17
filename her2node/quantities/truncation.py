"""How far each curve's deconvolution is truncated: the walk over the levels, compiled to machine code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from her2node.quantities.compiling import compiled_reordering
from her2node.quantities.kinetics import Floats

Integers = npt.NDArray[np.int64]


@compiled_reordering
def truncated(amplitudes: Floats, waves: Floats, ends: Integers, index: float) -> tuple[Floats, Integers]:
    """Residue functions (n, l) and their level (n,): of each curve the last level, from the first on, up to which the
    oscillation index (``deconvolution.oscillation``) stays under ``index``; the first at least.

    Level i of a curve is the sum of the first ``ends[i]`` of ``waves`` (m, l), times its ``amplitudes`` (n, m).
    """
    count, length = len(amplitudes), waves.shape[1]
    found = np.empty((count, length), dtype=waves.dtype)
    levels = np.zeros(count, dtype=np.int64)
    tried = np.empty(length, dtype=waves.dtype)
    for curve in range(count):
        tried[:] = 0
        first = 0
        for level in range(len(ends)):
            for wave in range(first, ends[level]):
                amplitude = amplitudes[curve, wave]
                for place in range(length):
                    tried[place] += amplitude * waves[wave, place]
            first = ends[level]
            if level:
                rough, top = tried[0] * 0, tried[length - 1]
                if tried[length - 2] > top:
                    top = tried[length - 2]
                for place in range(length - 2):
                    rough += abs(tried[place] - 2 * tried[place + 1] + tried[place + 2])
                    top = max(top, tried[place])
                if top <= 0 or rough >= index * length * top:
                    break
            found[curve] = tried
            levels[curve] = level
    return found, levels
