from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage

from her2node.selection.arrangement import arranged
from her2node.selection.packing import split
from her2node.selection.study import Instance, group
from tests.selection.headers import instance


def phases(count: int, **each: list[Any]) -> list[Instance]:
    """``count`` stacks of 5 slices in one series, one after the other; ``each``: values by stack."""
    made = []
    for stack in range(count):
        attributes = {keyword: values[stack] for keyword, values in each.items()}
        for slice_ in range(5):
            position = [0, 0, 5.0 * slice_]
            made.append(instance("1.2.3.1", 1 + 5 * stack + slice_, ImagePositionPatient=position, **attributes))
    return made


@pytest.mark.parametrize(
    "each",
    [
        {"AcquisitionNumber": [1, 2, 3]},
        {"TemporalPositionIdentifier": [1, 2, 3]},
        {"AcquisitionTime": ["100000", "100030", "100110"]},
        {"ConvolutionKernel": ["B30f", "B50f", "B70f"]},
        {},
    ],
)
def test_phases_in_one_series_are_taken_apart(each: dict[str, list[Any]]) -> None:
    parts = split(group(phases(3, **each)).series[0])
    assert [[i.header.InstanceNumber for i in part.instances] for part in parts] == [
        list(range(1, 6)), list(range(6, 11)), list(range(11, 16)),
    ]  # fmt: skip
    assert len({part.series_instance_uid for part in parts}) == 3


def test_the_same_series_gives_the_same_parts() -> None:
    one, again = (arranged(group(phases(2, AcquisitionNumber=[1, 2]))) for _ in range(2))
    assert [s.series_instance_uid for s in one.series] == [s.series_instance_uid for s in again.series]


def test_a_duplicated_slice_is_no_second_phase() -> None:
    once = phases(1)
    twice = [*once, instance("1.2.3.1", 9, ImagePositionPatient=[0, 0, 10.0])]
    assert len(split(group(twice).series[0])) == 1


def test_many_time_points_are_left_to_the_dynamic_methods() -> None:
    assert len(split(group(phases(8, AcquisitionNumber=list(range(8)))).series[0])) == 1


def test_a_series_that_a_reader_named_stays_as_it_came() -> None:
    assert len(arranged(group(phases(2, AcquisitionNumber=[1, 2])), keep=("1.2.3.1",)).series) == 1


def halves(gap: float = 5.0, **other: Any) -> list[Instance]:
    """Two series of 4 slices, the second beginning ``gap`` mm above the first's end."""
    first = [instance("1.2.3.1", n, ImagePositionPatient=[0, 0, 5.0 * n], AcquisitionTime="100000") for n in range(4)]
    attributes = {"AcquisitionTime": "100004", **other}
    second = [instance("1.2.3.2", n, ImagePositionPatient=[0, 0, 15.0 + gap + 5.0 * n], **attributes) for n in range(4)]
    return first + second


def test_one_phase_over_two_series_is_put_together() -> None:
    (whole,) = arranged(group(halves())).series
    assert len(whole.instances) == 8


@pytest.mark.parametrize(
    "apart",
    [
        {"gap": 10.0},
        {"gap": -15.0},
        {"AcquisitionTime": "101500"},
        {"ConvolutionKernel": "B70f"},
        {"SeriesDescription": "other"},
        {"ContrastBolusAgent": "Iohexol"},
        {"FrameOfReferenceUID": "1.9"},
    ],
)
def test_what_does_not_continue_a_series_stays_apart(apart: dict[str, Any]) -> None:
    assert len(arranged(group(halves(**apart))).series) == 2


# --- enhanced objects ------------------------------------------------------------------------------------------------


def packed_frames(phases: int, **content: list[Any]) -> Instance:
    """One enhanced object of ``phases`` stacks of 5 frames, one after the other; ``content`` of frames by stack."""
    frames = []
    for stack in range(phases):
        for slice_ in range(5):
            said, position = Dataset(), Dataset()
            for keyword, values in content.items():
                setattr(said, keyword, values[stack])
            position.ImagePositionPatient = [0, 0, 5.0 * slice_]
            groups = Dataset()
            groups.FrameContentSequence, groups.PlanePositionSequence = [said], [position]
            frames.append(groups)
    made = instance("1.2.3.1", sop_class_uid=EnhancedCTImageStorage, NumberOfFrames=len(frames))
    made.header.PerFrameFunctionalGroupsSequence = frames
    made.header.file_meta = FileMetaDataset()
    return made


