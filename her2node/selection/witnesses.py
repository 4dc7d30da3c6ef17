"""What the tags of a CT series testify about its contrast phase.

Four witnesses, each of which may be silent: the series description, the contrast tags, the phase of the agent that an
enhanced object names, and the time between the start of the bolus and the acquisition. None of them is believed against
another (``assignment``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, text
from her2node.selection.roles import Role
from her2node.selection.study import Series


@dataclass(frozen=True)
class Testimony:
    """One witness: the phases it names (several: it contradicts itself), whether it speaks of contrast (True: given,
    False: not given, None: silent), and its words."""

    phases: frozenset[Role]
    contrast: bool | None
    words: str


SILENT = Testimony(frozenset(), None, "")

_LETTER = "a-zäöüß"
_WORDS: tuple[tuple[Role, str, str], ...] = (
    (
        Role.PLAIN,
        r"plain|unenhanced|nativ|native|(?:non|pre|no)[ _-]?contrast|(?:without|w/?o)(?:[ _-]?(?:iv|c))?"
        r"|ohne[ _-]?km|nc(?:e)?ct|nect",
        "平扫|平掃|非增[强強]",
    ),
    (Role.ARTERIAL, r"arterial|arteriell|arterielle|art|hap", "(?<!主)动脉|(?<!主)動脈|动静脉"),
    (
        Role.PORTAL,
        r"portal|portovenous|venous|ven|ven(?:ö|oe)se?|portal[ _-]?ven(?:ö|oe)se?|pvp?",
        "门脉|門脈|门静脉|門靜脈|静脉期|靜脈期",
    ),
    (
        Role.EQUILIBRIUM,
        r"equilibrium|delay|delayed|late[ _-]?(?:venous[ _-]?)?phase|sp(?:ä|ae)t(?:phase)?|gleichgewicht(?:sphase)?",
        "平衡|延迟|延遲|延时|延時",
    ),
)
"""Latin words stand between what is no letter, so that `ART_1.0` and `art期` are found and `start` is not; Chinese
words stand anywhere, for Chinese has no word boundaries."""
_PHASES = tuple(
    (role, re.compile(rf"(?<![{_LETTER}])(?:{latin})(?![{_LETTER}])|{han}", re.IGNORECASE))
    for role, latin, han in _WORDS
)
_C_MINUS = re.compile(r"(?<![a-z0-9])c-(?![a-z0-9])", re.IGNORECASE)
_CONTRAST = re.compile(
    r"(?<![a-z0-9])(?:c\+|\+c(?![a-z])|ce(?:ct)?(?![a-z])|(?:with|w/?|post|iv)[ _-]?(?:iv[ _-]?)?contrast|w/?c(?![a-z])"
    r"|mit[ _-]?km|contrast[ _-]?enhanced|enhanced|enh(?![a-z]))|(?<!非)增[强強]|[强強]化",
    re.IGNORECASE,
)
_NO_AGENT = re.compile(
    r"^\W*(?:no|none|without|nil|n/?a|keine?s?|ohne|无|無|不用)\W*(?:contrast|km)?\W*$", re.IGNORECASE
)

AGENT_PHASES = {
    "PRE_CONTRAST": Role.PLAIN,
    "ARTERIAL": Role.ARTERIAL,
    "VENOUS": Role.PORTAL,
    "PORTAL_VENOUS": Role.PORTAL,
    "DELAYED": Role.EQUILIBRIUM,
}
"""The terms of ContrastBolusAgentPhase (PS3.3 C.7.6.16.2.12) that name a phase; the others (POST_CONTRAST, IMMEDIATE,
DYNAMIC, STEADY_STATE, CAPILLARY) say no more than that contrast was given."""

BOLUS_WINDOWS: tuple[tuple[Role, float, float], ...] = (
    (Role.ARTERIAL, 25.0, 40.0),
    (Role.PORTAL, 60.0, 80.0),
    (Role.EQUILIBRIUM, 120.0, 180.0),
)
"""Seconds from the start of the bolus to the first acquisition, both ends included. Between them timing is silent."""
_LONGEST_DELAY = 3600.0
"""Beyond an hour the two clocks, or days, have nothing to do with each other."""


def description(series: Series) -> Testimony:
    """What SeriesDescription says, in English, German or Chinese."""
    said = series.description
    phases = {role for role, pattern in _PHASES if pattern.search(said)}
    if _C_MINUS.search(said):
        phases.add(Role.PLAIN)
    contrast = True if _CONTRAST.search(said) or phases - {Role.PLAIN} else None
    if phases == {Role.PLAIN}:
        contrast = False
    return Testimony(frozenset(phases), contrast, f"SeriesDescription '{said}'") if phases or contrast else SILENT


def contrast_tags(series: Series) -> Testimony:
    """What ContrastBolusAgent and its kin say. An empty agent says nothing: many sites never fill it."""
    header = series.first
    administered = {
        text(usage, "ContrastBolusAgentAdministered")
        for usage in _functional_items(header, "ContrastBolusUsageSequence")
    } - {""}
    if administered == {"NO"}:
        return Testimony(frozenset(), False, "ContrastBolusAgentAdministered NO in every frame")
    agent = text(header, "ContrastBolusAgent") or _agent_of_sequence(header)
    if not agent and "YES" not in administered:
        return SILENT
    if agent and _NO_AGENT.match(agent):
        return Testimony(frozenset(), False, f"ContrastBolusAgent '{agent}'")
    route = text(header, "ContrastBolusRoute")
    if re.fullmatch(r"\W*(?:oral|rectal|po|per os|口服)\W*", route, re.IGNORECASE):
        return SILENT
    return Testimony(frozenset(), True, f"ContrastBolusAgent '{agent or 'administered'}'")


def agent_phase(series: Series) -> Testimony:
    """What ContrastBolusAgentPhase says in the frames of enhanced objects, or beside the agent of classic ones."""
    headers = [instance.header for instance in series.instances]
    usages = [usage for header in headers for usage in _functional_items(header, "ContrastBolusUsageSequence")]
    terms = sorted({text(place, "ContrastBolusAgentPhase") for place in (*headers, *usages)} - {""})
    if not terms:
        return SILENT
    phases = frozenset(AGENT_PHASES[term] for term in terms if term in AGENT_PHASES)
    contrast = None if Role.PLAIN in phases else True
    return Testimony(phases, contrast, f"ContrastBolusAgentPhase {', '.join(terms)}")


def timing(series: Series) -> Testimony:
    """What the time from the start of the bolus to the first acquisition says: before it plain, else a window."""
    delay = seconds_after_bolus(series)
    if delay is None or abs(delay) > _LONGEST_DELAY:
        return SILENT
    words = f"acquired {delay:.0f} s after the start of the bolus"
    if delay <= 0:
        return Testimony(frozenset({Role.PLAIN}), False, f"acquired {-delay:.0f} s before the bolus")
    phases = frozenset(role for role, low, high in BOLUS_WINDOWS if low <= delay <= high)
    return Testimony(phases, True, words)


def seconds_after_bolus(series: Series) -> float | None:
    """Seconds from the start of the bolus to the earliest acquisition of the series; None when either is untold."""
    starts = [start for instance in series.instances if (start := _bolus_start(instance.header)) is not None]
    times = [when for instance in series.instances for when in acquired(instance.header)]
    if not starts or not times:
        return None
    delay = min(times) - min(starts)
    if delay < -_DAY / 2:  # the bolus before midnight, the acquisition after it
        delay += _DAY
    return delay


_DAY = 86_400.0


def _functional_items(header: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Items of a functional group macro, shared or of any frame, of an enhanced object."""
    shared = items(header, "SharedFunctionalGroupsSequence")
    frames = items(header, "PerFrameFunctionalGroupsSequence")
    return tuple(item for group in (*shared, *frames) for item in items(group, keyword))


