"""What the summary page says: values and words, nothing of how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.dicom.attributes import text
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.codes import Statement, Unit
from her2node.models.agreement import agreement
from her2node.models.prediction import Answer, Category, Observation, PackageRef, Prediction
from her2node.quantities.quantity import Quantity
from her2node.reading import LaidRoi, Reading
from her2node.reports.charset import unescaped
from her2node.reports.envelope import base_header
from her2node.reports.regions import Points, measured_series, outlines, shown
from her2node.reports.report import Stamp
from her2node.reports.wording import (
    CATEGORIES,
    MOST_NAMED,
    NOTHING_RAN,
    NOTICE,
    REFERENCE_TEST,
    assumed,
    drawn,
    input_used,
    package_name,
    percent,
    ran,
    refusals,
    series_name,
    series_said,
    stability,
    unit_name,
)
from her2node.selection.roles import Role

SOFT_TISSUE = (40.0, 400.0)
"""Centre and width of the window in HU."""
_DECIMALS = {Unit.HU.value: 1, Unit.MM.value: 1, Unit.MM2.value: 0, Unit.MM3.value: 0}

_COMPARING = (
    Concept.AORTA_ATTENUATION,
    Concept.PORTAL_VEIN_ATTENUATION,
    Concept.TO_AORTA_RAW,
    Concept.DISPLACEMENT,
)
"""Quantities that stand beside others of several series."""

_OF_REGION = (Statement.REGION, Statement.FLAG, Statement.CAUTION)
"""What the remarks say of a region that a package drew; the rest is provenance."""

_MOST_PACKAGES = 4
"""As many have their provenance on the page."""


@dataclass(frozen=True)
class Picture:
    """The slice on which the tumour is largest: grey values in [0, 1], shape (rows, columns), black without image.

    ``spacing_mm`` of (rows, columns); ``letters`` name where left, right, top and bottom of the picture point to.
    """

    grey: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float]
    letters: tuple[str, str, str, str]
    outlines: tuple[Points, ...]
    caption: str


@dataclass(frozen=True)
class Answered:
    """One answer. ``condition`` is '' when no input was assumed."""

    condition: str
    probability: float
    percent: str
    category: Category
    words: str


@dataclass(frozen=True)
class Estimated:
    """One package's answers."""

    title: str
    level: str
    answers: tuple[Answered, ...]
    inputs: tuple[str, ...]
    prior: str


@dataclass(frozen=True)
class Row:
    """A quantity in every series; '' where it is not there."""

    name: str
    unit: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """The tumour's quantities, one column a measured series."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Page:
    """Everything on the page. ``remarks``: (heading, sentences)."""

    identity: tuple[str, ...]
    picture: Picture | None
    estimates: tuple[Estimated, ...]
    no_estimate: str
    table: Table | None
    remarks: tuple[tuple[str, tuple[str, ...]], ...]
    notices: tuple[str, ...]
    provenance: tuple[str, ...]


def page_of(reading: Reading, stamp: Stamp) -> Page:
    """The page of a reading. Patient ID and study date say whose it is; the name stays in the object's header."""
    regions = shown(reading)
    return Page(
        identity=_identity(reading, stamp),
        picture=_picture(reading, regions[0]) if regions else None,
        estimates=tuple(map(_estimated, reading.predictions)),
        no_estimate="No package gave an estimate." if ran(reading) else NOTHING_RAN,
        table=_table(reading, regions[0]) if regions else None,
        remarks=_remarks(reading),
        notices=(NOTICE, REFERENCE_TEST),
        provenance=_provenance(reading, stamp),
    )


def _identity(reading: Reading, stamp: Stamp) -> tuple[str, ...]:
    header = base_header(reading)
    day = text(header, "StudyDate")
    said = {
        "Patient ID": text(header, "PatientID"),
        "Study": f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 else day,
        "Accession": text(header, "AccessionNumber"),
        "Edition": str(stamp.edition),
        "Written": stamp.moment.strftime("%Y-%m-%d %H:%M"),
    }
    return tuple(f"{key} {unescaped(value)}" for key, value in said.items() if value)