@pytest.mark.parametrize(
    "content",
    [
        {"TemporalPositionIndex": [1, 2, 3]},
        {"FrameAcquisitionNumber": [1, 2, 3]},
        {"FrameAcquisitionDateTime": ["20240314100000", "20240314100030", "20240314100110"]},
        {},
    ],
)
def test_phases_in_one_enhanced_object_are_taken_apart(content: dict[str, list[Any]]) -> None:
    whole = packed_frames(3, **content)
    study = group([whole])
    parts = arranged(study).series
    assert [part.instances[0].frames for part in parts] == [
        tuple(range(1, 6)), tuple(range(6, 11)), tuple(range(11, 16)),
    ]  # fmt: skip
    for part in parts:
        (piece,) = part.instances
        assert piece.header.NumberOfFrames == len(piece.header.PerFrameFunctionalGroupsSequence) == 5
        assert piece.identity == whole.identity
    assert whole.header.NumberOfFrames == len(whole.header.PerFrameFunctionalGroupsSequence) == 15
    assert arranged(study).instances == (whole,)
    assert len({part.series_instance_uid for part in parts}) == 3


def test_an_enhanced_object_whose_frames_are_not_all_described_stays_whole() -> None:
    claimed = packed_frames(2)
    claimed.header.NumberOfFrames = 11
    assert len(arranged(group([claimed])).series) == 1


def test_many_time_points_in_one_enhanced_object_are_left_to_the_dynamic_methods() -> None:
    assert len(arranged(group([packed_frames(8)])).series) == 1


def half_frames(uid: str, first: int, **other: Any) -> Instance:
    """An enhanced object of 4 frames from slice ``first`` on."""
    said = {"FrameAcquisitionDateTime": "20240314100000", "ConvolutionKernel": "B30f", "step": 5.0, **other}
    frames = []
    for slice_ in range(first, first + 4):
        content, position, orientation, measures, reconstruction = (Dataset() for _ in range(5))
        content.FrameAcquisitionDateTime = said["FrameAcquisitionDateTime"]
        position.ImagePositionPatient = [0, 0, said["step"] * slice_]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [1, 1], 5
        reconstruction.ConvolutionKernel = said["ConvolutionKernel"]
        groups = Dataset()
        groups.FrameContentSequence, groups.PlanePositionSequence = [content], [position]
        groups.PlaneOrientationSequence, groups.PixelMeasuresSequence = [orientation], [measures]
        groups.CTReconstructionSequence = [reconstruction]
        frames.append(groups)
    made = instance(uid, sop_class_uid=EnhancedCTImageStorage, NumberOfFrames=len(frames))
    made.header.PerFrameFunctionalGroupsSequence = frames
    made.header.file_meta = FileMetaDataset()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "AcquisitionTime"):
        if keyword in made.header:
            del made.header[keyword]
    return made


def test_one_phase_over_two_enhanced_objects_is_put_together() -> None:
    (whole,) = arranged(group([half_frames("1.2.3.1", 0), half_frames("1.2.3.2", 4)])).series
    assert len(whole.instances) == 2


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (5, {}),
        (2, {}),
        (4, {"FrameAcquisitionDateTime": "20240314101500"}),
        (4, {"ConvolutionKernel": "B70f"}),
        (4, {"step": 6.0}),
    ],
)
def test_enhanced_objects_that_do_not_continue_each_other_stay_apart(first: int, other: dict[str, Any]) -> None:
    assert len(arranged(group([half_frames("1.2.3.1", 0), half_frames("1.2.3.2", first, **other)])).series) == 2


def test_a_classic_series_does_not_continue_an_enhanced_one() -> None:
    above = [
        instance("1.2.3.2", n, ImagePositionPatient=[0, 0, 20.0 + 5 * n], AcquisitionTime="100004") for n in range(4)
    ]
    assert len(arranged(group([half_frames("1.2.3.1", 0), *above])).series) == 2
