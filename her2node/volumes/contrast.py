"""The contrast agent and how it was given, as headers say it (PS3.3 C.7.6.4 and C.7.6.4b)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, moment, number, text

LONGEST_AWAY_S = 3600.0
"""Beyond an hour the clocks of injector and scanner have nothing to do with each other."""


@dataclass(frozen=True)
class Contrast:
    """The agent and how it was given; None where the header says nothing.

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

    @property
    def words(self) -> tuple[str, ...]:
        """As a report prints it."""
        said = [
            f"{name} {value:g} {unit}"
            for name, value, unit in (
                ("volume", self.volume_ml, "ml"),
                ("undiluted agent", self.dose_ml, "ml"),
                ("concentration", self.concentration_mg_ml, "mg/ml"),
                ("rate", self.flow_ml_s, "ml/s"),
            )
            if value is not None
        ]
        if self.start_s is not None:
            side = "after" if self.start_s >= 0 else "before"
            said.append(f"begun {abs(self.start_s):.1f} s {side} the first time point")
        if not (self.agent or said):
            return ("contrast agent not stated in the header",)
        return (f"contrast agent {', '.join([self.agent or 'not named', *said])}",)


def contrast_of(header: Dataset, begun: datetime | None) -> tuple[Contrast, tuple[str, ...]]:
    """What the header says of the agent, and what of it could not be believed. ``begun``: the first time point, by the
    clock on the wall."""
    agent = next(iter(items(header, "ContrastBolusAgentSequence")), Dataset())
    profile = next(iter(items(agent, "ContrastAdministrationProfileSequence")), Dataset())
    places = (profile, agent, header)
    route = next(iter(items(agent, "ContrastBolusAdministrationRouteSequence")), Dataset())
    start, notes = _start(header, places, begun)
    return Contrast(
        agent=text(header, "ContrastBolusAgent") or text(agent, "CodeMeaning"),
        route=text(header, "ContrastBolusRoute") or text(route, "CodeMeaning"),
        volume_ml=_positive(places, "ContrastBolusVolume"),
        dose_ml=_positive(places, "ContrastBolusTotalDose"),
        concentration_mg_ml=_positive(places, "ContrastBolusIngredientConcentration"),
        flow_ml_s=_positive(places, "ContrastFlowRate"),
        start_s=start,
    ), notes


def _positive(places: tuple[Dataset, ...], keyword: str) -> float | None:
    stated = (number(place, keyword) for place in places)
    return next((value for value in stated if value is not None and value > 0), None)


def _start(
    header: Dataset, places: tuple[Dataset, ...], begun: datetime | None
) -> tuple[float | None, tuple[str, ...]]:
    """Seconds from the first time point to the start of the injection."""
    place = next((place for place in places if text(place, "ContrastBolusStartTime")), None)
    if place is None or begun is None:
        return None, ()
    dated = Dataset()
    dated.StudyDate = f"{begun:%Y%m%d}"
    dated.ContrastBolusStartTime = text(place, "ContrastBolusStartTime")
    at = moment(dated, "StudyDate", "ContrastBolusStartTime")
    seconds = (at.replace(tzinfo=None) - begun).total_seconds() if at else None
    if seconds is None or abs(seconds) > LONGEST_AWAY_S:
        return None, ("ContrastBolusStartTime lies more than an hour from the first time point and is not believed",)
    return seconds, ()
