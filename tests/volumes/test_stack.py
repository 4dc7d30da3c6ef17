"""What forms one even stack, and by which name the rest is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from her2node import volumes
from her2node.errors import (
    DuplicateSlices,
    GantryTilt,
    InvalidAttribute,
    Localizer,
    MissingAttribute,
    MissingSlices,
    MixedOrientations,
    NoFrameOfReference,
    NotCalibrated,
    OtherKindOfImage,
    Refused,
    SingleSlice,
    UnevenSpacing,
)
from tests.volumes import made


def moved(*offsets: tuple[float, float, float]) -> made.Change:
    """Shift slice i by offsets[i] mm."""

    def change(index: int, ds: Dataset) -> None:
        ds.ImagePositionPatient = list(np.asarray(ds.ImagePositionPatient, float) + offsets[index])

    return change


def only(which: int, keyword: str, value: object) -> made.Change:
    """Set one attribute of one slice; None deletes it."""

    def change(index: int, ds: Dataset) -> None:
        if index == which:
            delattr(ds, keyword) if value is None else setattr(ds, keyword, value)

    return change


def every(keyword: str, value: object) -> made.Change:
    """Set one attribute of every object; None deletes it."""
    return lambda _, ds: delattr(ds, keyword) if value is None else setattr(ds, keyword, value)


STILL = (0.0, 0.0, 0.0)

REFUSED: dict[str, tuple[made.Change, type[Refused]]] = {
    "a sheared stack": (moved(*((0, i * 0.3, 0) for i in range(4))), GantryTilt),
    "a gap of two spacings": (moved(STILL, STILL, (0, 0, 2.5), (0, 0, 2.5)), MissingSlices),
    "a gap of one and a half": (moved(STILL, STILL, (0, 0, 1.25), (0, 0, 1.25)), UnevenSpacing),
    "a slice out of line": (moved(STILL, (3.0, 0, 0), STILL, STILL), UnevenSpacing),
    "two slices at one place": (moved(STILL, (0, 0, -2.5), STILL, STILL), DuplicateSlices),
    "one slice turned": (only(2, "ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), MixedOrientations),
    "one slice of other pixel spacing": (only(2, "PixelSpacing", [0.7, 0.8]), MixedOrientations),
    "one slice of another frame of reference": (only(2, "FrameOfReferenceUID", "1.9"), MixedOrientations),
    "no frame of reference": (every("FrameOfReferenceUID", None), NoFrameOfReference),
    "an empty frame of reference": (only(1, "FrameOfReferenceUID", ""), NoFrameOfReference),
    "localizers": (every("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), Localizer),
    "one localizer among slices": (only(0, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), Localizer),
    "scouts of another word": (every("ImageType", ["DERIVED", "SECONDARY", "SCOUT"]), Localizer),
    "no position": (only(1, "ImagePositionPatient", None), MissingAttribute),
    "no orientation": (only(1, "ImageOrientationPatient", None), MissingAttribute),
    "no pixel spacing": (only(1, "PixelSpacing", None), MissingAttribute),
    "no rows": (only(1, "Rows", None), MissingAttribute),
    "two coordinates": (only(1, "ImagePositionPatient", [1.0, 2.0]), InvalidAttribute),
    "a place on the moon": (only(1, "ImagePositionPatient", [1.0, 2.0, 4e8]), InvalidAttribute),
    "directions that are none": (every("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]), InvalidAttribute),
    "directions not perpendicular": (every("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0]), InvalidAttribute),
    "pixels without extent": (every("PixelSpacing", [0, 0.5]), InvalidAttribute),
    "no rows at all": (only(1, "Rows", 0), InvalidAttribute),
    "frames without functional groups": (every("NumberOfFrames", 3), InvalidAttribute),
    "no slope": (only(1, "RescaleSlope", None), NotCalibrated),
    "no intercept": (only(1, "RescaleIntercept", None), NotCalibrated),
    "a slope of nothing": (only(1, "RescaleSlope", 0), NotCalibrated),
    "a slope beyond all measure": (only(1, "RescaleSlope", 1e20), NotCalibrated),
    "no Hounsfield units": (only(1, "RescaleType", "US"), NotCalibrated),
    "a lookup table": (only(1, "ModalityLUTSequence", [Dataset()]), NotCalibrated),
    "colour": (only(1, "PhotometricInterpretation", "RGB"), NotCalibrated),
    "another modality": (every("Modality", "MR"), OtherKindOfImage),
    "no modality": (every("Modality", ""), OtherKindOfImage),
    "a screenshot in a CT series": (only(3, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), OtherKindOfImage),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_even_calibrated_stack_is_refused_by_name(what: str, tmp_path: Path) -> None:
    change, expected = REFUSED[what]
    series = made.classic(tmp_path, change=change)
    with pytest.raises(Refused) as refused:
        volumes.stack_of(series)
    assert type(refused.value) is expected, str(refused.value)
    with pytest.raises(expected):
        volumes.build(series)


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    def wider(index: int, ds: Dataset) -> None:
        if index == 1:
            made.describe_pixels(ds, np.zeros((5, 8), "<i2"))

    with pytest.raises(MixedOrientations, match="5 x 7, 5 x 8"):
        volumes.stack_of(made.classic(tmp_path, change=wider))


def test_a_multi_energy_image_without_rescale_type_is_not_taken_for_hounsfield_units(tmp_path: Path) -> None:
    def spectral(_: int, ds: Dataset) -> None:
        ds.MultienergyCTAcquisition = "YES"
        del ds.RescaleType

    with pytest.raises(NotCalibrated, match="multi-energy"):
        volumes.stack_of(made.classic(tmp_path, change=spectral))


def test_an_absent_rescale_type_means_hounsfield_units(tmp_path: Path) -> None:
    assert volumes.stack_of(made.classic(tmp_path, change=every("RescaleType", None)))


def test_missing_slices_are_counted_and_located(tmp_path: Path) -> None:
    series = made.classic(tmp_path, change=moved(STILL, STILL, (0, 0, 5.0), (0, 0, 5.0)))
    with pytest.raises(MissingSlices, match=r"2 of 6, 2\.500 mm apart, one gap above 32\.50 mm"):
        volumes.stack_of(series)


def test_several_phases_in_one_series_are_refused_as_duplicates(tmp_path: Path) -> None:
    with pytest.raises(DuplicateSlices, match="4 images at 2 places"):
        volumes.stack_of(made.classic(tmp_path, change=moved(STILL, STILL, (0, 0, -5), (0, 0, -5))))


def test_spacing_comes_from_positions_and_never_from_slice_thickness(tmp_path: Path) -> None:
    series = made.classic(tmp_path, change=every("SpacingBetweenSlices", 7.0))
    assert volumes.stack_of(series).geometry.spacing_mm == (2.5, 0.7, 0.9)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path: Path) -> None:
    def rounded(_: int, ds: Dataset) -> None:
        ds.ImagePositionPatient = [round(float(x), 1) for x in ds.ImagePositionPatient]

    series = made.classic(tmp_path, made.values(9, 3, 3), spacing=(1.25, 0.7, 0.7), change=rounded)
    assert volumes.stack_of(series).geometry.spacing_mm[0] == pytest.approx(1.25, abs=0.01)


def test_a_tilt_in_the_header_alone_tilts_nothing(tmp_path: Path) -> None:
    assert volumes.stack_of(made.classic(tmp_path, change=every("GantryDetectorTilt", 20.0)))


def test_slices_are_ordered_by_place_whatever_their_numbers_say(tmp_path: Path) -> None:
    def backwards(index: int, ds: Dataset) -> None:
        ds.InstanceNumber = 10 - index

    stack = volumes.stack_of(made.classic(tmp_path, change=backwards))
    heights = [frame.header.ImagePositionPatient[2] for frame in stack.frames]
    assert heights == sorted(heights)


def test_a_single_slice_takes_its_thickness_for_its_extent(tmp_path: Path) -> None:
    assert volumes.stack_of(made.classic(tmp_path, made.values(1, 3, 3))).geometry.spacing_mm[0] == 9.0


def test_a_single_slice_without_thickness_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SingleSlice):
        volumes.stack_of(made.classic(tmp_path, made.values(1, 3, 3), change=every("SliceThickness", None)))


@pytest.mark.parametrize("claimed", [0, 2, 5, 2**31 - 1])
def test_more_or_fewer_frames_than_functional_groups_are_refused(claimed: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidAttribute, match="NumberOfFrames"):
        volumes.stack_of(made.enhanced(tmp_path, change=every("NumberOfFrames", claimed)))


def test_a_claim_of_more_voxels_than_the_node_takes_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    def giant(_: int, ds: Dataset) -> None:
        ds.Rows = ds.Columns = 65535

    with pytest.raises(InvalidAttribute, match="65535 x 65535"):
        volumes.build(made.classic(tmp_path, change=giant))


orientations = st.sampled_from(
    [made.AXIAL, made.SAGITTAL, (1, 0, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orientation=orientations,
    spacing=st.tuples(*[st.floats(0.5, 5).map(lambda x: round(x, 3))] * 3),
    origin=st.tuples(*[st.floats(-300, 300).map(lambda x: round(x, 3))] * 3),
    slices=st.integers(2, 6),
)
def test_any_even_stack_gives_its_own_grid_back_right_handed(
    orientation: tuple[float, ...],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    slices: int,
    tmp_path: Path,
) -> None:
    series = made.classic(tmp_path, made.values(slices, 3, 4), spacing=spacing, origin=origin, orientation=orientation)
    geometry = volumes.stack_of(series).geometry
    assert geometry.shape == (slices, 3, 4)
    assert geometry.spacing_mm == pytest.approx(spacing, abs=1e-5)
    assert geometry.origin_mm == pytest.approx(origin, abs=1e-5)
    up, down, across = np.asarray(geometry.directions)
    assert np.allclose(np.cross(across, down), up)
    assert np.allclose((*across, *down), orientation)
