from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Derivation, Method
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.uids import derived_uid
from her2node.models.package import load_packages
from her2node.models.prediction import Category
from her2node.phantoms import Descriptions, Form, PhantomOptions, PhantomStudy, Phase, RoiForm, mishaps
from her2node.quantities.quantity import Quantity
from her2node.reading import Reading, read
from her2node.selection import SiteRule
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study

SMALL = PhantomOptions(seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0)
PACKAGES = load_packages(["lee2017-portal-liver", "synthetic-demo-ct"]).packages
LEE, DEMO = PACKAGES


def opened(folder: Path, *studies: PhantomStudy) -> Study:
    paths = [path for n, study in enumerate(studies) for path in phantoms.write(study, folder / str(n))]
    return open_study(paths)


@pytest.fixture(scope="module")
def phantom() -> PhantomStudy:
    return phantoms.ct.make(SMALL)


@pytest.fixture(scope="module")
def study(phantom: PhantomStudy, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return opened(tmp_path_factory.mktemp("study"), phantom)


@pytest.fixture(scope="module")
def reading(study: Study) -> Reading:
    return read(study, PACKAGES, demonstration=True)


def without_roi(study: Study) -> Study:
    return replace(study, series=tuple(series for series in study.series if series.modality == "CT"))


def value(reading: Reading, role: Role, code: object, modifier: object = None, method: object = None) -> float:
    (found,) = (
        q.value
        for q in reading.quantities
        if (q.role, q.code, q.modifier) == (role, code, modifier) and method in (None, q.method)
    )
    return found


def test_a_whole_study_becomes_measurements_and_estimates(reading: Reading, phantom: PhantomStudy) -> None:
    truth = phantom.truth.tumour
    for role, phase in zip((Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM), Phase, strict=True):
        count = next(laid.roi.mask.sum() for laid in reading.rois)
        deviation = value(reading, role, Concept.ATTENUATION, Derivation.STANDARD_DEVIATION)
        mean = value(reading, role, Concept.ATTENUATION, Derivation.MEAN)
        assert abs(mean - truth.hu[phase]) < 3 * deviation / np.sqrt(count) + 0.5  # 0.5: whole HU are stored
    volume = value(reading, Role.PORTAL, Concept.VOLUME, method=Method.VOXEL_SUM)
    assert volume == pytest.approx(truth.volume_mm3, rel=0.1)
    assert [prediction.package.name for prediction in reading.predictions] == [
        "lee2017-portal-liver",
        "synthetic-demo-ct",
    ]
    assert not reading.not_predicted
    assert not reading.not_measured


def test_the_demonstration_package_comes_near_the_planted_probability(reading: Reading, phantom: PhantomStudy) -> None:
    (answer,) = reading.predictions[1].answers
    assert answer.probability == pytest.approx(phantom.truth.her2_probability, abs=0.15)
    assert [used.unit for used in answer.inputs] == ["[hnsf'U]", "[hnsf'U]", "ml"]
    assert {used.source for used in answer.inputs} == {"measured"}


def test_series_stand_in_the_order_of_their_roles(reading: Reading) -> None:
    assert [measured.role for measured in reading.measured] == [
        Role.PLAIN,
        Role.ARTERIAL,
        Role.PORTAL,
        Role.EQUILIBRIUM,
    ]
    assert [laid.series_instance_uid for laid in reading.rois] == [m.series_instance_uid for m in reading.measured]
    assert {assignment.role for assignment in reading.assignments} == {*(m.role for m in reading.measured), Role.ROI}


def test_every_quantity_names_the_tumours_tracking_id(reading: Reading) -> None:
    assert reading.tumour is not None
    assert {quantity.roi for quantity in reading.quantities} == {reading.tumour}
    assert {laid.roi.tracking_id for laid in reading.rois} == {reading.tumour}
    assert {prediction.roi for prediction in reading.predictions} == {reading.tumour}


def test_the_key_slice_is_the_largest_and_cannot_be_changed(reading: Reading) -> None:
    for laid in reading.rois:
        per_slice = laid.roi.mask.sum(axis=(1, 2))
        assert per_slice[laid.key_slice] == per_slice.max()
        assert laid.key_image.shape == laid.roi.mask.shape[1:]
        assert laid.key_image.dtype == np.float32
        assert not laid.key_image.flags.writeable


def test_reading_twice_gives_the_same_numbers_bit_for_bit(study: Study, reading: Reading) -> None:
    again = read(study, PACKAGES, demonstration=True)
    assert again.quantities == reading.quantities
    assert again.predictions == reading.predictions


def test_the_order_of_the_files_plays_no_part(study: Study, reading: Reading) -> None:
    shuffled = open_study([instance.path for instance in study.instances][::-1])
    assert read(shuffled, PACKAGES, demonstration=True).quantities == reading.quantities


def test_what_a_reader_enters_goes_into_the_answer(study: Study) -> None:
    entered = {"portal_hyperattenuation": "1", "hepatic_metastasis": "1"}
    found = read(without_roi(study), [LEE], entered=entered, prior=0.1, prior_source="registry 2023")
    (answer,) = found.predictions[0].answers
    assert answer.category is Category.INDETERMINATE
    assert (found.predictions[0].prior, found.predictions[0].prior_source) == (0.1, "registry 2023")


# --- a method that cannot run is a value with its reason ---------------------------------------------------------


def test_every_package_answers_or_says_why_not(study: Study) -> None:
    found = read(study, PACKAGES)
    assert [p.package.name for p in found.predictions] == ["lee2017-portal-liver"]
    assert [(n.package.name, n.refused.reason) for n in found.not_predicted] == [
        ("synthetic-demo-ct", "demonstration-only")
    ]


def test_without_a_region_nothing_is_measured_and_it_says_so(study: Study) -> None:
    found = read(without_roi(study), PACKAGES, demonstration=True)
    assert (found.measured, found.rois, found.quantities, found.tumour) == ((), (), (), None)
    assert [(r.roi, r.refused.reason) for r in found.not_measured] == [("", "no-roi")]
    assert [p.package.name for p in found.predictions] == ["lee2017-portal-liver"]
    assert [n.refused.reason for n in found.not_predicted] == ["no-roi"]


def test_without_any_image_each_package_misses_its_modality(study: Study) -> None:
    only_roi = replace(study, series=tuple(series for series in study.series if series.modality == "SEG"))
    found = read(only_roi, PACKAGES, demonstration=True)
    assert {n.refused.reason for n in found.not_predicted} == {"modality-absent"}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda study: mishaps.gantry_tilt(study, Phase.PORTAL), "gantry-tilt"),
        (lambda study: mishaps.missing_slice(study, Phase.PORTAL), "missing-slices"),
        (lambda study: mishaps.duplicated_slice(study, Phase.PORTAL), "duplicate-slices"),
    ],
)
def test_a_series_that_is_no_stack_refuses_by_name_and_the_others_are_measured(
    tmp_path: Path, spoil: Callable[[PhantomStudy], PhantomStudy], reason: str
) -> None:
    phantom = phantoms.ct.make(replace(SMALL, phases=(Phase.ARTERIAL, Phase.PORTAL)))
    found = read(opened(tmp_path, spoil(phantom)), PACKAGES, demonstration=True)
    (refusal,) = found.not_measured
    assert (refusal.roi, refusal.role, refusal.refused.reason) == ("", Role.PORTAL, reason)
    assert {quantity.role for quantity in found.quantities} == {Role.ARTERIAL}
    assert [(n.package.name, n.refused.reason) for n in found.not_predicted] == [("synthetic-demo-ct", reason)]


