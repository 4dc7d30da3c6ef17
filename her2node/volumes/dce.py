"""A dynamic contrast-enhanced MR examination: signal over time on one grid, and the same slab at several flip angles.

Signal has no unit of its own; what turns it into a concentration is the spoiled gradient echo's repetition time and
flip angle, which stand beside it. What the header does not tell is None here, never a default: who needs it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from her2node.volumes.dynamic import Seconds
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource


@dataclass(frozen=True)
class Contrast:
    """The agent and how it was given, as the header says it; None where it says nothing.

    ``start_s`` is when the injection began, in seconds after the first time point. ``dose_ml`` is the volume of the
    undiluted agent, ``volume_ml`` what was injected with whatever it was diluted in.
    """

    agent: str = ""
    route: str = ""
    volume_ml: float | None = None
    dose_ml: float | None = None
    concentration_mg_ml: float | None = None
    flow_ml_s: float | None = None
    start_s: float | None = None


@dataclass(frozen=True)
class DceVolume:
    """Signal over time on one grid.

    ``voxels`` float32, shape (t, slices, rows, columns), in arbitrary units, read-only, at ``times_s`` (t,), seconds
    from the first time point; ``valid`` (slices, rows, columns) is False where any time point has no image.
    ``sources`` has one entry a time point and slice; ``clock`` names the attributes that told the times.
    ``field_strength_t`` is in tesla, gauss converted; ``notes`` say what was converted, inferred or resampled.
    """

    voxels: Floats = field(repr=False)
    valid: Bools = field(repr=False)
    times_s: Seconds = field(repr=False)
    geometry: Geometry
    series_uids: tuple[str, ...]
    sources: tuple[tuple[SliceSource, ...], ...] = field(repr=False)
    clock: str
    repetition_time_ms: float | None
    echo_time_ms: float | None
    flip_angle_deg: float | None
    field_strength_t: float | None
    contrast: Contrast
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FlipAngleSeries:
    """The same slab at several flip angles, ascending, on the grid of a DceVolume, for T1.

    ``voxels`` float32, shape (n, slices, rows, columns), read-only, NaN where the slab has no image.
    """

    voxels: Floats = field(repr=False)
    flip_angles_deg: tuple[float, ...]
    repetition_time_ms: float
    series_uids: tuple[str, ...]
    notes: tuple[str, ...] = ()
