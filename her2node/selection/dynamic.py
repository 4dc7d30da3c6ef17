"""Which CT series are a perfusion scan, and which belong together: many time points at the same places, from headers.

A few time points in one series are phases that were packed together, and a single place over time is the watch for the
bolus; both are something else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from her2node.dicom.attributes import integer, text
from her2node.selection.extent import along_normal
from her2node.selection.study import Series
from her2node.selection.witnesses import acquired

FEWEST_TIME_POINTS = 8
"""Of a perfusion scan; fewer are phases."""
FEWEST_PLACES = 2
SHORTEST_SECONDS = 10.0
"""Time points within less are phases of one heart beat."""
_ROUNDING_MM = 0.1

_Key = tuple[str, int | None, int | None, str, tuple[int, ...]]


@dataclass(frozen=True)
class TimePoints:
    """How many images a series has at how many places, and the seconds that they span (None: nothing tells)."""

    places: int
    images: int
    seconds: float | None

    @property
    def count(self) -> int:
        """Time points, rounded up where some places lack some."""
        return -(-self.images // self.places) if self.places else 0

    @property
    def words(self) -> str:
        span = "" if self.seconds is None else f" within {self.seconds:.0f} s"
        return f"{self.count} time points at {self.places} places{span}"

    @property
    def is_perfusion(self) -> bool:
        long = self.seconds is None or self.seconds >= SHORTEST_SECONDS
        return self.count >= FEWEST_TIME_POINTS and self.places >= FEWEST_PLACES and long


def time_points(series: Sequence[Series]) -> TimePoints:
    """Count the images of one or several series by place."""
    along = [place for one in series for place in _places(one)]
    times = [when for one in series for instance in one.instances for when in acquired(instance.header)]
    return TimePoints(len(set(along)), len(along), max(times) - min(times) if times else None)


def series_a_point(candidates: Sequence[Series]) -> tuple[tuple[Series, ...], ...]:
    """Of series that each cover the same places once, those that are time points of one scan."""
    groups: dict[_Key, list[Series]] = defaultdict(list)
    for one in candidates:
        places = Counter(_places(one))
        if len(places) >= FEWEST_PLACES and set(places.values()) == {1}:
            groups[_key(one)].append(one)
    return tuple(tuple(group) for group in groups.values() if _are_time_points(group))


def companions(series: Series, others: Sequence[Series]) -> tuple[TimePoints, tuple[Series, ...]] | None:
    """What a series is together with those of ``others`` that are time points of the same scan, and these; None where
    that is no perfusion scan.

    ``others`` are known to cover the same places; that, and one object of each, is enough to tell.
    """
    places = Counter(_places(series))
    if len(places) < FEWEST_PLACES or set(places.values()) != {1}:
        return None
    alike = [other for other in others if _key(other)[:-1] == _key(series)[:-1]]
    begins = [min(acquired(one.first), default=None) for one in (series, *alike)]
    told = [begin for begin in begins if begin is not None]
    if len(set(told)) < len(begins):
        return None
    found = TimePoints(len(places), len(places) * len(begins), max(told) - min(told))
    return (found, tuple(alike)) if found.is_perfusion else None


def scans(series: Sequence[Series]) -> tuple[tuple[Series, ...], ...]:
    """Perfusion series by scan: those at the same places, of one reconstruction and frame of reference."""
    groups: dict[_Key, list[Series]] = defaultdict(list)
    for one in series:
        groups[_key(one)].append(one)
    return tuple(map(tuple, groups.values()))


def _are_time_points(group: Sequence[Series]) -> bool:
    """Enough of them, and no two acquired at one time."""
    begins = [min(times, default=None) for one in group for times in [acquired(one.first)]]
    return time_points(group).is_perfusion and None not in begins and len(set(begins)) == len(begins)


def _places(series: Series) -> list[int]:
    return [round(place / _ROUNDING_MM) for instance in series.instances for place in along_normal(instance.header)]


def _key(series: Series) -> _Key:
    header = series.first
    return (
        text(header, "FrameOfReferenceUID"),
        integer(header, "Rows"),
        integer(header, "Columns"),
        text(header, "ConvolutionKernel"),
        tuple(sorted(set(_places(series)))),
    )
