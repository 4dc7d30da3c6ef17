"""Cohorts of phantoms and the effect planted in them."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import PhantomRefused
from her2node.phantoms import PhantomOptions, Phase, cohort, ct
from her2node.phantoms.planted import PLANTED

COARSE = PhantomOptions(rows=64, columns=64, slices=16, slice_spacing_mm=5.0, rois=())


def test_a_cohort_is_the_same_every_time_and_another_with_another_seed() -> None:
    first, again, other = (list(cohort.cohort(20, seed)) for seed in (1, 1, 2))
    assert first == again
    assert not {case.options.seed for case in first} & {case.options.seed for case in other}


def test_no_patient_comes_twice() -> None:
    seeds = [case.options.seed for case in cohort.cohort(300, 4)]
    assert len(set(seeds)) == 300


def test_a_smaller_cohort_is_the_beginning_of_a_larger() -> None:
    assert list(cohort.cohort(5, 9)) == list(cohort.cohort(8, 9))[:5]


def test_the_label_is_that_of_the_study_and_the_template_sets_the_rest() -> None:
    for case in cohort.cohort(5, 3, COARSE):
        truth = ct.make(case.options).truth
        assert (case.her2_positive, case.her2_probability) == (truth.her2_positive, truth.her2_probability)
        assert case.options.rows == 64


def test_labels_come_as_often_as_the_declared_relation_says() -> None:
    cases = list(cohort.cohort(600, 5))
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0)):
        group = [case for case in cases if low <= case.her2_probability < high]
        expected = np.mean([case.her2_probability for case in group])
        error = np.sqrt(expected * (1 - expected) / len(group))
        assert abs(np.mean([case.her2_positive for case in group]) - expected) < 3 * error


def test_the_planted_relation_is_the_declared_formula() -> None:
    assert PLANTED.probability(90, 70) == pytest.approx(1 / (1 + np.exp(1.0)))
    logit = np.log(PLANTED.probability(100, 60) / (1 - PLANTED.probability(100, 60)))
    assert logit == pytest.approx(-1.0 + 0.12 * 10 + 0.05 * 10)


def test_the_table_holds_what_the_pixels_say_of_the_truth() -> None:
    table = cohort.table(6, 8, COARSE)
    cases = list(cohort.cohort(6, 8, COARSE))
    assert table.shape == (6, len(cohort.COLUMNS))
    for row, case in zip(table, cases, strict=True):
        tumour = ct.make(case.options).truth.tumour
        measured = dict(zip(cohort.COLUMNS, row, strict=True))
        assert measured["portal_hu"] == pytest.approx(tumour.hu[Phase.PORTAL], abs=3)
        assert measured["arterial_hu"] == pytest.approx(tumour.hu[Phase.ARTERIAL], abs=3)
        assert measured["plain_hu"] == pytest.approx(tumour.hu[Phase.PLAIN], abs=3)
        assert measured["equilibrium_hu"] == pytest.approx(tumour.hu[Phase.EQUILIBRIUM], abs=3)
        assert measured["volume_mm3"] == pytest.approx(tumour.volume_mm3, rel=0.1)
        assert measured["her2_positive"] == case.her2_positive


def test_a_row_of_the_table_is_the_mean_of_the_pixels_in_the_objects() -> None:
    (case,) = cohort.cohort(1, 8, COARSE)
    study = ct.make(case.options)
    series = study.series_of(Phase.PORTAL)
    images = [ds for ds in study.datasets if ds.SeriesInstanceUID == series.series_instance_uid]
    found = []
    for planned, ds in zip(series.slices, images, strict=True):
        x, y, z = planned.plane.coordinates()
        inside = study.anatomy.tumour.shape.contains(x, y, z)
        found.append(np.frombuffer(ds.PixelData, dtype="<i2").reshape(64, 64)[inside] - 1024.0)
    assert cohort.table(1, 8, COARSE)[0, 0] == pytest.approx(np.concatenate(found).mean(), abs=1e-9)


def test_an_empty_cohort_has_an_empty_table() -> None:
    assert cohort.table(0, 1).shape == (0, len(cohort.COLUMNS))


def test_a_case_without_tumour_in_its_slices_is_refused() -> None:
    thin = PhantomOptions(rows=64, columns=64, slices=1, pixel_spacing_mm=(0.1, 0.1), rois=())
    with pytest.raises(PhantomRefused, match="no voxel of tumour"):
        cohort.table(1, 1, thin)


@pytest.mark.parametrize(("n", "seed"), [(-1, 0), (1, -1)])
def test_a_negative_number_or_seed_is_refused(n: int, seed: int) -> None:
    with pytest.raises(PhantomRefused):
        list(cohort.cohort(n, seed))
