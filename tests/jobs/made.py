"""Small objects in a real spool and a real ledger, as the receiver leaves them there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from her2node.ledger import Ledger, open_ledger
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.spool import Session, Spool
from her2node.spool.file_meta import Sender

START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STUDY = "1.2.826.1.1"


def until(condition: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """Wait for ``condition`` to hold and return its value; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what or condition}"
        threading.Event().wait(0.02)
    return value


def ct(number: int, study: str = STUDY, series: str = "", **attributes: Any) -> Dataset:
    """One image of an arterial CT series, 2.5 mm after the one before, without pixels."""
    series = series or f"{study}.1"
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.FrameOfReferenceUID = f"{study}.9"
    ds.PatientID, ds.PatientName, ds.Modality = "P1", "Doe^Jane", "CT"
    ds.SeriesDescription, ds.SeriesNumber, ds.InstanceNumber = "Abdomen arterial phase", 2, number
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0.0, 0.0, 2.5 * number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [1.0, 1.0], 2.5, 4, 4
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset) -> bytes:
    """The data set's bytes, explicit VR little endian."""
    buffer = BytesIO()
    file = DicomFileLike(buffer)
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, ds)
    return buffer.getvalue()


@dataclass
class House:
    """A ledger and a spool in one folder, and the receiver that fills them."""

    folder: Path
    ledger: Ledger
    spool: Spool
    session: Session
    now: datetime = START
    sent: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.sqlite'}"

    def later(self, by: timedelta) -> datetime:
        self.now += by
        return self.now

    def receive(self, objects: Sequence[Dataset | bytes], *, released: bool = True, calling_ae: str = "PACS") -> str:
        """One association; bytes go in as they are, under the UIDs of an empty CT image."""
        folder = self.spool.open_association(self.session, Sender(calling_ae, "HER2NODE", "127.0.0.1"), self.now)
        name, arrivals = folder.association_id, []
        for number, item in enumerate(objects, 1):
            data = item if isinstance(item, bytes) else encoded(item)
            uid = f"1.2.826.9.{len(self.sent)}" if isinstance(item, bytes) else str(item.SOPInstanceUID)
            sop_class_uid = CTImageStorage if isinstance(item, bytes) else str(item.SOPClassUID)
            file = folder.begin(sop_class_uid, uid, ExplicitVRLittleEndian)
            file.write(memoryview(data))
            size = file.commit()
            self.sent.append(uid)
            arrivals.append(Arrival(name, number, sop_class_uid, uid, ExplicitVRLittleEndian, size, self.now))
        folder.close()
        opened = AssociationOpened(name, calling_ae, "HER2NODE", "127.0.0.1", self.now, "receive-1")
        ended = [AssociationEnded(name, self.now, "released", len(arrivals))] if released else []
        self.ledger.take_in([opened], arrivals, ended)
        return name

    def states(self, study: str = STUDY) -> dict[str, int]:
        return dict(self.ledger.study(study).instances)


def new_house(folder: Path) -> House:
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
    spool = Spool(folder / "spool")
    return House(folder, ledger, spool, spool.open_session())
