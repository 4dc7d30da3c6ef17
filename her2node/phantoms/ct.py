"""A multi-phase CT of the abdomen with a gastric tumour."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.uids import derived_uid
from her2node.phantoms import classic, enhanced, segmentation, structure_set
from her2node.phantoms.anatomy import Anatomy, Phase, varied
from her2node.phantoms.options import CharacterSet, Descriptions, Form, PhantomOptions, RoiForm
from her2node.phantoms.planes import Plane
from her2node.phantoms.study import PhantomStudy, PlannedSeries, PlannedSlice
from her2node.phantoms.truth import truth_of

DELAYS = {
    Phase.ARTERIAL: timedelta(seconds=30),
    Phase.PORTAL: timedelta(seconds=70),
    Phase.EQUILIBRIUM: timedelta(seconds=150),
}
"""From the start of injection to the phase; each patient differs by up to 2 s (arterial) or 5 s."""

_INJECTED_AFTER = timedelta(minutes=6)
_PLAIN_AFTER = timedelta(minutes=3)

_ENGLISH = {
    Phase.PLAIN: "Abdomen Plain",
    Phase.ARTERIAL: "Abdomen Arterial phase",
    Phase.PORTAL: "Abdomen Portal venous phase",
    Phase.EQUILIBRIUM: "Abdomen Equilibrium phase",
}
_CHINESE = {
    Phase.PLAIN: "上腹部平扫",
    Phase.ARTERIAL: "上腹部增强 动脉期",
    Phase.PORTAL: "上腹部增强 门静脉期",
    Phase.EQUILIBRIUM: "上腹部增强 平衡期",
}
_NEXT = dict(zip(Phase, [*list(Phase)[1:], Phase.PLAIN], strict=True))


def make(options: PhantomOptions) -> PhantomStudy:
    """Plan a study and its truth; objects are made when ``datasets`` is read. Raises PhantomRefused."""
    anatomy = options.anatomy or varied(options.seed)
    study_uid = derived_uid(
        "phantom study", str(options.seed), repr(options.anatomy), repr(options.patient), options.started.isoformat()
    )
    rng = np.random.default_rng(np.random.SeedSequence([options.seed, 4]))
    injected = options.started + _INJECTED_AFTER + timedelta(seconds=int(rng.integers(0, 60)))
    jitter = {
        phase: timedelta(seconds=int(rng.integers(-n, n + 1))) for phase, n in zip(DELAYS, (2, 5, 5), strict=True)
    }
    planes = _planes(options, anatomy, float(rng.uniform(-0.5, 0.5)))
    series = tuple(
        _series(options, phase, study_uid, _acquired(options, phase, injected, jitter), planes)
        for phase in sorted(options.phases, key=list(Phase).index)
    )
    return PhantomStudy(
        options=options,
        anatomy=anatomy,
        truth=truth_of(anatomy, options.seed),
        study_instance_uid=study_uid,
        frame_of_reference_uid=derived_uid("phantom frame of reference", study_uid),
        injected=injected,
        series=series,
        parts=(_images, _regions),
    )


def _acquired(options: PhantomOptions, phase: Phase, injected: datetime, jitter: dict[Phase, timedelta]) -> datetime:
    return options.started + _PLAIN_AFTER if phase is Phase.PLAIN else injected + DELAYS[phase] + jitter[phase]


def _planes(options: PhantomOptions, anatomy: Anatomy, shift: float) -> tuple[Plane, ...]:
    """Transverse slices from foot to head about the tumour's middle, shifted by a part of the spacing, so that no
    voxel centre has to fall on the tumour's centre; positions are whole micrometres."""
    rows, columns = options.rows, options.columns
    down, across = options.spacing_mm
    left, back = -(columns - 1) / 2 * across, -(rows - 1) / 2 * down
    middle = anatomy.tumour.shape.centre_mm[2] + shift * options.slice_spacing_mm
    start = middle - (options.slices - 1) / 2 * options.slice_spacing_mm
    heights = (round(start + number * options.slice_spacing_mm, 3) for number in range(options.slices))
    return tuple(
        Plane(
            (round(left, 3), round(back, 3), height),
            (1.0, 0.0, 0.0),
            (0.0, 1.0, 0.0),
            (down, across),
            (rows, columns),
            options.thickness,
        )
        for height in heights
    )


def _series(
    options: PhantomOptions, phase: Phase, study_uid: str, acquired: datetime, planes: tuple[Plane, ...]
) -> PlannedSeries:
    """Whatever shapes the objects of the series shapes their UIDs."""
    shaping: tuple[object, ...] = (
        options.form, options.rows, options.columns, options.slices, options.slice_spacing_mm, options.spacing_mm,
        options.thickness, options.supersampling, options.noise_hu, options.border,
        options.descriptions, options.character_set, options.kvp, options.kernel,
    )  # fmt: skip
    if options.breathing_mm:
        shaping = (*shaping, options.breathing_mm)
    uid = derived_uid("phantom series", study_uid, phase, repr(shaping))
    slices = tuple(
        PlannedSlice(plane, number, number, derived_uid("phantom image", uid, str(number)))
        for number, plane in enumerate(planes, start=1)
    )
    number = 2 + list(Phase).index(phase)
    image_uid = derived_uid("phantom image", uid, "all")
    return PlannedSeries(phase, uid, image_uid, number, _description(options, phase), acquired, slices)


def _description(options: PhantomOptions, phase: Phase) -> str:
    match options.descriptions:
        case Descriptions.ENGLISH:
            return _ENGLISH[phase]
        case Descriptions.CHINESE:
            return _CHINESE[phase]
        case Descriptions.WRONG:
            return _ENGLISH[_NEXT[phase]]
        case Descriptions.NONE:
            return "Abdomen" if options.character_set is CharacterSet.LATIN else "上腹部"


def _images(study: PhantomStudy) -> Iterator[Dataset]:
    for series in study.series:
        if study.options.form is Form.CLASSIC:
            yield from classic.images(study, series)
        else:
            yield enhanced.image(study, series)


def _regions(study: PhantomStudy) -> Iterator[Dataset]:
    for form in study.options.rois:
        if form is RoiForm.CONTOURS:
            yield structure_set.contours(study)
        else:
            yield segmentation.segmentation(study, form)
