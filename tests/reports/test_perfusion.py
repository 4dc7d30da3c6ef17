"""A study of nothing but perfusion is reported, with the method of every figure and what it was set to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.phantoms.flow import Tissue
from her2node.phantoms.perfusion import Layout, PerfusionOptions, make
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, write
from her2node.selection.study import open_study
from tests.reports import gates, making


def reading_of(folder: Path, layout: Layout) -> Reading:
    options = PerfusionOptions(
        seed=3,
        times_s=tuple(float(t) for t in range(0, 60, 3)),
        rows=64,
        columns=64,
        slices=6,
        slice_spacing_mm=8.0,
        noise_hu=3.0,
        tumour=Tissue(90, 0.12, 20, 0.2, 2.0),
        layout=layout,
    )
    return read(open_study(phantoms.write(make(options), folder)), ())


@pytest.mark.truth
@pytest.mark.parametrize("layout", [Layout.ONE_SERIES, Layout.SERIES_A_POINT, Layout.ENHANCED])
def test_every_object_of_a_perfusion_study_passes_dciodvfy(tmp_path: Path, layout: Layout) -> None:
    reports = write(reading_of(tmp_path / "study", layout), making.STAMP, making.ALL)
    assert {one.kind for one in reports} == set(ObjectKind) - {ObjectKind.COULD_NOT}
    for kind, file in making.write_files(reports, tmp_path / "reports").items():
        assert gates.dciodvfy(file) == ([], []), kind


def test_the_report_names_methods_and_parameters(tmp_path: Path) -> None:
    report = next(
        one
        for one in write(reading_of(tmp_path, Layout.ONE_SERIES), making.STAMP, (ObjectKind.REPORT,))
        if one.kind is ObjectKind.REPORT
    )
    said = set(texts(report.dataset))
    assert {"Absolute Regional Blood Flow", "CTP-2CXM", "ml/[100]g/min", "tissue density 1.05 g/ml"} <= said


def texts(ds: Dataset) -> Iterator[str]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from texts(item)
        elif element.keyword in {"TextValue", "CodeValue", "CodeMeaning"}:
            yield str(element.value)