def _picture(reading: Reading, laid: LaidRoi) -> Picture | None:
    measured = measured_series(reading, laid.series_instance_uid)
    if measured is None:
        return None
    geometry = measured.geometry
    low, high = _window(laid.key_image, measured.unit.value)
    grey = np.clip((np.nan_to_num(laid.key_image, nan=low).astype(np.float64) - low) / (high - low), 0, 1)
    height = geometry.to_patient((laid.key_slice, 0, 0)) @ np.asarray(geometry.directions[0])
    window = f"window {SOFT_TISSUE[0]:.0f}/{SOFT_TISSUE[1]:.0f} HU" if measured.unit == Unit.HU else ""
    caption = [
        series_name(reading, laid.series_instance_uid),
        measured.role.value if measured.role else "phase unknown",
        f"slice {laid.key_slice + 1} of {geometry.shape[0]} at {height:.1f} mm",
        window,
    ]
    right, down = geometry.directions[2], geometry.directions[1]
    return Picture(
        grey=grey,
        spacing_mm=geometry.spacing_mm[1:],
        letters=(_letter(right, -1), _letter(right, 1), _letter(down, -1), _letter(down, 1)),
        outlines=outlines(laid.roi.mask[laid.key_slice]),
        caption=", ".join(unescaped(part) for part in caption if part),
    )


def _window(image: npt.NDArray[np.float32], unit: str) -> tuple[float, float]:
    """Lowest and highest value shown: soft tissue for HU, else the 1st to 99th percentile."""
    if unit == Unit.HU.value or not np.isfinite(image).any():
        return SOFT_TISSUE[0] - SOFT_TISSUE[1] / 2, SOFT_TISSUE[0] + SOFT_TISSUE[1] / 2
    low, high = np.nanpercentile(image, (1, 99))
    return float(low), float(max(high, low + 1e-6))


def _letter(direction: tuple[float, float, float], sign: int) -> str:
    """Where ``sign`` times a direction of the patient system (LPS) mostly points: R L A P F H."""
    axis = int(np.argmax(np.abs(direction)))
    return ("RL", "AP", "FH")[axis][int(sign * direction[axis] > 0)]


def _estimated(prediction: Prediction) -> Estimated:
    package = prediction.package
    single = len(prediction.answers) == 1
    known = [used for used in prediction.answers[0].inputs if used.source != "assumed"]
    return Estimated(
        title=package_name(package),
        level=f"{package.title} \u2013 {package.level.value}",
        answers=tuple(
            Answered(
                "" if single else f"if {assumed(answer)}",
                answer.probability,
                percent(answer.probability),
                answer.category,
                f"{CATEGORIES[answer.category].meaning}{_interval(answer)}",
            )
            for answer in prediction.answers
        ),
        inputs=tuple(map(input_used, known)),
        prior=f"prior {percent(prediction.prior)} ({prediction.prior_source})",
    )


def _interval(answer: Answer) -> str:
    """', 95 % interval 9 % to 37 %' or another kind's, or '' where the package has none."""
    return f", {answer.interval_kind} {' to '.join(map(percent, answer.interval))}" if answer.interval else ""


def _table(reading: Reading, laid: LaidRoi) -> Table | None:
    here = [q for q in reading.quantities if q.roi == laid.roi.tracking_id and _stands_on_page(q)]
    columns = list(dict.fromkeys(q.series_uids for q in here))
    rows: dict[tuple[str, str], dict[tuple[str, ...], str]] = {}
    for quantity in here:
        name = (_name(quantity), unit_name(quantity.unit.value))
        rows.setdefault(name, {})[quantity.series_uids] = _figure(quantity)
    if not rows:
        return None
    return Table(
        title=f"Measured in {unescaped(laid.roi.label or laid.roi.tracking_id)}",
        columns=tuple(_column(reading, here, uids) for uids in columns),
        rows=tuple(
            Row(name, unit, tuple(cells.get(uids, "") for uids in columns)) for (name, unit), cells in rows.items()
        ),
    )