def test_a_region_of_another_frame_of_reference_is_not_laid_and_no_voxel_is_read(tmp_path: Path, study: Study) -> None:
    other = phantoms.ct.make(replace(SMALL, phases=(Phase.PORTAL,)))
    moved = other.with_edit(elsewhere)
    found = read(opened(tmp_path, moved), [LEE])
    assert [r.refused.reason for r in found.not_measured] == ["other-frame-of-reference"]
    assert not found.measured


def elsewhere(ds: Dataset) -> Dataset:
    if ds.Modality == "SEG":
        ds.FrameOfReferenceUID = "1.2.3.4.5"
    return ds


# --- roles -----------------------------------------------------------------------------------------------------


def test_series_whose_tags_name_a_wrong_phase_are_measured_and_feed_no_package(tmp_path: Path) -> None:
    phases = (Phase.ARTERIAL, Phase.PORTAL)
    wrong = phantoms.ct.make(replace(SMALL, phases=phases, descriptions=Descriptions.WRONG))
    found = read(opened(tmp_path, wrong), PACKAGES, demonstration=True)
    assert {quantity.role for quantity in found.quantities} == {Role.CONTRAST_UNSPECIFIED}
    assert {n.refused.reason for n in found.not_predicted} == {"role-missing"}


def test_a_site_rule_or_an_entered_role_lets_the_package_run(tmp_path: Path) -> None:
    wrong = opened(tmp_path, phantoms.ct.make(replace(SMALL, descriptions=Descriptions.WRONG, phases=(Phase.PORTAL,))))
    uid = next(series.series_instance_uid for series in wrong.series if series.modality == "CT")
    assert not read(wrong, [LEE]).predictions
    assert read(wrong, [LEE], rules=[SiteRule.of("portal", {"Modality": "CT"})]).predictions
    assert read(wrong, [LEE], entered_roles={uid: Role.PORTAL}).predictions


