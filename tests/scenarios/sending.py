"""A sender that keeps book: it sends until every object was answered with Success, however often it must call."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE

from her2node.phantoms import PhantomOptions, RoiForm, ct, write

SMALL = {"rows": 64, "columns": 64, "slices": 26, "slice_spacing_mm": 5.0}


def small_study(folder: Path, seed: int, **options: object) -> tuple[str, list[Path]]:
    """A four-phase study of 104 images and a segmentation; its UID and files."""
    study = ct.make(PhantomOptions(seed=seed, **{"rois": (RoiForm.BINARY,), **SMALL, **options}))  # type: ignore[arg-type]
    return study.study_instance_uid, write(study, folder)


class Sender:
    """Sends files to the node as ``ae``; ``acknowledged`` holds the SOP Instance UIDs answered with Success."""

    def __init__(self, port: int, ae: str = "PACS") -> None:
        self.port, self.ae = port, ae
        self.acknowledged: set[str] = set()

    def send(self, files: Sequence[Path], seconds: float = 120) -> None:
        """Send all, again and again what was not answered."""
        waiting = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): file for file in files}
        deadline = time.monotonic() + seconds
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} objects were not answered with Success"
            for uid in self._try(waiting):
                del waiting[uid]
                self.acknowledged.add(uid)
            if waiting:
                threading.Event().wait(0.2)

    def _try(self, waiting: dict[str, Path]) -> list[str]:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return []
        ae = AE(ae_title=self.ae)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        for uid in {str(dcmread(file, stop_before_pixels=True).SOPClassUID) for file in waiting.values()}:
            ae.add_requested_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        assoc = ae.associate("127.0.0.1", self.port, ae_title="HER2NODE")
        done: list[str] = []
        if not assoc.is_established:
            return done
        try:
            for uid, file in waiting.items():
                status = assoc.send_c_store(file)
                if status.get("Status") != 0:
                    break
                done.append(uid)
        except (RuntimeError, ValueError, OSError):  # the association went away under a send
            pass
        if assoc.is_established:
            assoc.release()
        return done
