"""Real senders: DCMTK's storescu and dcmsend, and pynetdicom."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context

from her2node.dicom.uids import is_valid_uid
from her2node.dimse.contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from tests.conftest import system_tool
from tests.wire.certificates import Authority
from tests.wire.conftest import NodeMaker
from tests.wire.node import Node, until
from tests.wire.peer import A_ASSOCIATE_AC, A_RELEASE_RP, CT, Peer


def dcmtk(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [system_tool(tool), *map(str, arguments)],
        env={**os.environ, "TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def make_objects(folder: Path, count: int, pixel_bytes: int = 4096, syntax: str = ExplicitVRLittleEndian) -> list[str]:
    folder.mkdir()
    instances = []
    for number in range(count):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.SOPClassUID = CT
        ds.SOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        ds.PatientID, ds.PatientName, ds.Modality = "p", "P", "CT"
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = pixel_bytes // 512, 256, 16, 16, 15
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.PixelData = bytes(index % 256 for index in range(pixel_bytes))
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        instances.append(str(ds.SOPInstanceUID))
    return sorted(instances)


def stored(node: Node) -> list[str]:
    return sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in node.files())


def test_echoscu_is_answered(node: Node) -> None:
    assert dcmtk("echoscu", "-aec", "HER2NODE", "localhost", node.port).returncode == 0


@pytest.mark.parametrize("pdu", [4096, 16384, 131072])
def test_storescu_stores_everything(node: Node, tmp_path: Path, pdu: int) -> None:
    instances = make_objects(tmp_path / "in", 20, 102_400)
    done = dcmtk("storescu", "-pdu", pdu, "-aec", "HER2NODE", "+sd", "localhost", node.port, tmp_path / "in")
    assert done.returncode == 0, done.stderr
    assert stored(node) == instances
    until(lambda: node.ledger.instances() == instances)


def test_dcmsend_stores_over_several_associations(node: Node, tmp_path: Path) -> None:
    instances = make_objects(tmp_path / "in", 5)
    done = dcmtk("dcmsend", "+ma", "-aec", "HER2NODE", "+sd", "localhost", node.port, tmp_path / "in")
    assert done.returncode == 0, done.stderr
    assert stored(node) == instances


def bytes_after_meta(path: Path) -> bytes:
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        pydicom.filereader._read_file_meta_info(file)
        return file.read()


@pytest.mark.truth
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # some of these files are odd on purpose
def test_objects_of_every_transfer_syntax_come_in_byte_for_byte(
    node: Node, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, contexts = {}, set()
    for path in sorted((shared / "data/transfer-syntaxes").rglob("*.dcm")):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        if ds.get("SOPClassUID") in STORAGE_CLASSES and is_valid_uid(ds.SOPInstanceUID):
            key = (ds.SOPInstanceUID, ds.file_meta.TransferSyntaxUID)
            sources.setdefault(key, path)
            contexts.add((ds.SOPClassUID, ds.file_meta.TransferSyntaxUID))
    assert len({syntax for _, syntax in sources}) >= 15
    monkeypatch.setattr(pynetdicom._config, "STORE_SEND_CHUNKED_DATASET", True)  # sends a file as it is
    proposed = [build_context(*context) for context in sorted(contexts)]
    assoc = AE("SENDER").associate("127.0.0.1", node.port, proposed, ae_title="HER2NODE")
    for path in sources.values():
        assert assoc.send_c_store(path).Status == 0
    assoc.release()
    received = {}
    for path in node.files():
        meta = pydicom.filereader.read_file_meta_info(path)
        received[(meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)] = path
    assert received.keys() == sources.keys()
    for key, path in sources.items():
        assert bytes_after_meta(received[key]) == bytes_after_meta(path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_pynetdicom_stores(node: Node, tmp_path: Path, syntax: str) -> None:
    make_objects(tmp_path / "in", 1, syntax=syntax)
    path = tmp_path / "in/0.dcm"
    assoc = AE("SENDER").associate("127.0.0.1", node.port, [build_context(CT, syntax)], ae_title="HER2NODE")
    assert assoc.send_c_store(path).Status == 0
    assoc.release()
    assert assoc.is_released
    (path,) = node.files()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax


def test_every_class_is_accepted_in_every_syntax_one_at_a_time(node: Node) -> None:
    ae = AE("SENDER")
    pairs = [(sop_class, syntax) for sop_class in (VERIFICATION, *STORAGE_CLASSES) for syntax in TRANSFER_SYNTAXES]
    for start in range(0, len(pairs), 128):
        contexts = [build_context(*pair) for pair in pairs[start : start + 128]]
        assoc = ae.associate("127.0.0.1", node.port, contexts, ae_title="HER2NODE")
        assert len(assoc.accepted_contexts) == len(contexts)
        assoc.release()


def test_tls_and_plain_ports_serve_side_by_side(make_node: NodeMaker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    tls = {"port": free_port(), "certificate": certificate, "key": key, "ca": authority.file}
    node = make_node(port=free_port(), tls=tls)
    instances = make_objects(tmp_path / "in", 10, 204_800)
    client_certificate, client_key = authority.issue("scu")
    secured = ("+tls", client_key, client_certificate, "+cf", authority.file)
    plain_port, tls_port = node.receiver.ports
    to = ("-aec", "HER2NODE", "+sd", "localhost")
    done = dcmtk("storescu", *secured, *to, tls_port, tmp_path / "in")
    assert done.returncode == 0, done.stderr
    assert stored(node) == instances
    assert dcmtk("storescu", *to, plain_port, tmp_path / "in").returncode == 0
    assert len(node.files()) == 2 * len(instances)


def test_a_peer_without_certificate_is_turned_away_where_one_is_required(make_node: NodeMaker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    tls = {"port": free_port(), "certificate": certificate, "key": key, "ca": authority.file}
    node = make_node(tls=tls)
    port = node.receiver.ports[-1]
    with pytest.raises((OSError, AssertionError)), Peer(port, authority.client_context(None)) as stranger:
        assert stranger.associate() == A_ASSOCIATE_AC
    with Peer(port, authority.client_context()) as friend:
        assert friend.associate() == A_ASSOCIATE_AC
        assert friend.echo() == 0
        assert friend.release() == A_RELEASE_RP


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