def _stands_on_page(quantity: Quantity) -> bool:
    """Percentiles are for models, and what compares series needs more room than the page has: both stand in the
    structured report and leave the page to size and attenuation."""
    if quantity.modifier is not None:
        return not quantity.modifier.value.startswith("PCTL-")
    return len(quantity.series_uids) == 1 and quantity.code not in _COMPARING


def _name(quantity: Quantity) -> str:
    """The quantity as a reader says it; of perfusion and DCE with the method, for several give the same."""
    said = quantity.code.meaning
    if quantity.modifier:
        said = f"{said.replace(' Coefficient', '')}, {quantity.modifier.meaning.lower()}"
    if quantity.role in (Role.PERFUSION, Role.DCE) and quantity.method:
        said = f"{said} ({quantity.method.value})"
    return said


def _column(reading: Reading, here: list[Quantity], uids: tuple[str, ...]) -> str:
    role = next((", ".join(r for r in (q.role, q.phase) if r) for q in here if q.series_uids == uids), None)
    found = (reading.study.series_of(uid) for uid in uids)
    numbers = [series.number for series in found if series is not None and series.number is not None]
    where = ", ".join(f"series {number}" for number in numbers)
    if len(numbers) > MOST_NAMED:
        where = f"{len(numbers)} series, {numbers[0]} to {numbers[-1]}"
    return "\n".join(part for part in (role or "phase unknown", where) if part)


def _figure(quantity: Quantity) -> str:
    """As many decimals as the unit bears, four significant digits where nothing is known of it."""
    decimals = _DECIMALS.get(quantity.unit.value)
    return f"{quantity.value:.4g}" if decimals is None else f"{quantity.value:.{decimals}f}"


def _remarks(reading: Reading) -> tuple[tuple[str, tuple[str, ...]], ...]:
    told: tuple[Prediction | Observation, ...] = (*reading.predictions, *reading.observations)
    flags = [(p, flag) for p in told for flag in (*p.flags, *p.cautions)]
    conflicts = [(p, conflict) for p in told for conflict in p.conflicts]
    beside = tuple(f"{o.package.name}: {remark}" for o in reading.observations for remark in o.remarks)
    steady = tuple(f"{p.package.name}: {said}" for p in reading.predictions for said in stability(p))
    agree = agreement(reading.predictions)
    found = (
        ("Region of the tumour", tuple(one.text for one in drawn(reading) if one.concept in _OF_REGION)),
        ("Agreement", (agree,) if agree else ()),
        ("Beside printed cut-offs", beside),
        ("Other regions", steady),
        ("Not done, and why", refusals(reading)),
        ("Flags", tuple(f"{p.package.name}: {said}" for p, said in flags)),
        ("Contradicting literature", tuple(f"{p.package.name}: {said}" for p, said in conflicts)),
        ("Series", tuple(series_said(reading, assignment) for assignment in reading.assignments)),
    )
    return tuple((heading, tuple(map(unescaped, said))) for heading, said in found if said)


def _provenance(reading: Reading, stamp: Stamp) -> tuple[str, ...]:
    predictions = reading.predictions
    packages = [_package(prediction.package) for prediction in predictions[:_MOST_PACKAGES]]
    if len(predictions) > _MOST_PACKAGES:
        packages.append(f"{len(predictions) - _MOST_PACKAGES} more packages: see the structured report")
    site = f", {stamp.site}" if stamp.site else ""
    node = f"her2node {stamp.version} at {stamp.ae_title}{site}, device {stamp.device_uid}, input {stamp.input_hash}"
    drawer = [f"Region of the tumour by {_package(reading.segmented.package)}"] if reading.segmented else []
    return (*drawer, *packages, node)


def _package(package: PackageRef) -> str:
    said = (
        f"{package_name(package)} ({package.level.value}): {package.citation}",
        f"Intended use: {package.intended_use}",
        f"Reference: {package.reference_test}",
        f"Package sha256 {package.sha256[:16]}\u2026",
    )
    return ". ".join(sentence.rstrip(".") for sentence in said)