def _agent_of_sequence(header: Dataset) -> str:
    """The agent of the Enhanced Contrast/Bolus module (PS3.3 C.7.6.4b), by its code's meaning."""
    return next((text(item, "CodeMeaning") for item in items(header, "ContrastBolusAgentSequence")), "")


def _bolus_start(header: Dataset) -> float | None:
    """Time of day in seconds."""
    direct = _clock(header, "ContrastBolusStartTime")
    if direct is not None:
        return direct
    profiles = (
        profile
        for agent in items(header, "ContrastBolusAgentSequence")
        for profile in items(agent, "ContrastAdministrationProfileSequence")
    )
    return next((start for p in profiles if (start := _clock(p, "ContrastBolusStartTime")) is not None), None)


def acquired(header: Dataset) -> list[float]:
    """Times of day in seconds at which the object's image, or its frames, were acquired."""
    frames = [
        _clock_of_datetime(item, "FrameAcquisitionDateTime")
        for item in _functional_items(header, "FrameContentSequence")
    ]
    whole = [_clock(header, "AcquisitionTime"), _clock_of_datetime(header, "AcquisitionDateTime")]
    return [when for when in frames or whole if when is not None]


def _clock(ds: Dataset, keyword: str) -> float | None:
    return _seconds(text(ds, keyword))


def _clock_of_datetime(ds: Dataset, keyword: str) -> float | None:
    return _seconds(text(ds, keyword)[8:])


def _seconds(time_of_day: str) -> float | None:
    """Seconds since midnight of a DICOM time (PS3.5 TM), colons of ACR-NEMA tolerated; None when it is none."""
    found = re.match(r"(\d{2}):?(\d{2}):?(\d{2}(?:\.\d*)?)?", time_of_day)
    if found is None:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3] or 0)