def test_of_two_series_alike_neither_is_measured_and_the_reason_is_named(study: Study, tmp_path: Path) -> None:
    portal = phantoms.ct.make(replace(SMALL, phases=(Phase.PORTAL,)))

    def as_another(ds: Dataset) -> Dataset:
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID[:50]}.7"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{ds.InstanceNumber}"
        return ds

    twice = opened(tmp_path, portal, replace(portal, parts=portal.parts[:1]).with_edit(as_another))
    found = read(twice, [LEE])
    assert [(r.role, r.refused.reason) for r in found.not_measured] == [(Role.PORTAL, "role-ambiguous")]
    assert [n.refused.reason for n in found.not_predicted] == ["role-ambiguous"]


# --- which region ----------------------------------------------------------------------------------------------


def relabelled(label: str, later: timedelta = timedelta()) -> Callable[[Dataset], Dataset]:
    """Gives a phantom's SEG another label, no tumour code, other UIDs, and a later creation."""

    def change(ds: Dataset) -> Dataset:
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPInstanceUID = derived_uid("test", label, str(later))
        ds.SeriesInstanceUID = derived_uid("test series", label, str(later))
        for segment in ds.SegmentSequence:
            segment.SegmentLabel = label
            segment.TrackingUID = derived_uid("test tracking", label, str(later))
            segment.TrackingID = label
            segment.SegmentedPropertyTypeCodeSequence[0].CodeValue = "69695003"
            segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Stomach"
        ds.ContentTime = f"{10 + int(later.total_seconds() // 3600):02d}0000"
        return ds

    return change


