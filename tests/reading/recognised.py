"""Phases as the node recognises them, and phantoms whose images are hard to judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.phantoms import Anatomy, PhantomOptions, PhantomStudy, Phase, mishaps, varied
from her2node.phantoms.anatomy import Attenuation, Structure
from her2node.phantoms.shapes import Column
from her2node.reading.looking import looked_at, testimony
from her2node.selection import Selection, select
from her2node.selection.arrangement import arranged
from her2node.selection.roles import Role
from her2node.selection.study import Instance, Study, open_study

SMALL = PhantomOptions(seed=5, rows=144, columns=144, slices=30, slice_spacing_mm=5.0, rois=())
CONTRAST_TAGS = (
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "ContrastBolusStartTime",
    "ContrastBolusTotalDose",
    "ContrastBolusIngredient",
)
UNDECIDED = (None, Role.CONTRAST_UNSPECIFIED)


def untagged(study: PhantomStudy) -> PhantomStudy:
    """Neither a description nor contrast tags: only the images tell the phase."""
    return mishaps.without(study, "SeriesDescription", *CONTRAST_TAGS)


def misnamed(study: PhantomStudy, phase: Phase, name: str) -> PhantomStudy:
    """One phase bears a wrong description, and no contrast tag contradicts it."""
    uid = study.series_of(phase).series_instance_uid

    def rename(ds: Dataset) -> Dataset:
        if ds.SeriesInstanceUID == uid:
            ds.SeriesDescription = name
        return ds

    return untagged(study).with_edit(rename)


def written(study: PhantomStudy, folder: Path) -> Study:
    return open_study(phantoms.write(study, folder))


def recognised(study: Study) -> tuple[Study, Selection]:
    """The study as arranged, and the roles with the images heard."""
    found = arranged(study)
    landmarks = looked_at(found, (), {})
    images = {s.series_instance_uid: testimony(s, landmarks[s.series_instance_uid]) for s in found.series
              if s.series_instance_uid in landmarks}  # fmt: skip
    return found, select(found, (), {}, images)


def roles(phantom: PhantomStudy, folder: Path) -> dict[Phase, Role | None]:
    """The recognised role of each phase's images, by the phase that they were made of."""
    made = {p.sop_instance_uid: series.phase for series in phantom.series for p in series.slices}
    made |= {series.sop_instance_uid: series.phase for series in phantom.series}
    study, selection = recognised(written(phantom, folder))
    found: dict[Phase, Role | None] = {}
    for series in study.series:
        phases = {_phase(i, phantom) or made.get(i.identity.sop_instance_uid) for i in series.instances} - {None}
        for phase in phases:
            assert len(phases) == 1, "phases are mixed in one series"
            assert phase not in found, "one phase lies in several series"
            found[phase] = selection.of(series.series_instance_uid).role
    return found


def _phase(part: Instance, phantom: PhantomStudy) -> Phase | None:
    """The phase whose frames a part of a packed enhanced object has; None for a whole object."""
    if part.frames is None:
        return None
    phases = [series.phase for series in phantom.series for _ in series.slices]
    (found,) = {phases[number - 1] for number in part.frames}
    return found


def changed(change: Callable[[Structure], Structure], *more: Structure, seed: int = 5) -> Anatomy:
    """An abdomen with every organ changed, and ``more`` drawn over it."""
    anatomy = varied(seed)
    return replace(anatomy, organs=(*map(change, anatomy.organs), *more))


def brighter(factor: float) -> Callable[[Structure], Structure]:
    """Enhancement of everything times ``factor``, as by another dose or tube voltage."""
    return lambda organ: replace(organ, hu=organ.hu.enhanced_by(factor))


def blended(early: float) -> Callable[[Structure], Structure]:
    """A portal phase that is ``early`` parts arterial."""

    def blend(organ: Structure) -> Structure:
        hu = organ.hu
        return replace(organ, hu=replace(hu, portal=round(early * hu.arterial + (1 - early) * hu.portal)))

    return blend


def anaemic(organ: Structure) -> Structure:
    """Blood of 28 HU before contrast in the great vessels."""
    if organ.name not in {"aorta", "vena cava", "portal vein"}:
        return organ
    hu = organ.hu
    return replace(organ, hu=Attenuation(hu.plain - 14, hu.arterial - 14, hu.portal - 14, hu.equilibrium - 14))


def same(organ: Structure) -> Structure:
    return organ


def filled_stomach(organ: Structure) -> Structure:
    """Positive contrast in the stomach."""
    bright = Attenuation(420, 420, 420, 420)
    return replace(organ, hu=bright) if organ.name == "gastric fluid" else organ


def plaques() -> tuple[Structure, ...]:
    """Calcified plaques along the wall of the aorta."""
    calcium = Attenuation(700, 700, 700, 700)
    places = [(9 + 9 * np.cos(turn), 30 + 9 * np.sin(turn)) for turn in (0.5, 2.0, 4.0)]
    return tuple(Structure("plaque", Column((float(x), float(y)), (2.5, 2.5)), calcium) for x, y in places)


def metal() -> tuple[Structure, ...]:
    """Two hips of steel, and pelvic bone beside them."""
    steel, bone = Attenuation(3000, 3000, 3000, 3000), Attenuation(350, 350, 350, 350)
    sides = (-85.0, 85.0)
    return (
        *(Structure("pelvis", Column((x, 20.0), (34.0, 40.0)), bone) for x in sides),
        *(Structure("hip", Column((x, 20.0), (17.0, 17.0)), steel) for x in sides),
    )


def pelvis() -> Anatomy:
    """The trunk without any organ or great vessel, with iliac vessels and hips: nothing that tells a phase."""
    anatomy = varied(5)
    trunk = tuple(o for o in anatomy.organs if isinstance(o.shape, Column) and o.name not in {"aorta", "vena cava"})
    artery = next(o for o in anatomy.organs if o.name == "aorta")
    iliacs = tuple(replace(artery, name="iliac", shape=Column((x, 5.0), (4.5, 4.5))) for x in (-48.0, 48.0))
    return replace(anatomy, organs=(*trunk, *iliacs, *metal()))


def upside_down(study: PhantomStudy) -> PhantomStudy:
    """Rows come from back to front while the headers say otherwise: the orientation lies."""

    def turn(ds: Dataset) -> Dataset:
        if "PixelData" in ds and ds.Modality == "CT":
            pixels = np.frombuffer(ds.PixelData, dtype=np.int16).reshape(ds.Rows, ds.Columns)
            ds.PixelData = np.ascontiguousarray(pixels[::-1]).tobytes()
        return ds

    return study.with_edit(turn)


def prone(study: PhantomStudy) -> PhantomStudy:
    """Rows and columns both run the other way, and the headers say so: a patient who lies face down, feet first."""

    def turn(ds: Dataset) -> Dataset:
        if "PixelData" in ds and ds.Modality == "CT":
            pixels = np.frombuffer(ds.PixelData, dtype=np.int16).reshape(ds.Rows, ds.Columns)
            x, y, z = (float(value) for value in ds.ImagePositionPatient)
            down, across = (float(value) for value in ds.PixelSpacing)
            ds.PixelData = np.ascontiguousarray(pixels[::-1, ::-1]).tobytes()
            ds.ImagePositionPatient = [x + across * (ds.Columns - 1), y + down * (ds.Rows - 1), z]
            ds.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
            ds.PatientPosition = "FFP"
        return ds

    return study.with_edit(turn)
