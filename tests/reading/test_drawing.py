"""The tumour as a network draws it: only where nobody has, and then treated as a given region is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from her2node import phantoms
from her2node.dicom.codes import Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.models.package import Package, load_packages
from her2node.phantoms import PhantomOptions, Phase
from her2node.phantoms.options import RoiForm
from her2node.reading import Methods, Reading, read
from her2node.rois import RoiOrigin
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.volumes import build
from tests.models.segmenter.made import configuration, plans
from tests.models.segmenter.packaged import PATCH, bright, cases, thresholding_graph
from tests.reading.test_reading import relabelled

SMALL = PhantomOptions(
    seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=(Phase.ARTERIAL, Phase.PORTAL)
)
(DEMO,) = load_packages(["synthetic-demo-ct"]).packages


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two phases and a reader's SEG."""
    return open_study(phantoms.write(phantoms.ct.make(SMALL), tmp_path_factory.mktemp("given")))


@pytest.fixture(scope="module")
def bare(given: Study) -> Study:
    """The same without any region."""
    return replace(given, series=tuple(series for series in given.series if series.modality == "CT"))


LEVEL = 250.5
"""HU: few voxels of bone are brighter."""


def files_of(study: Study, level: float = LEVEL) -> dict[str, bytes]:
    """A network that finds what is brighter, at the spacing of the study's own images."""
    spacing = list(build(study.series[0]).geometry.spacing_mm)
    return {
        "plans.json": plans({"3d_fullres": configuration(spacing=spacing, patch_size=list(PATCH))}),
        "fold-0.onnx": thresholding_graph(level),
        "cases.json": cases(level),
    }


