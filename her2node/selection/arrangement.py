"""Series as they were scanned: several phases in one series are taken apart, one phase in several is put together.

Judged from headers. What is not clearly several stacks, or clearly one, stays as it came. A part, or a whole made of
parts, is a ``Series`` under a UID derived from those that its objects bear.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

from her2node.dicom.attributes import number, numbers, text
from her2node.dicom.uids import derived_uid
from her2node.selection.packing import Image, images_of, is_classic, split
from her2node.selection.study import Series, Study

_APART_S = 60.0
"""Two parts of one phase are not acquired farther apart."""
_DAY = 86_400.0
_ALIKE = ("ImageType", "FrameOfReferenceUID", "ContrastBolusAgent", "Rows", "Columns")
_GROUPED_ALIKE = (
    ("CTReconstructionSequence", "ConvolutionKernel"),
    ("PixelMeasuresSequence", "SliceThickness"),
    ("ContrastBolusUsageSequence", "ContrastBolusAgentPhase"),
)


def arranged(study: Study, keep: Collection[str] = ()) -> Study:
    """The study with its CT series split and joined as they were acquired; ``keep``: UIDs left as
    they came."""
    series = [part for one in study.series for part in ([one] if one.series_instance_uid in keep else split(one))]
    return replace(study, series=tuple(_joined(series, keep)))


def _joined(series: list[Series], keep: Collection[str]) -> list[Series]:
    """Series of which one continues another are one series, in the place of the first."""
    left = list(series)
    place = 0
    while place < len(left):
        follower = next((o for o in left[place + 1 :] if continues(left[place], o, keep)), None)
        if follower is None:
            place += 1
            continue
        left.remove(follower)
        left[place] = _whole(left[place], follower)
    return left


def _whole(one: Series, other: Series) -> Series:
    uid = derived_uid("series of parts", one.series_instance_uid, other.series_instance_uid)
    return replace(one, series_instance_uid=uid, instances=one.instances + other.instances)


def continues(one: Series, other: Series, keep: Collection[str] = ()) -> bool:
    """Whether two series are neighbouring parts of one acquisition: objects of one kind, described, reconstructed and
    enhanced alike, acquired within a minute, on one grid, and the second begins one slice beyond the first's end."""
    if {one.series_instance_uid, other.series_instance_uid} & set(keep) or is_classic(one) != is_classic(other):
        return False
    images, others = images_of(one), images_of(other)
    if not images or not others or one.description != other.description:
        return False
    if _likeness(images[0]) != _likeness(others[0]) or not _near_in_time(images, others):
        return False
    (low, high, step), (other_low, other_high, other_step) = _run(images), _run(others)
    if not step or abs(step - other_step) > 0.05:
        return False
    gap = min(abs(other_low - high), abs(low - other_high))
    apart = other_low > high or low > other_high
    return apart and abs(gap - step) <= 0.05 + 0.01 * step


def _likeness(image: Image) -> tuple[object, ...]:
    """What the images of one acquisition share, in the header or in functional groups."""
    header, orientation = image.instance.header, _orientation(image)
    spacing = numbers(image.at("PixelMeasuresSequence"), "PixelSpacing")
    grid = tuple(round(value, 4) for value in (*orientation, *spacing))
    said = (text(header, keyword) for keyword in _ALIKE)
    grouped = (text(image.at(sequence), keyword) for sequence, keyword in _GROUPED_ALIKE)
    return (grid, _across(_position(image), orientation), *said, *grouped)


def _position(image: Image) -> tuple[float, ...]:
    return numbers(image.at("PlanePositionSequence"), "ImagePositionPatient")


def _orientation(image: Image) -> tuple[float, ...]:
    return numbers(image.at("PlaneOrientationSequence"), "ImageOrientationPatient")


def _across(position: tuple[float, ...], orientation: tuple[float, ...]) -> tuple[float, ...]:
    """Where the first pixel lies within its plane."""
    if len(position) != 3 or len(orientation) != 6:
        return ()
    return tuple(round(sum(a * b for a, b in zip(position, orientation[at : at + 3], strict=True)), 1) for at in (0, 3))


def _near_in_time(one: Sequence[Image], other: Sequence[Image]) -> bool:
    times = [[image.seconds for image in images if image.seconds is not None] for images in (one, other)]
    if not all(times):
        number_of = [_acquisition(images[0]) for images in (one, other)]
        return number_of[0] is not None and number_of[0] == number_of[1]
    gap = max(min(times[0]) - max(times[1]), min(times[1]) - max(times[0]), 0.0)
    return min(gap, _DAY - gap) <= _APART_S


def _acquisition(image: Image) -> float | None:
    content = image.at("FrameContentSequence")
    return number(content, "AcquisitionNumber" if image.number is None else "FrameAcquisitionNumber")


def _run(images: Sequence[Image]) -> tuple[float, float, float]:
    """Lowest and highest place along the normal and the step between slices (0: none, or uneven)."""
    orientation = _orientation(images[0])
    if len(orientation) != 6:
        return 0.0, 0.0, 0.0
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    positions = [_position(image) for image in images]
    along = sorted(sum(n * p for n, p in zip(normal, at, strict=True)) for at in positions if len(at) == 3)
    gaps = [after - before for before, after in pairwise(along)]
    if not gaps or max(gaps) - min(gaps) > 0.2:
        return 0.0, 0.0, 0.0
    return along[0], along[-1], sum(gaps) / len(gaps)
