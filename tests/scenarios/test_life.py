"""A node's everyday life: studies sent twice, interleaved, late, corrected; the PACS away; values entered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node.phantoms import Phase
from tests.orthanc import Orthanc
from tests.scenarios.node import Node, until
from tests.scenarios.sending import Sender, small_study

pytestmark = pytest.mark.servers
SR = "1.2.840.10008.5.1.4.1.1.88.34"


class Ward:
    """One PACS and one node for the tests of this module."""

    def __init__(self, pacs: Orthanc, node: Node, folder: Path) -> None:
        self.pacs, self.node, self.folder = pacs, node, folder

    def sender(self) -> Sender:
        return Sender(self.node.port, "PACS")

    def study(self, seed: int, **options: object) -> tuple[str, list[Path]]:
        return small_study(self.folder / f"study-{seed}-{len(options)}", seed, **options)

    def settled(self, study: str, editions: int = 1) -> None:
        until(lambda: self.node.settled(study, editions), 90, f"{editions} editions delivered")

    def reports(self, study: str) -> list[Dataset]:
        found = [dcmread(BytesIO(self.pacs.fetch(uid))) for uid in self.pacs.instances(study, "SR")]
        return [ds for ds in found if ds.ConceptNameCodeSequence[0].CodeValue == "126001"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    pacs = Orthanc(folder / "pacs")
    node = Node(folder / "node")
    node.peer("pacs", "PACS", pacs.port)
    pacs.ae_title = "PACS"
    with pacs:
        node.start()
        try:
            yield Ward(pacs, node, folder)
        finally:
            node.kill()


def test_the_same_study_sent_twice_is_read_once(ward: Ward) -> None:
    study, files = ward.study(1)
    ward.sender().send(files)
    ward.settled(study)
    ward.sender().send(files)
    story = until(lambda: (s := ward.node.story(study)) and s.instances.get("duplicate") == len(files) and s, 30)
    assert [edition.number for edition in story.editions] == [1]
    assert len(ward.reports(study)) == 1


def test_interleaved_studies_are_kept_apart(ward: Ward) -> None:
    (one, files_one), (two, files_two) = ward.study(2), ward.study(3)
    threads = [threading.Thread(target=ward.sender().send, args=(files,)) for files in (files_one, files_two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mixed = [file for pair in zip(files_one, files_two, strict=True) for file in pair]
    ward.sender().send(mixed)  # both in one association, too: nothing new
    for study, files in ((one, files_one), (two, files_two)):
        ward.settled(study)
        story = ward.node.story(study)
        assert story is not None
        assert story.instances["filed"] == len(files)
        assert len(ward.reports(study)) == len(story.editions) == 1


def test_a_late_series_makes_a_new_edition_that_names_its_predecessor(ward: Ward) -> None:
    phases = (Phase.PLAIN, Phase.ARTERIAL, Phase.PORTAL)
    study, files = ward.study(4, phases=phases)
    ward.sender().send(files)
    ward.settled(study)
    first = ward.reports(study)
    _, late = ward.study(4, phases=(Phase.EQUILIBRIUM,), rois=())
    ward.sender().send(late)
    ward.settled(study, editions=2)
    reports = ward.reports(study)
    assert len(reports) == 2
    (second,) = [ds for ds in reports if ds.SOPInstanceUID != first[0].SOPInstanceUID]
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert first[0].SOPInstanceUID in {item.ReferencedSOPInstanceUID for item in named}


def test_a_corrected_region_makes_a_new_edition(ward: Ward) -> None:
    study, files = ward.study(5)
    ward.sender().send(files)
    ward.settled(study)
    seg = next(file for file in files if dcmread(file, stop_before_pixels=True).Modality == "SEG")
    ds = dcmread(seg)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID[:-3]}777"
    ds.ContentTime = "235959"
    ds.ContentDate = "20300101"
    corrected = ward.folder / "corrected.dcm"
    ds.save_as(corrected, enforce_file_format=True)
    ward.sender().send([corrected])
    ward.settled(study, editions=2)
    assert len(ward.reports(study)) == 2


def test_what_a_reader_enters_makes_a_new_edition_with_one_answer(ward: Ward) -> None:
    study, files = ward.study(6)
    ward.sender().send(files)
    ward.settled(study)
    ward.node.run("enter", study, "hepatic_metastasis=1", "portal_hyperattenuation=1")
    ward.settled(study, editions=2)
    texts = [_texts(ds) for ds in ward.reports(study)]
    assert sum(any("4 of 4, if" in text for text in said) for said in texts) == 1
    assert sum(any("hepatic_metastasis = 1 (entered" in text for text in said) for said in texts) == 1


def _texts(ds: Dataset) -> list[str]:
    """Every TEXT value of a report."""
    found = [str(ds.TextValue)] if "TextValue" in ds else []
    return found + [text for item in ds.get("ContentSequence", []) for text in _texts(item)]


def test_rerun_and_resend_leave_one_result_set_an_edition(ward: Ward) -> None:
    study, files = ward.study(7)
    ward.sender().send(files)
    ward.settled(study)
    ward.node.run("resend", study)
    ward.settled(study)
    assert len(ward.reports(study)) == 1
    ward.node.run("rerun", study)
    ward.settled(study, editions=2)
    assert len(ward.reports(study)) == 2


def test_the_pacs_goes_away_and_comes_back_and_gets_everything(ward: Ward) -> None:
    study, files = ward.study(8)
    ward.pacs.kill()
    ward.sender().send(files)
    until(lambda: any(e.get("event") == "delivery-postponed" for e in ward.node.events()), 90, "a postponed delivery")
    ward.pacs.start()
    ward.settled(study)
    until(lambda: len(ward.reports(study)) == 1, 30)


def test_objects_of_an_unknown_sender_are_held_and_the_lines_to_add_are_printed(ward: Ward) -> None:
    study, files = ward.study(9)
    Sender(ward.node.port, "STRANGER").send(files)
    until(lambda: (s := ward.node.story(study)) and s.editions[-1].state == "read", 90)
    assert set(ward.node.deliveries(study)) == {"held"}
    listing = ward.node.run("status").stdout
    assert "[peers.stranger]" in listing
    assert 'ae = "STRANGER"' in listing
    assert 'host = "127.0.0.1"  # where it called from' in listing
    assert 'host = "127.0.0.1"' in ward.node.run("status", study).stdout
    remedies = [str(e["remedy"]) for e in ward.node.events() if e["event"] == "result-held"]
    assert any("[peers.stranger]" in remedy and 'host = "127.0.0.1"' in remedy for remedy in remedies)


def test_logs_hold_no_patient(ward: Ward) -> None:
    study, files = ward.study(10)
    ward.sender().send(files)
    ward.settled(study)
    ds = dcmread(files[0], stop_before_pixels=True)
    text = ward.node.log.read_text()
    for word in (str(ds.PatientID), str(ds.PatientName.family_name), str(ds.PatientBirthDate)):
        assert word
        assert word not in text


def test_status_tells_the_time_of_each_step(ward: Ward) -> None:
    study, files = ward.study(11)
    ward.sender().send(files)
    ward.settled(study)
    told = ward.node.run("status", study).stdout
    for word in ("received and completed", "waited for a worker", "analysed", "delivered", "edition 1 read"):
        assert word in told
