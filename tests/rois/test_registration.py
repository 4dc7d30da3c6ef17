"""Regions in one frame of reference laid on series of another, as registration objects say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from her2node import rois
from her2node.errors import OtherFrameOfReference, RegistrationUnusable
from her2node.rois.matrices import matrix_of
from her2node.rois.registration import registrations_of
from her2node.selection.study import group, open_instance
from her2node.volumes.volume import Volume
from tests.rois import made, registering
from tests.rois.registering import rigid
from tests.volumes import made as ct

MR, PET, ATLAS = "1.2.3.33", "1.2.3.44", "1.2.3.55"
SHAPE, SPACING, ORIGIN = (16, 40, 40), (3.0, 1.0, 1.0), (-20.0, -20.0, 0.0)
DRAWN = made.grid(SHAPE, spacing=SPACING, origin=ORIGIN)
CENTRE_MM, RADIUS_MM = np.array([3.0, -2.0, 24.0]), 8.0
SQUARE = [(15.5, 15.5), (15.5, 24.5), (24.5, 24.5), (24.5, 15.5)]


def series_in(frame: str, **kind: object) -> Volume:
    return made.grid(SHAPE, **{"spacing": SPACING, "origin": ORIGIN, "frame_of_reference_uid": frame, **kind})  # type: ignore[arg-type]


def centres(volume: Volume) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.geometry.shape), indexing="ij"), axis=-1)
    return volume.geometry.to_patient(index)


def ball(volume: Volume, centre_mm: Sequence[float] | np.ndarray, radius_mm: float = RADIUS_MM) -> np.ndarray:
    return np.linalg.norm(centres(volume) - np.asarray(centre_mm), axis=-1) <= radius_mm


def lay(regions: Path, registrations: Sequence[Path], volume: Volume) -> rois.Roi:
    found = registrations_of(group([open_instance(path) for path in (regions, *registrations)]))
    (region,) = made.regions_of(regions)
    return rois.lay(replace(region, registrations=found), volume)


@pytest.fixture
def seg(tmp_path: Path) -> Path:
    return made.segmentation(tmp_path, ball(DRAWN, CENTRE_MM)[np.newaxis], DRAWN)


def agrees(mask: np.ndarray, expected: np.ndarray) -> bool:
    """Dice of a ball and one sampled twice."""
    return 2 * np.count_nonzero(mask & expected) > 0.93 * (np.count_nonzero(mask) + np.count_nonzero(expected))


def moved(matrix: np.ndarray) -> np.ndarray:
    return matrix[:3, :3] @ CENTRE_MM + matrix[:3, 3]


def test_a_shift_by_whole_voxels_moves_the_mask_and_the_result_names_the_registration(
    seg: Path, tmp_path: Path
) -> None:
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (4.0, -3.0, 6.0))]})
    roi = lay(seg, [reg], series_in(MR))
    assert np.array_equal(roi.mask, np.roll(ball(DRAWN, CENTRE_MM), (2, -3, 4), axis=(0, 1, 2)))
    assert roi.carried_by == (registering.REG,)
    assert not roi.cut_off


@pytest.mark.parametrize("registered", [MR, ct.FRAME], ids=["into the series", "into the region"])
def test_a_turn_is_gone_in_both_directions(seg: Path, tmp_path: Path, registered: str) -> None:
    matrix = rigid(25.0, (5.0, 2.0, -4.0))  # from where the region was drawn into the series
    other = ct.FRAME if registered == MR else MR
    stated = matrix if registered == MR else np.linalg.inv(matrix)
    reg = registering.spatial(tmp_path, registered, {other: [stated]})
    volume = series_in(MR, spacing=(2.0, 1.5, 1.5))
    assert agrees(lay(seg, [reg], volume).mask, ball(volume, moved(matrix)))


@over(st.floats(-180, 180), st.tuples(*[st.floats(-5, 5)] * 3))
def test_the_matrix_of_a_chain_is_the_way_that_its_points_go(degrees: float, shift: tuple[float, ...]) -> None:
    one = matrix_of(rigid(degrees, shift).ravel().tolist(), "RIGID")
    points = np.random.default_rng(0).normal(size=(5, 3)) * 100
    assert one.inverse.carried(one.carried(points)) == pytest.approx(points, abs=1e-9)
    assert one.then(one).carried(points) == pytest.approx(one.carried(one.carried(points)), abs=1e-9)


def test_several_matrices_multiply_in_their_order_so_the_last_is_applied_first(seg: Path, tmp_path: Path) -> None:
    turn, shift = rigid(90.0, (0, 0, 0)), rigid(0.0, (6.0, 0, 0))
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [turn, shift]})
    assert agrees(lay(seg, [reg], series_in(MR)).mask, ball(DRAWN, (2.0, 9.0, 24.0)))  # shifted, then turned


def test_a_chain_over_an_atlas_is_followed_and_named_in_its_order(seg: Path, tmp_path: Path) -> None:
    a, b = rigid(20.0, (3.0, 0, 3.0)), rigid(-35.0, (0, 4.0, -3.0))
    one = registering.spatial(tmp_path, ATLAS, {ct.FRAME: [a]}, uid="1.2.3.7.1")
    two = registering.spatial(tmp_path, ATLAS, {MR: [b], PET: [np.eye(4)]}, uid="1.2.3.7.2")
    roi = lay(seg, [one, two], series_in(MR))
    assert agrees(roi.mask, ball(DRAWN, moved(np.linalg.inv(b) @ a)))
    assert roi.carried_by == ("1.2.3.7.2", "1.2.3.7.1")


def test_scale_and_shear_are_carried(seg: Path, tmp_path: Path) -> None:
    matrix = np.diag([1.2, 0.9, 1.1, 1.0])
    matrix[0, 1] = 0.3
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [matrix]}, kind="AFFINE")
    volume = series_in(MR)
    back = (centres(volume) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    assert agrees(lay(seg, [reg], volume).mask, np.linalg.norm(back - CENTRE_MM, axis=-1) <= RADIUS_MM)


def test_contours_across_the_slices_of_the_series_are_carried_too(tmp_path: Path) -> None:
    path = made.structure_set(tmp_path, [made.contour(DRAWN, index, SQUARE) for index in range(4, 10)])
    tilt = np.eye(4)
    tilt[1:3, 1:3] = rigid(30.0, (0, 0, 0))[:2, :2]
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [tilt]})
    volume = made.grid((45, 60, 40), spacing=(1, 1, 1), origin=(-20, -40, -5), frame_of_reference_uid=MR)
    back = centres(volume) @ tilt[:3, :3]
    x, y, z = back[..., 0], back[..., 1], back[..., 2]
    inside = (abs(x) < 4.5) & (abs(y) < 4.5) & (z >= 10.5) & (z < 28.5)
    roi = lay(path, [reg], volume)
    assert agrees(roi.mask, inside)
    assert not roi.cut_off


def test_a_hole_stays_a_hole(tmp_path: Path) -> None:
    hole = [(18.5, 18.5), (18.5, 21.5), (21.5, 21.5), (21.5, 18.5)]
    contours = [made.contour(DRAWN, index, corners) for index in (5, 6, 7) for corners in (SQUARE, hole)]
    path = made.structure_set(tmp_path, contours)
    roi = lay(path, [registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (1.0, 0, 3.0))]})], series_in(MR))
    assert roi.mask[6:9].sum() == roi.mask.sum() == 3 * (81 - 9)
    assert not roi.mask[7, 20, 21]


def test_what_lies_outside_the_series_is_cut_off(seg: Path, tmp_path: Path) -> None:
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (0, 0, 18.0))]})
    assert lay(seg, [reg], series_in(MR)).cut_off


def test_without_a_registration_another_frame_of_reference_is_refused(seg: Path) -> None:
    with pytest.raises(OtherFrameOfReference, match="no registration object says how they lie to each other"):
        lay(seg, [], series_in(MR))


def test_a_registration_of_others_leads_nowhere(seg: Path, tmp_path: Path) -> None:
    with pytest.raises(OtherFrameOfReference, match=f"the series in {MR}"):
        lay(seg, [registering.spatial(tmp_path, PET, {ATLAS: [np.eye(4)]})], series_in(MR))


def test_the_latest_of_several_registrations_of_a_pair_holds(seg: Path, tmp_path: Path) -> None:
    wrong, right = rigid(0, (9.0, 9.0, 0)), rigid(0, (-4.0, 0, 0))
    early = registering.spatial(tmp_path, MR, {ct.FRAME: [wrong]}, uid="1.2.3.7.1", day="20260102")
    late = registering.spatial(tmp_path, MR, {ct.FRAME: [right]}, uid="1.2.3.7.2", day="20260103")
    for order in ([early, late], [late, early]):
        roi = lay(seg, order, series_in(MR))
        assert roi.carried_by == ("1.2.3.7.2",)
        assert np.array_equal(roi.mask, ball(DRAWN, moved(right)))


def test_two_of_one_moment_that_say_different_things_are_refused_and_two_that_agree_are_not(
    seg: Path, tmp_path: Path
) -> None:
    one = registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (4.0, 0, 0))]}, uid="1.2.3.7.1")
    same = registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (4.01, 0, 0))]}, uid="1.2.3.7.2")
    other = registering.spatial(tmp_path, MR, {ct.FRAME: [rigid(0, (5.0, 0, 0))]}, uid="1.2.3.7.3")
    assert lay(seg, [one, same], series_in(MR)).carried_by == ("1.2.3.7.1",)
    with pytest.raises(RegistrationUnusable, match=r"1\.2\.3\.7\.1 and 1\.2\.3\.7\.3 of one moment"):
        lay(seg, [one, other], series_in(MR))


def first_matrix(ds: Dataset) -> Dataset:
    return ds.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]


def with_matrix(values: np.ndarray, kind: str = "RIGID") -> made.Change:
    def change(ds: Dataset) -> None:
        first_matrix(ds).FrameOfReferenceTransformationMatrix = [float(value) for value in values.ravel()]
        first_matrix(ds).FrameOfReferenceTransformationMatrixType = kind

    return change


SHEARED = np.eye(4) + np.eye(4, k=1) * np.array([[0.2], [0], [0], [0]])
PROJECTIVE = np.eye(4) + np.array([[0, 0, 0, 0]] * 3 + [[0.1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_matrix(SHEARED), "called RIGID and is not"),
        (with_matrix(SHEARED, "RIGID_SCALE"), "called RIGID_SCALE and shears"),
        (with_matrix(np.diag([-1.0, 1, 1, 1]), "AFFINE"), "determinant -1"),
        (with_matrix(np.diag([0.0, 1, 1, 1]), "AFFINE"), "determinant 0"),
        (with_matrix(PROJECTIVE, "AFFINE"), "last row"),
        (with_matrix(rigid(0, (1e7, 0, 0))), "out of any body"),
        (with_matrix(np.eye(4), "SPLINE"), "Type is SPLINE"),
        (lambda ds: first_matrix(ds).pop("FrameOfReferenceTransformationMatrix"), "TransformationMatrix"),
        (lambda ds: ds.RegistrationSequence[1].pop("MatrixRegistrationSequence"), "MatrixSequence is absent"),
        (lambda ds: ds.pop("FrameOfReferenceUID"), "FrameOfReferenceUID is absent"),
        (lambda ds: ds.pop("RegistrationSequence"), "names no frame of reference"),
        (lambda ds: ds.RegistrationSequence[1].pop("FrameOfReferenceUID"), "whose images are not here"),
    ],
)
def test_a_registration_that_cannot_be_is_refused_by_its_uid_and_reason(
    seg: Path, tmp_path: Path, change: made.Change, words: str
) -> None:
    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [np.eye(4)]}, change=change)
    with pytest.raises(RegistrationUnusable, match=words) as refused:
        lay(seg, [reg], series_in(MR))
    assert f"registration {registering.REG}" in str(refused.value)


def test_an_item_that_names_images_alone_is_in_their_frame_of_reference(seg: Path, tmp_path: Path) -> None:
    def images_alone(ds: Dataset) -> None:
        del ds.RegistrationSequence[1].FrameOfReferenceUID
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = made.SEG, "1.2.3.9.1"
        ds.RegistrationSequence[1].ReferencedImageSequence = [image]

    reg = registering.spatial(tmp_path, MR, {ct.FRAME: [np.eye(4)]}, change=images_alone)
    assert np.array_equal(lay(seg, [reg], series_in(MR)).mask, ball(DRAWN, CENTRE_MM))


def field_(shape: tuple[int, int, int] = (10, 12, 12), value: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype=np.float32), (*shape, 3)).copy()


GRID_OF_VECTORS = {"origin": (-27.5, -27.5, -4.5), "resolution": (5.0, 5.0, 6.0)}


def test_a_deformation_leads_places_of_the_registered_series_to_the_region(seg: Path, tmp_path: Path) -> None:
    vectors = field_()
    at_x = -27.5 + 5.0 * np.arange(12)
    vectors[..., 0] = 0.25 * at_x + 2.0  # linear, so that interpolation between grid places is exact
    reg = registering.deformable(tmp_path, MR, ct.FRAME, vectors, **GRID_OF_VECTORS)  # type: ignore[arg-type]
    volume = series_in(MR)
    led = centres(volume)
    led[..., 0] = 1.25 * led[..., 0] + 2.0
    roi = lay(seg, [reg], volume)
    assert agrees(roi.mask, np.linalg.norm(led - CENTRE_MM, axis=-1) <= RADIUS_MM)
    assert roi.carried_by == (registering.REG,)


def test_the_matrices_before_and_after_a_deformation_are_applied_so(seg: Path, tmp_path: Path) -> None:
    pre, post = rigid(90.0, (0, 0, 0)), rigid(0, (4.0, 0, 3.0))
    vectors = field_(value=(0.0, -5.0, 0.0))
    reg = registering.deformable(tmp_path, MR, ct.FRAME, vectors, pre=pre, post=post, **GRID_OF_VECTORS)  # type: ignore[arg-type]
    volume = series_in(MR)
    led = centres(volume) @ pre[:3, :3].T + (0, -5.0, 0) + post[:3, 3]
    assert agrees(lay(seg, [reg], volume).mask, np.linalg.norm(led - CENTRE_MM, axis=-1) <= RADIUS_MM)


def test_a_deformation_is_not_inverted(seg: Path, tmp_path: Path) -> None:
    reg = registering.deformable(tmp_path, ct.FRAME, MR, field_(), **GRID_OF_VECTORS)  # type: ignore[arg-type]
    with pytest.raises(OtherFrameOfReference, match=f"registration {registering.REG} deforms the other way only"):
        lay(seg, [reg], series_in(MR))


def test_a_deformation_that_is_undefined_within_the_region_cuts_it_off(seg: Path, tmp_path: Path) -> None:
    whole = registering.deformable(tmp_path, MR, ct.FRAME, field_(), **GRID_OF_VECTORS)  # type: ignore[arg-type]
    assert not lay(seg, [whole], series_in(MR)).cut_off
    vectors = field_()
    vectors[5:] = np.nan
    torn = registering.deformable(tmp_path, MR, ct.FRAME, vectors, uid="1.2.3.7.2", **GRID_OF_VECTORS)  # type: ignore[arg-type]
    roi = lay(seg, [torn], series_in(MR))
    assert roi.cut_off
    assert 0 < roi.mask.sum() < ball(DRAWN, CENTRE_MM).sum()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda grid: setattr(grid, "VectorGridData", b"\0" * 12), "three numbers for each place"),
        (lambda grid: setattr(grid, "GridDimensions", [0, 12, 12]), "GridDimensions holds 0"),
        (lambda grid: setattr(grid, "GridDimensions", [60000, 60000, 60000]), "GridDimensions holds 60000"),
        (lambda grid: setattr(grid, "GridResolution", [0, 5, 5]), "span no grid"),
        (lambda grid: setattr(grid, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "span no grid"),
        (lambda grid: grid.pop("ImagePositionPatient"), "ImagePositionPatient"),
    ],
)
def test_a_deformation_that_cannot_be_is_refused_by_name(
    seg: Path, tmp_path: Path, change: made.Change, words: str
) -> None:
    def spoil(ds: Dataset) -> None:
        change(ds.DeformableRegistrationSequence[0].DeformableRegistrationGridSequence[0])

    reg = registering.deformable(tmp_path, MR, ct.FRAME, field_(), change=spoil, **GRID_OF_VECTORS)  # type: ignore[arg-type]
    with pytest.raises(RegistrationUnusable, match=words):
        lay(seg, [reg], series_in(MR))


def test_a_grid_of_vectors_beyond_a_mebibyte_is_read_from_its_file(seg: Path, tmp_path: Path) -> None:
    vectors = field_((40, 60, 60), (3.0, 0.0, 0.0))  # 1.7 MB
    reg = registering.deformable(
        tmp_path, MR, ct.FRAME, vectors, origin=(-29.5, -29.5, -4.5), resolution=(1.0, 1.0, 1.5)
    )
    assert agrees(lay(seg, [reg], series_in(MR)).mask, ball(DRAWN, CENTRE_MM - (3.0, 0, 0)))
