"""A network's estimate and its saliency map as objects: they pass the gates, at the right place, with DICOM's code."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from her2node import phantoms
from her2node.dicom.codes import Saliency
from her2node.phantoms import PhantomOptions, Phase
from her2node.reading import read
from her2node.reports import ObjectKind, write
from her2node.selection.study import open_study
from tests.models.image.made import beholder
from tests.reports import gates, making
from tests.reports.conftest import Case
from tests.reports.test_parametric_map import on_grid_of, stored_as

STAMP = replace(making.STAMP, predecessors=())
MAP = ObjectKind.PARAMETRIC_MAP


@pytest.fixture(scope="module", params=[phantoms.Form.CLASSIC, phantoms.Form.ENHANCED])
def looked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A study through the node with a network that looks at it, its crop reaching beyond the images."""
    folder = tmp_path_factory.mktemp("looked")
    options = PhantomOptions(
        seed=3, rows=64, columns=64, slices=16, slice_spacing_mm=5.0, form=request.param,
        phases=(Phase.ARTERIAL, Phase.PORTAL),
    )  # fmt: skip
    package = beholder(folder / "package", lambda m: m.replace("spacing_mm = [6.0", "spacing_mm = [15.0"))
    sources = tuple(p for p in phantoms.write(phantoms.ct.make(options), folder / "study") if p.suffix == ".dcm")
    reading = read(open_study(sources), [package])
    reports = write(reading, STAMP, (*making.MOST, MAP))
    return Case(sources, reading, {r.kind: r for r in reports}, making.write_files(reports, folder / "reports"))


def read_back(case: Case) -> Dataset:
    return dcmread(BytesIO(case.reports[MAP].content()))


@pytest.mark.truth
def test_the_objects_pass_the_gates_and_every_voxel_comes_back_at_its_place(looked: Case, tmp_path: Path) -> None:
    assert set(looked.files) >= {ObjectKind.REPORT, MAP}
    for kind, file in looked.files.items():
        assert gates.dciodvfy(file) == ([], []), kind
    found = gates.dcentvfy([*looked.files.values(), *looked.sources])
    ours = {str(file) for file in looked.files.values()}
    assert [line for line in found if any(file in line for file in ours)] == []
    (one,) = looked.reading.maps
    assert np.isnan(one.voxels).any()
    back = gates.parametric_map(looked.files[MAP], tmp_path)
    assert np.array_equal(on_grid_of(back, one), stored_as(one, looked.reports[MAP].dataset))
    assert back.said["QuantityValueCode"] == {
        "CodeMeaning": "Saliency", "CodeValue": "130404", "CodingSchemeDesignator": "DCM",
    }  # fmt: skip
    assert back.said["MeasurementUnitsCode"]["CodeValue"] == "1"
    assert back.said["MeasurementMethodCode"]["CodeValue"] == "SAL-OCCLUSION"


@pytest.mark.truth
def test_dcmqi_reads_back_the_estimate_from_the_report(looked: Case, tmp_path: Path) -> None:
    groups = gates.measurement_groups(looked.files[ObjectKind.REPORT], tmp_path)
    (answer,) = looked.reading.predictions[0].answers
    values = [
        float(item["value"])
        for group in groups
        for item in group["measurementItems"]
        if item["quantity"]["CodeValue"] == "P-HER2POS"
    ]
    assert values == [pytest.approx(answer.probability, rel=1e-12)]


def test_the_map_has_a_grid_of_its_own_whatever_the_images_are_like(looked: Case) -> None:
    ds, (one,) = read_back(looked), looked.reading.maps
    shared = ds.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    assert [float(step) for step in measures.PixelSpacing] == [5.0, 6.0]
    assert float(measures.SliceThickness) == float(measures.SpacingBetweenSlices) == 15.0
    assert [float(x) for x in shared.PlaneOrientationSequence[0].ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    for index, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        position = [float(x) for x in frame.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(one.geometry.to_patient((index, 0, 0)).tolist(), abs=1e-6)
    assert looked.reading.study.series_of(one.series_uids[0]) is not None
    assert len(ds.ReferencedSeriesSequence) == 2


def test_it_says_of_whose_estimate_it_is_and_how_to_read_it(looked: Case) -> None:
    ds = read_back(looked)
    assert "map Saliency, beholder, edition 2" in ds.SeriesDescription
    for said in ("beholder 1.0.0", "positive where", "blocks of 4 x 4 x 4", "portal 90 HU", "not for diagnosis"):
        assert said in ds.DerivationDescription
    assert len(ds.DerivationDescription) <= 1024
    made_by = [item.ManufacturerModelName for item in ds.ContributingEquipmentSequence]
    assert "beholder" in made_by


def test_the_report_says_what_the_network_looked_at(looked: Case) -> None:
    elements = looked.reports[ObjectKind.REPORT].dataset.iterall()
    said = [element.value for element in elements if element.keyword == "TextValue"]
    assert any("Looked at a crop of 8 x 12 x 10 voxels" in text for text in said)


def test_the_code_is_dicom_s() -> None:
    known = codes.DCM.Saliency
    assert (Saliency.CHANGE.value, Saliency.CHANGE.scheme) == (known.value, known.scheme_designator)
    assert Saliency.CHANGE.meaning == known.meaning
