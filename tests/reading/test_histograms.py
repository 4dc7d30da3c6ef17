"""Every percentile of every distribution: where it is asked for, and nowhere else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.dicom.codes import Code, Dce, Derivation, Diffusion, DualEnergy, Histogram, Uptake, percentile_modifier
from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms import (
    Grating,
    PhantomOptions,
    Phase,
    RoiForm,
    dce,
    diffusion,
    dual_energy,
    perfusion,
    pet,
    varied,
)
from her2node.phantoms.study import Writable
from her2node.quantities.quantity import Quantity
from her2node.reading import Methods, Reading, read
from her2node.selection.study import open_study

GRATING = Grating(40.0, 11.3, (math.cos(0.5), math.sin(0.5), 0.0))
"""Voxels of 1 mm meet a wave of whole millimetres at a few phases only."""
ALL = {Derivation.MEDIAN if percent == 50 else percentile_modifier(percent) for percent in range(1, 100)}
SHAPE = {Histogram.SKEWNESS, Histogram.KURTOSIS, Histogram.ENTROPY}


def ct(phases: tuple[Phase, ...] = (Phase.PLAIN,)) -> PhantomOptions:
    return PhantomOptions(
        seed=3, phases=phases, rows=256, columns=256, slices=30, slice_spacing_mm=2.5, noise_hu=0,
        pixel_spacing_mm=(1.0, 1.0), rois=(RoiForm.BINARY,),
    )  # fmt: skip


def textured() -> Writable:
    options = ct()
    return phantoms.make(PhantomOptions(**{**vars(options), "anatomy": varied(3).textured(GRATING)}))


def with_iodine() -> Writable:
    return dual_energy.make(dual_energy.DualEnergyOptions(base=ct((Phase.PORTAL,)), effective_z=True))


def perfused() -> Writable:
    times = tuple(float(t) for t in range(0, 60, 2))
    return perfusion.make(
        perfusion.PerfusionOptions(seed=3, times_s=times, rows=96, columns=96, slices=8, slice_spacing_mm=6.0)
    )


def weighted() -> Writable:
    return diffusion.make(diffusion.DiffusionOptions(rows=80, columns=80, slices=9))


def enhanced() -> Writable:
    times = tuple(float(t) for t in range(0, 96, 6))
    return dce.make(dce.DceOptions(times_s=times, rows=40, columns=40, slices=4, spacing_mm=5.6))


def emitting() -> Writable:
    options = pet.PetOptions(rows=80, columns=80, slices=40, spacing_mm=4.0, slice_spacing_mm=4.5, ct=False)
    return pet.make(replace(options, rois=(RoiForm.BINARY,), outlined_on=pet.OutlinedOn.PET))


def read_of(study: Writable, folder: Path, *, histograms: bool) -> Reading:
    files = phantoms.write(study, folder)
    return read(open_study(files), (), every_roi=True, methods=Methods(histograms=histograms))


def modifiers(reading: Reading, concept: Code) -> Counter[tuple[Code | None, Code | None, tuple[str, ...], str]]:
    return Counter(
        (one.modifier, one.method, one.series_uids, one.roi) for one in reading.quantities if one.code == concept
    )


@pytest.mark.parametrize(
    ("made", "concepts"),
    [
        (textured, [Concept.ATTENUATION]),
        (with_iodine, [DualEnergy.IODINE, DualEnergy.EFFECTIVE_ATOMIC_NUMBER]),
        (perfused, [Concept.TIME_TO_PEAK]),
        (weighted, [Diffusion.ADC]),
        (enhanced, [Dce.KTRANS]),
        (emitting, [Uptake.SUVBW]),
    ],
    ids=["attenuation", "dual energy", "perfusion", "diffusion", "dce", "uptake"],
)
def test_every_percentile_stands_once_when_asked_for_and_nine_at_most_otherwise(
    made: Callable[[], Writable], concepts: list[Code], tmp_path: Path
) -> None:
    study = made()
    readings = [read_of(study, tmp_path / str(histograms), histograms=histograms) for histograms in (True, False)]
    for concept in concepts:
        asked, usual = (modifiers(reading, concept) for reading in readings)
        assert max(asked.values()) == 1
        assert {modifier for modifier, *_ in asked} >= ALL | SHAPE
        assert len({modifier for modifier, *_ in usual} & ALL) <= 9
        assert set(usual) <= set(asked)


def test_the_percentiles_of_a_grating_are_those_of_its_formula(tmp_path: Path) -> None:
    study = textured()
    reading = read_of(study, tmp_path, histograms=True)
    found = {one.modifier: one.value for one in reading.quantities if one.code == Concept.ATTENUATION}
    (plain,) = {q.value for q in reading.quantities if isinstance(q, Quantity) and q.modifier == Derivation.MEAN}
    for percent in range(1, 100):
        modifier = Derivation.MEDIAN if percent == 50 else percentile_modifier(percent)
        assert found[modifier] - plain == pytest.approx(GRATING.quantile(percent / 100), abs=1.5)
    assert found[Histogram.KURTOSIS] == pytest.approx(GRATING.kurtosis, abs=0.02)
