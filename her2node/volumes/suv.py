"""PET: how stored values become standardised uptake values by body weight, from headers alone.

SUVbw = activity concentration [Bq/ml] x weight [g] / dose [Bq], the dose at the moment to which the image is corrected
for decay. The rules are those of the IBSI-SUV manual (oncoray/suv_computation, CC BY 4.0), which every one of its 17
phantoms follows. Three shortcuts that others take are not taken: SeriesTime is not believed where it lies after an
acquisition, GML is not taken for body weight where SUVType says otherwise, ADMIN is not treated like START.

What a header gives in a unit of its own (grams, MBq) is converted by a rule, and the rule is noted; what is missing is
refused by its keyword. Nothing is assumed silently.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, moment, moment_of, number, text, texts
from her2node.dicom.private import PrivateTag, private_numbers, private_text
from her2node.errors import InvalidAttribute, MissingAttribute, NotCalibrated
from her2node.selection.pet import F18_HALF_LIFE_S, has_half_life_of_f18, names_f18
from her2node.volumes.body import OF_BOTH_SEXES, Body, body_of
from her2node.volumes.frames import Frame

PHILIPS_SUV = PrivateTag("Philips PET Private Group", 0x7053, 0x00, "text")
"""SUV scale factor: SUVbw for one unit of a rescaled value."""
PHILIPS_ACTIVITY = PrivateTag("Philips PET Private Group", 0x7053, 0x09, "text")
"""Activity concentration scale factor: Bq/ml for one unit of a rescaled value."""
GE_SCAN_START = PrivateTag("GEMS_PETD_01", 0x0009, 0x0D, "text")
"""The moment to which GE corrects for decay."""

_LEAST_DOSE_BQ = 1e5
"""A total dose below is in MBq: 0.1 MBq is given to nobody, and 100 GBq neither."""
_POSSIBLE_DOSES_BQ = 5e6, 5e9
"""What a patient is given lies between. Such a dose in kBq or GBq falls out of it whether read as Bq or as MBq."""
_MOST_HALF_LIVES = 10.0
_LONGEST_OVERNIGHT = timedelta(hours=6)
"""An injection that by its time of day lies after the acquisition was before midnight: this long before it at most."""
_TELLING = 0.01
"""Reference times that differ by more of the dose are told."""


@dataclass(frozen=True)
class Normalisation:
    """How the frames of one PET series become SUVbw.

    ``factors`` has one entry a frame: SUVbw [g/ml] for one unit of stored x RescaleSlope + RescaleIntercept.
    ``dose_bq`` is the dose at injection and ``uptake`` the time from injection to the first acquisition, None where
    the header does not tell and nothing needed it. ``notes`` are the rules that had to be applied, in words.
    """

    factors: tuple[float, ...]
    body: Body
    dose_bq: float | None
    uptake: timedelta | None
    notes: tuple[str, ...]


def normalisation(frames: Sequence[Frame]) -> Normalisation:
    """Judge a series of PET frames.

    Raises NotCalibrated (units, corrections), MissingAttribute and InvalidAttribute, which name the keyword.
    """
    _need_corrections(frames)
    units = {text(frame.header, "Units").upper() for frame in frames}
    if len(units) != 1:
        raise NotCalibrated(f"Units differ within the series: {', '.join(sorted(units))}")
    unit = units.pop()
    body, notes = body_of(frames[0].header)
    try:
        factors, found = _by_units(unit, frames, body)
        dose, uptake, told = _told(frames)
    except ArithmeticError as error:  # FrameReferenceTime of a century, say
        raise InvalidAttribute(f"times or durations of the series cannot be right: {error}") from error
    return Normalisation(tuple(factors), body, dose, uptake, (*notes, *found, *told))


_Factors = tuple[list[float], tuple[str, ...]]


def _by_units(unit: str, frames: Sequence[Frame], body: Body) -> _Factors:
    """The factors and the notes for one value of Units (PS3.3 C.8.9.1.1.3)."""
    if unit == "BQML":
        return _by_dose(frames, body, [1.0] * len(frames))
    if unit == "CNTS":
        return _by_philips(frames, body)
    if unit == "GML":
        return _turned_back(frames, body, text(frames[0].header, "SUVType").upper() or "BW")
    if unit == "CM2ML":
        return _turned_back(frames, body, "BSA")
    raise NotCalibrated(f"Units is {unit or 'absent'}: BQML, CNTS of Philips, GML or CM2ML can be turned into SUV")


def _by_philips(frames: Sequence[Frame], body: Body) -> _Factors:
    direct = [_first(private_numbers(frame.header, PHILIPS_SUV)) for frame in frames]
    if all(direct):
        return direct, (f"SUV by the scanner's own factor {PHILIPS_SUV}",)
    activity = [_first(private_numbers(frame.header, PHILIPS_ACTIVITY)) for frame in frames]
    if not all(activity):
        raise NotCalibrated(f"Units is CNTS, and neither {PHILIPS_SUV} nor {PHILIPS_ACTIVITY} is there")
    factors, notes = _by_dose(frames, body, activity)
    return factors, (f"activity by the scanner's own factor {PHILIPS_ACTIVITY}", *notes)


def _turned_back(frames: Sequence[Frame], body: Body, kind: str) -> _Factors:
    """The image holds SUV of some kind already: turned back to body weight."""
    scales: dict[str, Callable[[], float]] = {
        "BW": lambda: 1.0,
        "LBM": lambda: body.weight_kg / body.lean_morgan_kg,
        "LBMJAMES128": lambda: body.weight_kg / body.lean_james_kg,
        "LBMJANMA": lambda: body.weight_kg / body.lean_janmahasatian_kg,
        "IBW": lambda: body.weight_kg / body.ideal_kg,
        "BSA": lambda: 1000 * body.weight_kg / body.surface_cm2,
    }
    if kind not in scales:
        raise NotCalibrated(f"SUVType is {kind}")
    notes = [] if kind == "BW" else [f"the image holds SUV of type {kind}, turned back to body weight"]
    if body.sex == "O" and kind not in ("BW", "BSA"):
        notes.append(OF_BOTH_SEXES)
    return [scales[kind]()] * len(frames), tuple(notes)


def _by_dose(frames: Sequence[Frame], body: Body, becquerels: Sequence[float]) -> _Factors:
    """weight / dose, with the dose at the moment to which each frame is corrected."""
    dose, notes = _dose_bq(frames[0])
    decay = math.log(2) / _half_life_s(frames[0])
    doses, told = _doses_at_reference(frames, dose, decay)
    grams = 1000 * body.weight_kg
    return [bq * grams / at for bq, at in zip(becquerels, doses, strict=True)], (*notes, *told)


def _doses_at_reference(frames: Sequence[Frame], dose: float, decay: float) -> tuple[list[float], tuple[str, ...]]:
    """The dose that each frame is to be divided by, and what had to be decided.

    ADMIN: the image is corrected to the injection. START: to the start of the scan. NONE: not at all, so the activity
    of each frame stands for its mean moment.
    """
    corrections = {text(frame.header, "DecayCorrection").upper() for frame in frames}
    correction = corrections.pop() if len(corrections) == 1 else ""
    if correction == "ADMIN":
        return [dose] * len(frames), ()
    injected, _ = _injected_at(frames[0])  # _told tells the rule, whatever the correction
    if correction == "START":
        reference, notes = _reference(frames, decay)
        return [_left(dose, decay, reference - injected)] * len(frames), notes
    if correction == "NONE":
        moments = [_acquired_at(frame) + _mean_moment(frame, decay) for frame in frames]
        return [_left(dose, decay, at - injected) for at in moments], (
            "the images are not corrected for decay: each is, by its own acquisition time",
        )
    raise NotCalibrated(f"DecayCorrection is {correction or 'absent or not the same in all images'}")


def _left(dose: float, decay: float, elapsed: timedelta) -> float:
    """What is left of the dose. Raises InvalidAttribute for a time that no examination waits: dates that were shifted
    apart would else change every value by orders of magnitude, in silence."""
    half_lives = decay * _seconds(elapsed) / math.log(2)
    if not 0 <= half_lives <= _MOST_HALF_LIVES:
        raise InvalidAttribute(
            f"from injection to the reference time {half_lives:.3g} half-lives pass: check the dates"
        )
    return dose * math.exp(-decay * _seconds(elapsed))


def _reference(frames: Sequence[Frame], decay: float) -> tuple[datetime, tuple[str, ...]]:
    """The moment to which START corrects: the start of the series where that is not after its earliest acquisition;
    else GE's own; else counted back from the first frame's mean moment and its FrameReferenceTime."""
    earliest = min(map(_acquired_at, frames))
    witnesses: list[tuple[str, Callable[[], datetime | None]]] = [
        ("SeriesTime", partial(_series_start, frames[0], earliest)),
        (f"GE's {GE_SCAN_START}", partial(_ge_start, frames[0])),
        ("FrameReferenceTime", partial(_counted_back, frames[0], decay)),
    ]
    found = [(name, when) for name, witness in witnesses if (when := witness()) is not None]
    if not found:
        raise NotCalibrated(
            "DecayCorrection is START, and no attribute tells the start: SeriesTime, FrameReferenceTime"
        )
    name, reference = found[0]
    notes = () if name == "SeriesTime" else (f"decay is counted from {name}: SeriesTime lies after an acquisition",)
    for other, when in found[1:]:
        share = abs(math.expm1(decay * _seconds(when - reference)))
        if share > _TELLING:
            notes = (*notes, f"by {other} instead of {name} every value would differ by {100 * share:.1f} %")
    return reference, notes


def _series_start(frame: Frame, earliest: datetime) -> datetime | None:
    start = moment(frame.header, "SeriesDate", "SeriesTime") if text(frame.header, "SeriesTime") else None
    return start if start is not None and start <= earliest else None


def _ge_start(frame: Frame) -> datetime | None:
    return moment_of(private_text(frame.header, GE_SCAN_START), frame.header)


def _counted_back(frame: Frame, decay: float) -> datetime | None:
    """Acquisition + mean moment - FrameReferenceTime (ms from the start of the scan to the frame's mean moment)."""
    reference_ms = number(frame.header, "FrameReferenceTime")
    if reference_ms is None or not number(frame.header, "ActualFrameDuration"):
        return None
    return _acquired_at(frame) + _mean_moment(frame, decay) - timedelta(milliseconds=reference_ms)


def _mean_moment(frame: Frame, decay: float) -> timedelta:
    """From the begin of a frame to the moment at which its mean activity held: ln(x / (1 - exp(-x))) / decay with
    x = decay x ActualFrameDuration."""
    duration_ms = number(frame.header, "ActualFrameDuration")
    if not duration_ms or duration_ms < 0:
        raise MissingAttribute("ActualFrameDuration")
    x = decay * duration_ms / 1000
    return timedelta(seconds=math.log(x / -math.expm1(-x)) / decay)


# --- single attributes ---------------------------------------------------------------------------------------


def _need_corrections(frames: Sequence[Frame]) -> None:
    for frame in frames:
        made = {word.upper() for word in texts(frame.header, "CorrectedImage")}
        wanted = {"ATTN"} if text(frame.header, "DecayCorrection").upper() == "NONE" else {"ATTN", "DECY"}
        if wanted - made:
            raise NotCalibrated(f"CorrectedImage lacks {', '.join(sorted(wanted - made))}")


def _radiopharmaceutical(frame: Frame) -> Dataset:
    found = items(frame.header, "RadiopharmaceuticalInformationSequence")
    if not found:
        raise MissingAttribute("RadiopharmaceuticalInformationSequence")
    return found[0]


def _dose_bq(frame: Frame) -> tuple[float, tuple[str, ...]]:
    dose = number(_radiopharmaceutical(frame), "RadionuclideTotalDose")
    if not dose:
        raise MissingAttribute("RadionuclideTotalDose")
    if dose < 0:
        raise InvalidAttribute(f"RadionuclideTotalDose holds {dose}")
    becquerels = dose * 1e6 if dose < _LEAST_DOSE_BQ else dose
    low, high = _POSSIBLE_DOSES_BQ
    if not low < becquerels < high:
        raise InvalidAttribute(
            f"RadionuclideTotalDose holds {dose:g}, in Bq or MBq no dose of {low / 1e6:g} MBq to {high / 1e9:g} GBq"
        )
    return becquerels, (f"RadionuclideTotalDose {dose:g} is taken for MBq",) if dose < _LEAST_DOSE_BQ else ()


def _half_life_s(frame: Frame) -> float:
    """RadionuclideHalfLife. Where the header names F-18 it must be that of F-18: one in minutes or milliseconds would
    change every value, and no other attribute would tell."""
    given = _radiopharmaceutical(frame)
    half_life = number(given, "RadionuclideHalfLife")
    if not half_life:
        raise MissingAttribute("RadionuclideHalfLife")
    if half_life < 0:
        raise InvalidAttribute(f"RadionuclideHalfLife holds {half_life}")
    if names_f18(given) and not has_half_life_of_f18(given):
        raise InvalidAttribute(f"RadionuclideHalfLife holds {half_life:g}, that of F-18 is {F18_HALF_LIFE_S:g} s")
    return half_life


def _injected_at(frame: Frame) -> tuple[datetime, tuple[str, ...]]:
    """RadiopharmaceuticalStartDateTime; else the time of day, on the day of the acquisition or, where it lies after
    that, on the day before: a night's examination. Raises InvalidAttribute where that would be no night's but a
    mistaken time, MissingAttribute."""
    given = _radiopharmaceutical(frame)
    whole = moment_of(text(given, "RadiopharmaceuticalStartDateTime"), frame.header)
    if whole is not None:
        return whole, ()
    acquired = _acquired_at(frame)
    clock = text(given, "RadiopharmaceuticalStartTime")
    injected = moment_of(f"{acquired:%Y%m%d}{clock.replace(':', '')}", frame.header) if clock else None
    if injected is None:
        raise MissingAttribute("RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime")
    if injected <= acquired:
        return injected, ()
    injected -= timedelta(days=1)
    if (uptake := acquired - injected) > _LONGEST_OVERNIGHT:
        raise InvalidAttribute(
            "RadiopharmaceuticalStartTime lies after the acquisition, and for the day before "
            f"{_seconds(uptake) / 60:.0f} min before it: more than {_seconds(_LONGEST_OVERNIGHT) / 60:.0f} min"
        )
    return injected, ("RadiopharmaceuticalStartTime lies after the acquisition: injection taken for the day before",)


def _acquired_at(frame: Frame) -> datetime:
    content = frame.group("FrameContentSequence") if frame.number is not None else Dataset()
    for said in (text(content, "FrameAcquisitionDateTime"), text(frame.header, "AcquisitionDateTime")):
        if found := moment_of(said, frame.header):
            return found
    found = moment(frame.header, "AcquisitionDate", "AcquisitionTime")
    if found is None or not text(frame.header, "AcquisitionTime"):
        raise MissingAttribute("AcquisitionDate and AcquisitionTime")
    return found


def _told(frames: Sequence[Frame]) -> tuple[float | None, timedelta | None, tuple[str, ...]]:
    """Dose and uptake time as far as the header tells them, for the report, and by which rule or why not."""
    try:
        dose: float | None = _dose_bq(frames[0])[0]
    except (MissingAttribute, InvalidAttribute):
        dose = None
    try:
        injected, notes = _injected_at(frames[0])
        return dose, min(map(_acquired_at, frames)) - injected, notes
    except MissingAttribute:
        return dose, None, ()
    except InvalidAttribute as error:  # nothing needed it: corrected to the injection, or SUV already
        return dose, None, (f"time since injection is not known: {error.detail}",)


def _first(values: Sequence[float]) -> float:
    return values[0] if values and values[0] > 0 else 0.0


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
