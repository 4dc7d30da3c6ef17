"""Which of the given regions stand, and by which name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from her2node.rois.given import GivenRoi, told_apart
from her2node.rois.roi import RoiOrigin
from her2node.rois.tumour import current
from her2node.selection.study import Instance
from tests.selection import headers

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


class Counted(str):
    """A word that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def region(
    number: int, label: str, tracking_uid: str, *, source: Instance, created: datetime | None = None
) -> GivenRoi:
    return GivenRoi(source, number, label, RoiOrigin.SEGMENTATION, "1.2", tracking_uid, label, created)


def test_a_later_object_corrects_by_tracking_uid_or_by_label() -> None:
    first, second = headers.instance("1.1"), headers.instance("1.2")
    by_uid = region(1, "GTV", "9.1", source=first, created=FIRST)
    by_label = region(2, " Tumour", "9.2", source=first, created=FIRST)
    alone = region(3, "node", "9.3", source=first, created=FIRST)
    later = FIRST + timedelta(days=1)
    new_uid = region(1, "lesion", "9.1", source=second, created=later)
    new_label = region(2, "tumour", "9.9", source=second, created=later)
    assert current([new_uid, by_uid, by_label, alone, new_label]) == (new_uid, alone, new_label)


def test_regions_of_one_object_never_correct_each_other() -> None:
    one = headers.instance("1.1")
    both = (region(1, "GTV", "9.1", source=one), region(2, "GTV", "9.1", source=one))
    assert current(both) == both


def test_the_work_on_an_object_of_very_many_regions_grows_with_their_number_only() -> None:
    one = headers.instance("1.1")
    regions = [region(n, "Segment", Counted(f"9.{n}"), source=one) for n in range(1300)]
    Counted.compared = 0
    shown = told_apart(regions)
    assert current(shown) == shown
    assert Counted.compared < 20 * len(regions)
    assert shown[-1].tracking_id == f"Segment ({len(regions)})"
