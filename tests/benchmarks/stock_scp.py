"""Stock pynetdicom, as durable as the node: ``python -m tests.benchmarks.stock_scp PORT FOLDER``."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from her2node.spool.durable import one_commit_holds_both


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    enough = one_commit_holds_both(folder)
    numbers = itertools.count()

    def store(event: evt.Event) -> int:
        part = folder / f"{next(numbers)}.part"
        with part.open("wb") as file:
            file.write(event.encoded_dataset())
            file.flush()
            part.rename(part.with_suffix(".dcm"))
            os.fsync(file.fileno())
        if not enough:
            os.fsync(descriptor)
        return 0x0000

    ae = AE("HER2NODE")
    ae.maximum_associations = 100
    ae.maximum_pdu_size = 131_072
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main()
