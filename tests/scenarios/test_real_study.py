"""A real CT with a reader's outline goes to the node and comes back as SR and SEG in its own study."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.conftest import system_tool
from tests.orthanc import Orthanc
from tests.reports import gates
from tests.scenarios.node import ROOT, Node, until
from tests.scenarios.outline import WALL, ct_files, outline_stomach_wall

pytestmark = [pytest.mark.servers, pytest.mark.truth]

PORTAL_BY_RULE = {"selection.rules": [{"role": "portal", "patterns": {"StudyDescription": "ABD/PEL W/ CONTRAST"}}]}
COMPREHENSIVE_3D_SR, SEGMENTATION = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"


@dataclass
class Hospital:
    """A PACS, a node, the real study's files with the outline, and where to work."""

    pacs: Orthanc
    node: Node
    files: list[Path]
    study: str

    def results(self) -> list[Dataset]:
        """What the PACS holds of the study beside what was put there."""
        sent = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in self.files}
        new = [uid for uid in self.pacs.instances(self.study) if uid not in sent]
        return [dcmread(BytesIO(self.pacs.fetch(uid))) for uid in new]

    def fetched(self, folder: Path) -> dict[str, Path]:
        """What came back, as files: the text report, the outline and the segmentation by the title they bear."""
        folder.mkdir()
        found = {}
        for ds in self.results():
            title = ds.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in ds else ds.Modality
            found[str(title)] = folder / f"{title}.dcm"
            self.pacs.fetch(ds.SOPInstanceUID, found[str(title)])
        return found

    def store_all(self) -> None:
        """storescu straight to the node, as a modality would."""
        command = [system_tool("storescu"), "-R", "-aet", "ORTHANC", "-aec", "HER2NODE", "127.0.0.1"]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        subprocess.run([*command, str(self.node.port), *map(str, self.files)], check=True, env=environment)


@pytest.fixture
def hospital(tmp_path: Path, shared: Path) -> Iterator[Hospital]:
    node = Node(tmp_path / "node", {"completion.quiet": 30, **PORTAL_BY_RULE})
    lua = ROOT / "deploy" / "orthanc" / "her2node.lua"
    pacs = Orthanc(tmp_path / "pacs", modalities={"her2node": ("HER2NODE", node.port)}, lua=(lua,))
    node.peer("pacs", "ORTHANC", pacs.port)
    files = [*ct_files(shared), outline_stomach_wall(shared, tmp_path)]
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    with pacs:
        try:
            yield Hospital(pacs, node, files, study)
        finally:
            node.kill()


def _by_class(results: list[Dataset], sop_class: str) -> list[Dataset]:
    return [ds for ds in results if sop_class == ds.SOPClassUID]


def test_orthanc_routes_a_study_and_gets_report_and_segmentation_back(hospital: Hospital) -> None:
    hospital.node.start()
    for file in hospital.files:
        hospital.pacs.upload(file)
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    results = until(lambda: (found := hospital.results()) and len(found) >= 3 and found, 30, "results in the PACS")
    assert hospital.pacs.studies() == [hospital.study]
    assert len(_by_class(results, COMPREHENSIVE_3D_SR)) == 2
    assert len(_by_class(results, SEGMENTATION)) == 1
    for ds in results:
        assert ds.SeriesDescription.startswith("HER2 AI - not for diagnosis -")
        assert ds.PatientID == dcmread(hospital.files[0], stop_before_pixels=True).PatientID
    # The PACS routes the node's own SEG back by no rule of ours; were it to, nothing would start.
    story = hospital.node.story(hospital.study)
    assert story is not None
    assert len(story.editions) == 1
    until(lambda: set(hospital.node.deliveries(hospital.study)) == {"confirmed"}, 60, "confirmation by C-FIND")


@pytest.mark.soak
def test_what_the_pacs_gives_back_passes_the_gates_and_says_what_the_node_measured(
    hospital: Hospital, tmp_path: Path
) -> None:
    hospital.node.start()
    hospital.store_all()
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    files = hospital.fetched(tmp_path / "back")
    assert set(files) == {"126001", "126000", "SEG"}
    assert [line for file in files.values() for line in gates.dciodvfy(file)[0]] == []
    _check_the_set(hospital, files)
    for title in ("126001", "126000"):
        assert gates.run(system_tool("dsrdump"), "+U8", files[title]).returncode == 0
    assert gates.pixelmed(files["126001"]) == []
    misjudged = gates.pixelmed(files["126000"])
    assert all("Template 1410" in line and "Missing conditional content item" in line for line in misjudged), misjudged
    _check_voxels(hospital, files["SEG"], tmp_path / "segments")
    _check_numbers(hospital, files["126001"], tmp_path)