PORTAL = replace(SMALL, phases=(Phase.PORTAL,))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A portal series without regions."""
    return phantoms.write(phantoms.ct.make(replace(PORTAL, rois=())), tmp_path_factory.mktemp("images"))


def fresh() -> Dataset:
    """The SEG of the portal series."""
    (segmentation,) = phantoms.ct.make(PORTAL).parts[-1](phantoms.ct.make(PORTAL))
    return segmentation


def with_regions(images: list[Path], folder: Path, *changes: Callable[[Dataset], Dataset]) -> Study:
    """The portal series with one SEG for each change."""
    paths = [*images]
    for number, change in enumerate(changes):
        ds = change(fresh())
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return open_study(paths)


@pytest.mark.parametrize("label", ["tumour", "GTV-1", "Lesion 2", "胃肿瘤"])
def test_the_label_names_the_tumour_among_other_regions(images: list[Path], tmp_path: Path, label: str) -> None:
    study = with_regions(images, tmp_path, relabelled("Liver"), relabelled(label), relabelled("lymph node metastasis"))
    found = read(study, [LEE])
    assert found.tumour == label
    assert [laid.roi.label for laid in found.rois] == [label]


def test_several_regions_that_could_be_the_tumour_are_ambiguous(images: list[Path], tmp_path: Path) -> None:
    study = with_regions(images, tmp_path, relabelled("region 1"), relabelled("region 2"))
    found = read(study, PACKAGES, demonstration=True)
    assert [r.refused.reason for r in found.not_measured] == ["ambiguous-roi"]
    assert found.tumour is None


def test_measuring_every_region_needs_no_tumour(images: list[Path], tmp_path: Path) -> None:
    study = with_regions(images, tmp_path, relabelled("region 1"), relabelled("region 2"))
    found = read(study, (), every_roi=True)
    assert {quantity.roi for quantity in found.quantities} == {"region 1", "region 2"}
    assert not found.not_measured


def test_a_corrected_region_replaces_the_older_one_of_its_label(images: list[Path], tmp_path: Path) -> None:
    corrected = relabelled("tumour", timedelta(hours=2))
    study = with_regions(images, tmp_path, relabelled("tumour"), corrected)
    found = read(study, [LEE])
    (laid,) = found.rois
    assert laid.roi.source_sop_instance_uid == corrected(fresh()).SOPInstanceUID


def test_a_region_that_a_reader_keeps_out_is_not_laid(images: list[Path], tmp_path: Path) -> None:
    study = with_regions(images, tmp_path, relabelled("region 1"), relabelled("region 2"))
    out = next(s.series_instance_uid for s in study.series if s.modality == "SEG")
    found = read(study, (), entered_roles={out: None})
    assert found.tumour in {"region 1", "region 2"}


# --- forms of input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [RoiForm.FRACTIONAL, RoiForm.LABELMAP, RoiForm.CONTOURS])
def test_however_the_tumour_is_given_its_size_is_the_same(tmp_path: Path, reading: Reading, form: RoiForm) -> None:
    study = opened(tmp_path, phantoms.ct.make(replace(PORTAL, rois=(form,))))
    found = value(read(study, ()), Role.PORTAL, Concept.VOLUME, method=Method.VOXEL_SUM)
    assert found == pytest.approx(value(reading, Role.PORTAL, Concept.VOLUME, method=Method.VOXEL_SUM), rel=0.03)


def test_enhanced_images_give_the_numbers_of_classic_ones(tmp_path: Path, reading: Reading) -> None:
    enhanced = read(
        opened(tmp_path, phantoms.ct.make(replace(SMALL, form=Form.ENHANCED))), PACKAGES, demonstration=True
    )
    assert [q.value for q in enhanced.quantities] == pytest.approx([q.value for q in reading.quantities])
    assert [p.answers[0].probability for p in enhanced.predictions] == pytest.approx(
        [p.answers[0].probability for p in reading.predictions]
    )
    assert [prediction.flags for prediction in enhanced.predictions] == [p.flags for p in reading.predictions]


def test_phases_packed_in_one_enhanced_object_give_the_numbers_of_one_object_each(
    tmp_path: Path, reading: Reading
) -> None:
    packed = opened(tmp_path, mishaps.packed_enhanced(phantoms.ct.make(replace(SMALL, form=Form.ENHANCED))))
    assert len([series for series in packed.series if series.modality == "CT"]) == 1
    found = read(packed, PACKAGES, demonstration=True)
    assert [(q.role, q.code) for q in found.quantities] == [(q.role, q.code) for q in reading.quantities]
    assert [q.value for q in found.quantities] == pytest.approx([q.value for q in reading.quantities])
    assert [p.answers[0].probability for p in found.predictions] == pytest.approx(
        [p.answers[0].probability for p in reading.predictions]
    )
    frames = {measured.role: [source.frame for source in measured.sources] for measured in found.measured}
    assert sorted(number for numbers in frames.values() for number in numbers) == list(range(1, 4 * 24 + 1))
    assert len(found.study.instances) == len(packed.instances)


@pytest.mark.truth
def test_the_liver_that_dcmqi_drew_has_the_published_attenuation_and_volume(shared: Path) -> None:
    folder = shared / "data/seg-sr-dcmqi-highdicom/dcmqi/segmentations"
    study = open_study([*sorted((folder / "ct-3slice").glob("*.dcm")), folder / "liver.dcm"])
    found = read(study, (), every_roi=True)

    def one(code: object, modifier: object = None, method: object = None) -> Quantity:
        (quantity,) = (
            q for q in found.quantities if (q.code, q.modifier) == (code, modifier) and method in (None, q.method)
        )
        return quantity

    assert one(Concept.ATTENUATION, Derivation.MEAN).value == pytest.approx(37.3289, abs=5e-5)
    assert one(Concept.ATTENUATION, Derivation.STANDARD_DEVIATION).value == pytest.approx(59.1691, abs=5e-5)
    assert one(Concept.VOLUME, method=Method.VOXEL_SUM).value == pytest.approx(70361.9, abs=0.05)
    assert {quantity.role for quantity in found.quantities} == {None}