@pytest.fixture(scope="module")
def segmenter(bare: Study, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return bright(tmp_path_factory.mktemp("package"), **files_of(bare))


@pytest.fixture(scope="module")
def drawn(bare: Study, segmenter: Package) -> Reading:
    return read(bare, [segmenter, DEMO], demonstration=True, stability=True)


def voxels(study: Study, role: Role) -> np.ndarray:
    wanted = "portal" if role is Role.PORTAL else "arterial"
    (series,) = (s for s in study.series if wanted in s.description.lower())
    return build(series).voxels


def test_where_nobody_has_drawn_the_tumour_the_network_does_and_every_phase_is_measured(
    drawn: Reading, bare: Study
) -> None:
    found = {laid.series_instance_uid: laid.roi for laid in drawn.rois}
    assert len(found) == 2
    assert {roi.origin for roi in found.values()} == {RoiOrigin.MODEL}
    bright_ = voxels(bare, Role.PORTAL) > LEVEL
    portal = next(m.series_instance_uid for m in drawn.measured if m.role is Role.PORTAL)
    assert np.array_equal(found[portal].mask, bright_)
    assert {roi.tracking_uid for roi in found.values()} == {found[portal].tracking_uid}
    (mean,) = (
        q.value
        for q in drawn.quantities
        if (q.role, q.code, q.modifier) == (Role.PORTAL, Concept.ATTENUATION, Derivation.MEAN)
    )
    assert mean == pytest.approx(voxels(bare, Role.PORTAL)[bright_].mean(dtype=float))


def test_packages_answer_on_what_the_network_drew_and_say_how_far_it_matters(
    drawn: Reading, segmenter: Package
) -> None:
    (prediction,) = drawn.predictions
    assert prediction.roi == drawn.tumour == "Tumour, drawn by bright 1.0.0"
    assert prediction.stability is not None
    assert prediction.stability.tried == 8
    flag = next(flag for flag in prediction.flags if flag.kind == "region-drawn")
    assert flag.said == "the region was drawn by bright 1.0.0; no reader has checked it"
    assert not drawn.not_predicted
    assert drawn.segmented is not None
    assert drawn.segmented.package == segmenter.ref


def test_a_network_that_takes_too_long_is_a_reason_and_the_packages_run_without_it(
    bare: Study, segmenter: Package
) -> None:
    found = read(bare, [segmenter, DEMO], demonstration=True, methods=Methods(network_seconds=1e-9))
    assert [refused.refused.reason for refused in found.not_measured] == ["too-slow"]
    assert [refused.refused.reason for refused in found.not_predicted] == ["too-slow"]
    assert found.segmented is None


def test_reading_twice_draws_the_same(drawn: Reading, bare: Study, segmenter: Package) -> None:
    again = read(bare, [segmenter, DEMO], demonstration=True)
    assert again.quantities == drawn.quantities
    assert [laid.roi.tracking_uid for laid in again.rois] == [laid.roi.tracking_uid for laid in drawn.rois]


def test_patches_by_the_batch_give_the_same_mask(drawn: Reading, bare: Study, segmenter: Package) -> None:
    again = read(bare, [segmenter], methods=Methods(batch=4))
    assert np.array_equal(again.rois[0].roi.mask, drawn.rois[0].roi.mask)


@pytest.mark.parametrize(
    ("form", "origin"),
    [
        (RoiForm.BINARY, RoiOrigin.SEGMENTATION),
        (RoiForm.LABELMAP, RoiOrigin.SEGMENTATION),
        (RoiForm.CONTOURS, RoiOrigin.STRUCTURE_SET),
    ],
)
def test_a_readers_region_always_wins(segmenter: Package, tmp_path: Path, form: RoiForm, origin: RoiOrigin) -> None:
    given = open_study(phantoms.write(phantoms.ct.make(replace(SMALL, rois=(form,))), tmp_path))
    found = read(given, [segmenter, DEMO], demonstration=True)
    alone = read(given, [DEMO], demonstration=True)
    assert {laid.roi.origin for laid in found.rois} == {origin}
    assert found.segmented is None
    assert found.quantities == alone.quantities
    assert found.predictions == alone.predictions


def test_several_regions_that_could_be_the_tumour_are_not_decided_by_a_network(
    bare: Study, given: Study, segmenter: Package, tmp_path: Path
) -> None:
    (segmentation,) = phantoms.ct.make(SMALL).parts[-1](phantoms.ct.make(SMALL))
    paths = []
    for label in ("region 1", "region 2"):
        ds = relabelled(label)(segmentation)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        paths.append(tmp_path / f"{label}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    study = open_study([*(i.path for s in bare.series for i in s.instances), *paths])
    found = read(study, [segmenter])
    assert [refused.refused.reason for refused in found.not_measured] == ["ambiguous-roi"]
    assert found.segmented is None


def test_a_network_that_finds_nothing_is_a_refusal_by_name(bare: Study, tmp_path: Path) -> None:
    found = read(bare, [bright(tmp_path, **files_of(bare, 400.5)), DEMO], demonstration=True)
    assert [refused.refused.reason for refused in found.not_measured] == ["no-tumour-found"]
    assert [refused.refused.reason for refused in found.not_predicted] == ["no-tumour-found"]
    assert not found.rois
    assert found.segmented is None


def test_a_segmenter_whose_series_are_not_there_says_so_and_the_next_one_draws(
    bare: Study, segmenter: Package, tmp_path: Path
) -> None:
    other = bright(tmp_path, lambda said: said.replace('"portal"', '"plain"'), **files_of(bare))
    alone = read(bare, [other])
    (refused,) = alone.not_measured
    assert refused.refused.reason == "no-roi"
    assert "bright cannot draw it" in str(refused.refused)
    assert "plain" in str(refused.refused)
    assert read(bare, [other, segmenter]).segmented is not None


def test_a_segmenter_with_synthetic_weights_draws_in_demonstration_mode_alone(bare: Study, tmp_path: Path) -> None:
    files = files_of(bare)
    demo = bright(tmp_path, lambda said: said.replace("site-trained", "synthetic-demo"), **files)
    assert read(bare, [demo], demonstration=True).segmented is not None
    found = read(bare, [demo])
    (refused,) = found.not_measured
    assert refused.refused.reason == "no-roi"
    assert "demonstration" in str(refused.refused)


def limited(limits: str) -> Callable[[str], str]:
    """The manifest with limits of the slices that the network is for."""
    return lambda said: said.replace('role = "portal"', f'role = "portal"\nslice_thickness_mm = {limits}')


def test_a_segmenter_outside_its_limits_draws_nothing_and_within_them_flags(bare: Study, tmp_path: Path) -> None:
    files = files_of(bare)
    found = read(bare, [bright(tmp_path / "hard", limited("{ hard = [0.5, 2.0] }"), **files)])
    (refused,) = found.not_measured
    assert refused.refused.reason == "no-roi"
    assert "bright cannot draw it: The study lies outside" in str(refused.refused)
    assert "slice thickness" in str(refused.refused)
    found = read(bare, [bright(tmp_path / "usual", limited("{ usual = [0.5, 2.0] }"), **files)])
    assert found.segmented is not None
    assert [flag.kind for flag in found.segmented.flags] == ["slice-thickness"]


def test_where_a_study_is_outside_the_limits_of_a_segmenter_the_next_one_draws(
    bare: Study, segmenter: Package, tmp_path: Path
) -> None:
    thin = bright(tmp_path, limited("{ hard = [0.5, 2.0] }"), **files_of(bare))
    found = read(bare, [thin, segmenter])
    assert found.segmented is not None
    assert found.segmented.package == segmenter.ref != thin.ref


def test_in_shadow_a_segmenter_draws_nothing(bare: Study, segmenter: Package) -> None:
    found = read(bare, (), shadow=[segmenter])
    assert found.segmented is None
    assert not found.shadows


def test_channels_go_in_the_order_of_the_package(bare: Study, tmp_path: Path) -> None:
    """The network answers the second channel minus the first: where portal is brighter than arterial by more."""
    spacing = list(build(bare.series[0]).geometry.spacing_mm)
    two = configuration(
        spacing=spacing, patch_size=list(PATCH), normalization_schemes=["NoNormalization"] * 2,
        use_mask_for_norm=[False] * 2,
    )  # fmt: skip
    files = {
        "plans.json": plans({"3d_fullres": two}),
        "fold-0.onnx": convolution(np.array([-1.0, 1.0]).reshape(2, 1, 1, 1), -90.5),
        "cases.json": cases(places=[(0, 0, 0, 0)], logits=[0.0]),
    }

    def change(said: str) -> str:
        arterial = '[[requires]]\nrole = "arterial"\n\n[[requires]]'
        return said.replace("[[requires]]", arterial).replace('["portal"]', '["arterial", "portal"]')

    found = read(bare, [bright(tmp_path, change, **files)])
    wanted = voxels(bare, Role.PORTAL) - voxels(bare, Role.ARTERIAL) > 90.5
    arterial = next(laid for laid in found.rois if laid.series_instance_uid == _series(found, Role.ARTERIAL))
    assert np.array_equal(arterial.roi.mask, wanted)


def _series(found: Reading, role: Role) -> str:
    return next(m.series_instance_uid for m in found.measured if m.role is role)


def convolution(kernel: np.ndarray, bias: float) -> bytes:
    """ONNX bytes of a network with one convolution, (channels, z, y, x), for the tumour, and 0 for the background."""
    weights = np.stack([np.zeros_like(kernel), kernel]).astype(np.float32)
    stored = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([0, bias], np.float32), "b")]
    node = helper.make_node("Conv", ["patches", "w", "b"], ["logits"], auto_pad="SAME_UPPER")
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, *PATCH])
        for name, count in (("patches", len(kernel)), ("logits", 2))
    ]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], stored)
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(("orientation", "columns"), [("LPS", -1), ("RAS", 1)])
def test_the_network_sees_images_in_its_own_orientation(
    bare: Study, tmp_path: Path, orientation: str, columns: int
) -> None:
    """The network answers with the voxel one place on in x: to the patient's left in LPS, to the right in RAS."""
    kernel = np.zeros((1, 1, 1, 3))
    kernel[0, 0, 0, 2] = 1
    files = {
        **files_of(bare),
        "fold-0.onnx": convolution(kernel, -LEVEL),
        "cases.json": cases(places=[(0, 0, 0, 0)], logits=[0.0]),
    }

    def change(said: str) -> str:
        return said.replace("mirror = [0, 2]", f'orientation = "{orientation}"')

    found = read(bare, [bright(tmp_path, change, **files)])
    portal = next(laid for laid in found.rois if laid.series_instance_uid == _series(found, Role.PORTAL))
    wanted = np.roll(voxels(bare, Role.PORTAL) > LEVEL, columns, axis=2)
    inner = (slice(None), slice(None), slice(1, -1))
    assert (portal.roi.mask[inner] != wanted[inner]).mean() < 1e-4  # but at the rims of patches
