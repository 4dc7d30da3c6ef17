"""From a reading to all the objects that were asked for."""

from __future__ import annotations

from collections.abc import Collection

from her2node.reading import Reading
from her2node.reports.document import could_not, outline, report
from her2node.reports.parametric_map import parametric_maps
from her2node.reports.report import ObjectKind, Report, Stamp
from her2node.reports.segmentation import segmentation
from her2node.reports.summary import summary_document, summary_image
from her2node.reports.wording import ran


def write(reading: Reading, stamp: Stamp, kinds: Collection[str]) -> tuple[Report, ...]:
    """The objects of ``kinds`` (``ObjectKind`` or its words) that this reading has something for, in a fixed order.

    When anything was measured or estimated: report, outline (with a region), segmentation (with a region; also when
    only the report was asked for, because it refers to its segments). Else: the "could not" report. Summaries and maps
    in both cases. The same reading and stamp give the same bytes. Raises ValueError for a kind that does not exist.
    """
    wanted = {ObjectKind(kind) for kind in kinds}
    found = _with_results(reading, stamp, wanted) if ran(reading) else _without(reading, stamp, wanted)
    if ObjectKind.SUMMARY_IMAGE in wanted:
        found.append(summary_image(reading, stamp))
    if ObjectKind.SUMMARY_DOCUMENT in wanted:
        found.append(summary_document(reading, stamp))
    if ObjectKind.PARAMETRIC_MAP in wanted:
        found += parametric_maps(reading, stamp)
    return tuple(one for one in found if one is not None)


def _with_results(reading: Reading, stamp: Stamp, wanted: set[ObjectKind]) -> list[Report | None]:
    found: list[Report | None] = []
    regions = segmentation(reading, stamp) if wanted & {ObjectKind.REPORT, ObjectKind.SEGMENTATION} else None
    if ObjectKind.REPORT in wanted:
        found.append(report(reading, stamp, regions))
    if ObjectKind.OUTLINE in wanted:
        found.append(outline(reading, stamp))
    return [*found, regions]


def _without(reading: Reading, stamp: Stamp, wanted: set[ObjectKind]) -> list[Report | None]:
    return [could_not(reading, stamp)] if ObjectKind.COULD_NOT in wanted else []
