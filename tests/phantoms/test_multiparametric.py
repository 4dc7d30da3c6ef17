"""MR of one patient with two kinds of imaging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from her2node.phantoms import dce, multiparametric
from her2node.phantoms.dce import DceOptions, Layout
from her2node.phantoms.diffusion import DiffusionOptions, Tissue
from her2node.phantoms.planes import holds

DYNAMIC = DceOptions(seed=5, times_s=(0.0, 4.0), rows=32, columns=32, slices=3, spacing_mm=8.0, layout=Layout.ENHANCED)
WEIGHTED = DiffusionOptions(b_values=(0, 1000), rows=32, columns=32, slices=3, spacing_mm=8.0, noise=0.0)


def test_all_objects_are_of_one_examination_of_one_patient_and_no_two_series_are_one() -> None:
    study = multiparametric.make(DYNAMIC, WEIGHTED)
    objects = list(study.datasets)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime", "FrameOfReferenceUID"):
        assert len({str(ds[keyword].value) for ds in objects}) == 1, keyword
    assert {ds.StudyInstanceUID for ds in objects} == {study.study_instance_uid}
    assert len({ds.SOPInstanceUID for ds in objects}) == len(objects)
    numbers = {ds.SeriesInstanceUID: int(ds.SeriesNumber) for ds in objects}
    assert len(set(numbers.values())) == len(numbers)
    assert {ds.Modality for ds in objects} == {"MR", "SEG"}


def test_the_tumour_of_the_diffusion_images_lies_where_that_of_the_dynamic_ones_does() -> None:
    bright = Tissue(1500.0, 1000.0, 40_000.0, 0.0)
    core = Tissue(1200.0, 1000.0, 40_000.0, 0.0)
    study = multiparametric.make(DYNAMIC, replace(WEIGHTED, tumour=bright, core=core))
    images = [ds for ds in study.diffusion.datasets if ds.InstanceNumber <= 3]
    for ds, plane in zip(images, study.diffusion.planes, strict=True):
        inside = holds(dce.TUMOUR, plane.coordinates(), plane.size)
        in_core = holds(dce.TUMOUR.scaled(0.6), plane.coordinates(), plane.size)
        assert np.array_equal(ds.pixel_array >= 1200, inside)
        assert np.array_equal(ds.pixel_array == 1200, in_core)


def test_another_template_of_either_is_another_study() -> None:
    first = multiparametric.make(DYNAMIC, WEIGHTED)
    uids = {
        first.study_instance_uid,
        multiparametric.make(DYNAMIC, DiffusionOptions()).study_instance_uid,
        multiparametric.make(DceOptions(), WEIGHTED).study_instance_uid,
    }
    assert len(uids) == 3
    assert multiparametric.make(DYNAMIC, WEIGHTED).study_instance_uid == first.study_instance_uid
