"""Cohorts of phantoms and the effect planted in them."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import PhantomRefused
from her2node.phantoms import PhantomOptions, Phase, cohort, ct, pet
from her2node.phantoms.dce import DceOptions
from her2node.phantoms.diffusion import DiffusionOptions
from her2node.phantoms.dual_energy import DualEnergyOptions
from her2node.phantoms.perfusion import PerfusionOptions
from her2node.phantoms.pet import PetOptions
from her2node.phantoms.planted import (
    PLANTED,
    PLANTED_D,
    PLANTED_KTRANS,
    PLANTED_SUVMAX,
    PLANTED_VOLUME,
    PlantedLine,
)

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
    with pytest.raises(PhantomRefused):
        list(cohort.dynamic(n, seed, DceOptions()))
    with pytest.raises(PhantomRefused):
        list(cohort.uptake(n, seed, PetOptions()))
    with pytest.raises(PhantomRefused):
        list(cohort.weighted(n, seed, DiffusionOptions()))
    with pytest.raises(PhantomRefused):
        list(cohort.examined(n, seed, DceOptions(), DiffusionOptions()))
    with pytest.raises(PhantomRefused):
        list(cohort.perfused(n, seed, PerfusionOptions()))
    with pytest.raises(PhantomRefused):
        list(cohort.spectral(n, seed, DualEnergyOptions()))


def test_dynamic_cohorts_are_the_same_every_time_and_differ_in_how_tumours_leak() -> None:
    first, again = (list(cohort.dynamic(30, 4, DceOptions())) for _ in range(2))
    assert [study.options for study in first] == [study.options for study in again]
    assert len({study.study_instance_uid for study in first}) == 30
    leaks = [study.options.tumour for study in first]
    assert all(0.05 <= tumour.ktrans <= 0.4 and tumour.vp == 0 for tumour in leaks)
    assert np.std([tumour.ktrans for tumour in leaks]) > 0.03
    assert {study.options.core is None for study in first} == {True, False}


def test_uptake_cohorts_are_the_same_every_time_and_differ_in_uptake_and_size() -> None:
    first, again = (list(cohort.uptake(30, 4, PetOptions())) for _ in range(2))
    assert [study.options for study in first] == [study.options for study in again]
    tumours = [study.options.lesions[0] for study in first]
    assert all(4.5 <= tumour.highest <= 24 for tumour in tumours)
    assert np.std([tumour.highest for tumour in tumours]) > 2
    assert max(tumour.shape.volume_mm3 for tumour in tumours) > 2 * min(tumour.shape.volume_mm3 for tumour in tumours)


def test_the_label_of_a_dynamic_study_is_drawn_by_the_mean_ktrans_of_rim_and_core() -> None:
    for study in cohort.dynamic(20, 6, DceOptions()):
        options, share = study.options, study.options.core_size**3
        core = options.tumour.ktrans if options.core is None else options.core.ktrans
        ktrans = (1 - share) * options.tumour.ktrans + share * core
        assert study.label.her2_probability == pytest.approx(1 / (1 + np.exp(0.5 - 25 * (ktrans - 0.18))))
        assert study.as_json()["her2_positive"] is study.label.her2_positive


def test_the_label_of_a_pet_is_drawn_by_its_highest_uptake() -> None:
    for study in cohort.uptake(20, 6, PetOptions()):
        assert study.label is not None
        highest = study.options.lesions[0].highest
        assert study.label.her2_probability == pytest.approx(1 / (1 + np.exp(0.5 - 0.4 * (highest - 11))))
        assert study.as_json()["her2_positive"] is study.label.her2_positive


def test_diffusion_cohorts_are_the_same_every_time_and_differ_in_how_water_moves_in_rim_and_core() -> None:
    first, again = (list(cohort.weighted(30, 4, DiffusionOptions())) for _ in range(2))
    assert [study.options for study in first] == [study.options for study in again]
    rims = [study.options.tumour.d for study in first]
    assert all(600 <= d <= 1700 for d in rims)
    assert np.std(rims) > 90
    for study in first:
        core = study.options.core
        assert core is not None
        assert 0.54 < core.d / study.options.tumour.d < 0.96


def test_the_label_of_a_diffusion_study_is_drawn_by_the_mean_d_of_rim_and_core() -> None:
    for study in cohort.weighted(20, 6, DiffusionOptions()):
        options, share = study.options, study.options.core_size**3
        assert options.core is not None
        d = (1 - share) * options.tumour.d + share * options.core.d
        assert study.label.her2_probability == pytest.approx(1 / (1 + np.exp(0.5 - 0.01 * (d - 1050))))
        assert study.as_json()["her2_positive"] is study.label.her2_positive


def test_perfusion_cohorts_differ_in_flow_and_leak_little_and_are_labelled_by_the_vascular_share() -> None:
    first, again = (list(cohort.perfused(30, 4, PerfusionOptions())) for _ in range(2))
    assert [study.flow for study in first] == [study.flow for study in again]
    for study in first:
        tumour = study.flow.tumour
        assert 0.05 <= tumour.volume <= 0.15
        assert tumour.transit_s == pytest.approx(3, abs=0.51)
        assert 9.8 < tumour.exchange / tumour.volume < 40.2
        expected = 1 / (1 + np.exp(0.5 - 90 * (tumour.volume - 0.09)))
        assert study.truth.her2_probability == pytest.approx(expected)
        assert study.as_json()["her2_positive"] is study.truth.her2_positive


def test_dual_energy_cohorts_are_the_patients_and_labels_of_those_of_ct() -> None:
    cases = list(cohort.cohort(5, 4))
    for case, study in zip(cases, cohort.spectral(5, 4, DualEnergyOptions(energies=())), strict=True):
        assert study.options.seed == case.options.seed
        assert study.truth.her2_positive is case.her2_positive
        assert study.truth.her2_probability == case.her2_probability
        assert study.truth.iodine is not None


def test_both_kinds_of_mr_of_one_patient_are_those_of_their_cohorts_and_label_together() -> None:
    dynamic = list(cohort.dynamic(10, 4, DceOptions()))
    weighted = list(cohort.weighted(10, 4, DiffusionOptions()))
    both = list(cohort.examined(10, 4, DceOptions(), DiffusionOptions()))
    for one, leaking, moving in zip(both, dynamic, weighted, strict=True):
        assert one.dynamic.options == leaking.options
        assert (one.diffusion.truth, one.diffusion.mean_d) == (moving.truth, moving.mean_d)
        logit = -0.5 + 25 * (leaking.mean_ktrans - 0.18) + 0.01 * (moving.mean_d - 1050)
        assert one.label.her2_probability == pytest.approx(1 / (1 + np.exp(-logit)))
        assert one.as_json()["her2_probability"] == one.label.her2_probability


def test_a_pet_without_a_primary_tumour_has_no_label() -> None:
    study = pet.make(PetOptions(lesions=(pet.NODE,)))
    assert study.label is None
    assert "her2_probability" not in study.as_json()


@pytest.mark.parametrize("planted", [PLANTED_KTRANS, PLANTED_SUVMAX, PLANTED_D, PLANTED_VOLUME])
def test_labels_of_a_planted_line_come_as_often_as_it_says(planted: PlantedLine) -> None:
    for figure in (planted.centre - 1 / planted.slope, planted.centre, planted.centre + 2 / planted.slope):
        labels = [planted.label(figure, seed) for seed in range(1000)]
        (expected,) = {label.her2_probability for label in labels}
        error = np.sqrt(expected * (1 - expected) / len(labels))
        assert abs(np.mean([label.her2_positive for label in labels]) - expected) < 3 * error
