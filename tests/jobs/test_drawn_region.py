"""A study without a region, then the region of a reader: the network's edition is followed by the reader's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node import phantoms
from her2node import reading as real_reading
from her2node.jobs.door import Door
from her2node.jobs.filing import file_arrivals
from her2node.phantoms import PhantomOptions, Phase
from her2node.reading import Reading
from her2node.reports.report import ObjectKind
from her2node.reports.writing import write
from her2node.rois import RoiOrigin
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from tests.jobs.made import House
from tests.jobs.test_analyse import Bench
from tests.models.segmenter.packaged import bright
from tests.reading.test_drawing import files_of

OPTIONS = PhantomOptions(seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=(Phase.PORTAL,))
Read = Callable[[Study, Mapping[str, Role | None], Mapping[str, str]], Reading]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return phantoms.write(phantoms.ct.make(OPTIONS), tmp_path / "study")


def reads(files: list[Path], folder: Path, seen: list[Reading]) -> Read:
    segmenter = bright(folder, **files_of(open_study([file for file in files if dcmread(file).Modality == "CT"])))

    def read(study: Study, roles: Mapping[str, Role | None], entered: Mapping[str, str]) -> Reading:
        seen.append(real_reading.read(study, [segmenter], entered_roles=roles, entered=entered))
        return seen[-1]

    return read


def test_a_readers_region_that_comes_later_makes_a_new_edition_in_the_place_of_the_networks(
    house: House, files: list[Path], tmp_path: Path
) -> None:
    seen: list[Reading] = []
    kinds = [ObjectKind.REPORT, ObjectKind.SEGMENTATION]
    bench = Bench(house, read=reads(files, tmp_path / "package", seen), write=partial(write, kinds=kinds))
    objects = [dcmread(file) for file in files]
    images = [ds for ds in objects if ds.Modality == "CT"]
    for part in (images, [ds for ds in objects if ds.Modality != "CT"]):
        house.receive(part)
        file_arrivals(house.ledger, house.spool, Door(), house.now)
        (facts,) = house.ledger.gathering()
        house.ledger.complete(facts.edition_id, "quiet", "", house.now)
        bench.workshop().run(bench.job())
    assert [{laid.roi.origin for laid in reading.rois} for reading in seen] == [
        {RoiOrigin.MODEL},
        {RoiOrigin.SEGMENTATION},
    ]
    first, second = house.ledger.study(str(images[0].StudyInstanceUID)).editions
    made = [
        {result.kind: dcmread(house.spool.result_path(one.edition_id, result.name)) for result in one.results}
        for one in (first, second)
    ]
    types = [one["segmentation"].SegmentSequence[0].SegmentAlgorithmType for one in made]
    assert types[0] == "AUTOMATIC"
    assert types[1] != "AUTOMATIC"
    (predecessor,) = made[1]["report"].PredecessorDocumentsSequence
    uids = [item.ReferencedSOPInstanceUID for item in predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence]
    assert uids == [made[0]["report"].SOPInstanceUID]