def _check_the_set(hospital: Hospital, files: dict[str, Path]) -> None:
    """dcentvfy finds nothing about the node's objects but what already parts the reader's SEG from the CT."""
    ours, readers = {str(file) for file in files.values()}, str(hospital.files[-1])
    before = {_element(line) for line in gates.dcentvfy(hospital.files) if readers in line}
    found = [line for line in gates.dcentvfy([*files.values(), *hospital.files]) if any(file in line for file in ours)]
    assert [line for line in found if not (readers in line and _element(line) in before)] == []


def _element(line: str) -> str:
    return line.partition("Element=<")[2].partition(">")[0]


def _check_voxels(hospital: Hospital, seg: Path, folder: Path) -> None:
    """dcmqi reads from the node's SEG what dcmqi wrote into the reader's."""
    (ours,), (theirs,) = gates.segments(seg, folder / "ours"), gates.segments(hospital.files[-1], folder / "theirs")
    assert ours.positions_mm() == pytest.approx(theirs.positions_mm(), abs=0.011)
    assert ours.said["TrackingUniqueIdentifier"] == theirs.said["TrackingUniqueIdentifier"]


def _check_numbers(hospital: Hospital, report: Path, folder: Path) -> None:
    """dcmqi reads from the report what the outlined block of voxels gives by itself."""
    slices = [dcmread(file) for file in hospital.files[:-1]]
    slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    voxels = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])[WALL]
    step = float(slices[1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])
    volume = voxels.size * float(np.prod(slices[0].PixelSpacing)) * step
    (group,) = (g for g in gates.measurement_groups(report, folder) if g["TrackingIdentifier"] == "wall-1")
    read_back = {
        (item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")): float(item["value"])
        for item in group["measurementItems"]
    }
    assert read_back["112031", "373098007"] == pytest.approx(voxels.mean(), rel=1e-6)
    assert read_back["112031", "386136009"] == pytest.approx(voxels.std(ddof=1), rel=1e-6)
    assert read_back["118565006", None] == pytest.approx(volume, rel=1e-6)


def test_storescu_straight_to_the_node_gives_the_same(hospital: Hospital) -> None:
    hospital.node.start()
    hospital.store_all()
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    assert len(_by_class(hospital.results(), COMPREHENSIVE_3D_SR)) == 2
    assert len(_by_class(hospital.results(), SEGMENTATION)) == 1


def test_without_the_site_rule_the_images_name_the_phase(hospital: Hospital) -> None:
    hospital.node.keys.pop("selection.rules")
    hospital.node.write({"completion.quiet": 3})
    hospital.node.start()
    hospital.store_all()
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    story = hospital.node.story(hospital.study)
    assert story is not None
    summary = json.loads(story.editions[-1].summary or "{}")
    assert "portal" in summary["roles"].values()
    estimates = [one["package"] for one in summary["estimates"]]
    assert estimates == ["lee2017-portal-liver@1.1.0", "zheng-portal-node@1.0.0"]


def test_without_site_rule_and_images_the_package_is_refused_by_name(hospital: Hospital) -> None:
    hospital.node.keys.pop("selection.rules")
    hospital.node.write({"completion.quiet": 3, "selection.images": False})
    hospital.node.start()
    hospital.store_all()
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    story = hospital.node.run("status", hospital.study, "--json").stdout
    assert "role-missing" in story
    assert "lee2017-portal-liver" in story
    assert "contrast-unspecified" in story


def test_our_own_results_routed_back_start_nothing(hospital: Hospital, tmp_path: Path) -> None:
    hospital.node.start()
    hospital.store_all()
    until(lambda: hospital.node.settled(hospital.study), 90, "delivered results")
    results = hospital.results()
    files = []
    for number, ds in enumerate(results):
        file = tmp_path / f"back-{number}.dcm"
        ds.save_as(file, enforce_file_format=True)
        files.append(str(file))
    command = [system_tool("storescu"), "-R", "-aet", "ORTHANC", "-aec", "HER2NODE", "127.0.0.1"]
    subprocess.run([*command, str(hospital.node.port), *files], check=True, env={**os.environ, "TCP_NODELAY": "1"})
    story = until(
        lambda: (s := hospital.node.story(hospital.study)) and s.instances.get("own") == len(files) and s,
        30,
        "own objects",
    )
    assert len(story.editions) == 1
