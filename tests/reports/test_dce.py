"""A study of dynamic MR is reported and mapped, and passes the validators of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from her2node import phantoms
from her2node.dicom.codes import Dce
from her2node.phantoms.dce import DceOptions, Layout, make
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, write
from her2node.reports.wording import series_names
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from tests.reports import gates, making
from tests.reports.test_perfusion import texts

SMALL = DceOptions(
    times_s=tuple(float(t) for t in range(0, 100, 5)), rows=32, columns=32, slices=4, spacing_mm=7.0, noise=1.0
)


@dataclass(frozen=True)
class Written:
    reading: Reading
    report: Path
    others: tuple[Path, ...]
    maps: dict[str, Path]


@pytest.fixture(scope="module", params=[Layout.ONE_SERIES, Layout.SERIES_A_POINT, Layout.ENHANCED])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp(request.param)
    reading = read(open_study(phantoms.write(make(replace(SMALL, layout=request.param)), folder / "study")), ())
    (folder / "reports").mkdir()
    report, others, maps = None, [], {}
    for number, one in enumerate(write(reading, making.STAMP, making.ALL)):
        file = folder / "reports" / f"{number}.dcm"
        one.dataset.save_as(file, enforce_file_format=True)
        if one.kind is ObjectKind.PARAMETRIC_MAP:
            mapping = one.dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
            maps[mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue] = file
        elif one.kind is ObjectKind.REPORT:
            report = file
        else:
            others.append(file)
    assert report is not None
    return Written(reading, report, tuple(others), maps)


@pytest.mark.truth
def test_dciodvfy_finds_no_error_and_no_warning(written: Written) -> None:
    assert len(written.others) >= 2
    for file in (written.report, *written.others, *written.maps.values()):
        assert gates.dciodvfy(file) == ([], []), file


@pytest.mark.truth
def test_dcmqi_reads_back_ktrans_kep_ve_and_vp_with_unit_and_derivation(written: Written, tmp_path: Path) -> None:
    items = [item for group in gates.measurement_groups(written.report, tmp_path) for item in group["measurementItems"]]
    told = [q for q in written.reading.quantities if q.code in (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP)]
    assert len(told) > 40
    for quantity in told:
        same = [
            item
            for item in items
            if item["quantity"]["CodeValue"] == quantity.code.value
            and item.get("derivationModifier", {}).get("CodeValue") == (quantity.modifier and quantity.modifier.value)
            and float(item["value"]) == pytest.approx(quantity.value, rel=1e-12)
        ]
        assert same
        assert same[0]["units"]["CodeValue"] == quantity.unit.value


@pytest.mark.truth
def test_dcmqi_reads_back_the_maps_of_ktrans_kep_ve_and_vp(written: Written, tmp_path: Path) -> None:
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP):
        found = gates.parametric_map(written.maps[code.value], tmp_path / code.value)
        made = next(one for one in written.reading.maps if one.code == code).voxels
        defined = np.isfinite(made)
        assert (found.voxels[defined] == made[defined]).all()
        assert (found.voxels[~defined] < np.nanmin(made)).all()
        assert found.origin_mm == pytest.approx(np.array([-108.5, -108.5, -7.5]))


@pytest.mark.truth
def test_a_map_refers_to_every_series_that_it_was_calculated_from(written: Written) -> None:
    dynamics = {one.series_instance_uid for one in written.reading.measured if one.role is Role.DCE}
    ds = dcmread(written.maps[Dce.KTRANS.value], stop_before_pixels=True)
    assert {item.SeriesInstanceUID for item in ds.ReferencedSeriesSequence} == dynamics


def test_the_report_says_input_t1_and_agent(written: Written) -> None:
    said = list(texts(dcmread(written.report)))
    for words in ("arterial input given: Aorta", "T1 by flip angles 2, 5, 10, 15", "contrast agent Gadobutrol"):
        assert any(words in one for one in said)
    assert all(len(one) < 1024 for one in said)


def test_many_series_are_named_by_their_number_the_first_and_the_last(written: Written) -> None:
    said = list(texts(dcmread(written.report)))
    uids = next(q.series_uids for q in written.reading.quantities if q.code == Dce.KTRANS)
    several = series_names(written.reading, uids)
    assert any(one.startswith(several) for one in said)
    if len(uids) > 1:
        assert several == "20 series from series 20 'DCE dynamic' to series 39 'DCE dynamic'"
    else:
        assert several == "series 20 'DCE dynamic'"
