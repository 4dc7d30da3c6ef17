"""Hostile and broken objects go to a running node: refused or kept aside with a reason, other studies unharmed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node.ledger import open_ledger
from tests import hostile
from tests.orthanc import Orthanc
from tests.scenarios.node import Node, until
from tests.scenarios.sending import Sender, small_study
from tests.wire.peer import Peer, associate_rq

pytestmark = pytest.mark.servers
DEFLATED, EXPLICIT, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
CT = "1.2.840.10008.5.1.4.1.1.2"
WORKER_LIMIT_KIB = 2 * 2**20


def _data_set(content: bytes) -> bytes:
    """What comes after the file meta group of a DICOM file; the whole where there is none."""
    if content[128:132] != b"DICM" or len(content) < 144:
        return content
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


def _high_water_marks(node: Node) -> dict[int, int]:
    """VmHWM in KiB of every process of the node."""
    group = node.processes["up"].pid
    marks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            environment = (status.parent / "environ").read_bytes()
        except OSError:
            continue
        if f"HER2NODE_PARENT={group}".encode() in environment or f"\nPid:\t{group}\n" in text:
            found = re.search(r"VmHWM:\s+(\d+)", text)
            marks[int(status.parent.name)] = int(found.group(1)) if found else 0
    return marks


@pytest.mark.timeout(280)
def test_hostile_objects_harm_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", {"completion.quiet": 3})
    with Orthanc(tmp_path / "pacs", ae_title="PACS") as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.start()
        try:
            victim, files = small_study(tmp_path / "sound", 21)
            base = dcmread(files[0])
            base.StudyInstanceUID = "1.2.3.4.5.666"
            base.SeriesInstanceUID = "1.2.3.4.5.667"
            sent = _send_hostile(node, hostile.everything(base))
            assert sent > 50
            Sender(node.port).send(files)
            until(lambda: node.settled(victim), 150, "the sound study")
            assert len(pacs.instances(victim, "SEG")) == 1
            _every_hostile_object_has_its_reason(node, sent)
            assert node.alive()
            assert not [event for event in node.events() if event["event"] == "role-died"]
            assert max(_high_water_marks(node).values()) < WORKER_LIMIT_KIB
            assert not list(tmp_path.rglob("*passwd*"))
        finally:
            node.kill()


def _send_hostile(node: Node, pairs: object) -> int:
    """Send each as the data set of a C-STORE; how many were answered with Success."""
    stored = 0
    contexts = ((1, CT, (EXPLICIT,)), (3, CT, (DEFLATED,)), (5, CT, (JPEG,)))
    for number, (name, content) in enumerate(pairs):  # type: ignore[arg-type, var-annotated]
        with Peer(node.port) as peer:
            assert peer.associate(associate_rq(calling="PACS", contexts=contexts)) == 0x02, name
            body = _data_set(content)
            context = 3 if "deflate" in name else 5 if "jpeg" in name.lower() else 1
            if body:
                status = peer.store(f"1.2.3.666.{number + 1}", body, context_id=context)
                stored += status == 0
                assert status == 0 or 0xA000 <= status <= 0xCFFF or status in {0x0110, 0x0117, 0x0122}, (name, status)
            peer.release()
    return stored


def _every_hostile_object_has_its_reason(node: Node, sent: int) -> None:
    """Set aside with a reason, or filed in the hostile study, which ends with a reason too."""
    ledger = open_ledger(node.settings().ledger_url)
    try:
        until(lambda: not ledger.unfiled(1), 60, "everything is filed or set aside")
        aside = ledger.set_aside()
        assert all(item.reason for item in aside)
        lines = [line for line in ledger.studies() if line.instances]
        until(
            lambda: all(line.state in {"read", "refused", "failed"} for line in ledger.studies()),
            100,
            "every study ends",
        )
        assert all(line.reason for line in ledger.studies())
        assert sum(line.instances for line in lines) + len(aside) >= sent
    finally:
        ledger.close()


@pytest.mark.parametrize("spoil", ["other-patient", "no-frame-of-reference", "gantry-tilt", "missing-slice"])
def test_a_study_that_cannot_be_read_is_refused_by_name(spoil: str, tmp_path: Path) -> None:
    from her2node.phantoms import PhantomOptions, Phase, ct, mishaps, write

    study = ct.make(PhantomOptions(seed=31, rows=64, columns=64, slices=26, slice_spacing_mm=5.0))
    spoiled = {
        "other-patient": lambda: mishaps.other_patient(study, Phase.PLAIN),
        "no-frame-of-reference": lambda: mishaps.without_frame_of_reference(study),
        "gantry-tilt": lambda: mishaps.gantry_tilt(study),
        "missing-slice": lambda: mishaps.missing_slice(study),
    }[spoil]()
    named = {
        "other-patient": "conflicting-identity",
        "no-frame-of-reference": "no-frame-of-reference",
        "gantry-tilt": "gantry-tilt",
        "missing-slice": "missing-slices",
    }[spoil]
    files = write(spoiled, tmp_path / "study")
    node = Node(tmp_path / "node", {"completion.quiet": 2})
    node.start()
    try:
        Sender(node.port).send(files)
        until(lambda: (s := node.story(study.study_instance_uid)) and s.editions[-1].state in {"read", "refused"}, 100)
        assert named in node.run("status", study.study_instance_uid, "--json").stdout
        assert node.alive()
    finally:
        node.kill()
