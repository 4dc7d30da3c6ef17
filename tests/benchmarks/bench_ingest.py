"""How fast objects come in: the node beside stock pynetdicom, Orthanc and storescp.

``python -m tests.benchmarks.bench_ingest [--quick] [--rounds N]``. Senders (DCMTK storescu) share the machine with the
server. Stock pynetdicom syncs like the node, Orthanc syncs its storage, storescp does not sync: it is the ceiling.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.candidates import Candidate, start_all
from tests.conftest import system_tool
from tests.wire.peer import CT, EXPLICIT, P_DATA, VERIFICATION, Peer, associate_rq, pdu, pdv, store_rq, uid

OURS, STOCK, ORTHANC, STORESCP = "her2node", "stock pynetdicom", "Orthanc", "storescp --fork"
CANDIDATES = [OURS, f"{OURS} x2", STOCK, ORTHANC, STORESCP]
SETS = {"CT": (525_000, 400), "MR": (32_700, 1000), "SR": (1_500, 1000)}
"""Bytes of an object and how many are sent."""
SENDERS = (1, 4, 8)
SR_CLASS = "1.2.840.10008.5.1.4.1.1.88.34"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
CLASSES = {"CT": CT, "MR": MR_CLASS, "SR": SR_CLASS}

Figures = dict[tuple[str, int, str], list[tuple[float, float]]]
"""Set, senders and candidate to (instances a second, CPU seconds for 1000) of each round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the objects, once: for a first look")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: a temporary folder)")
    parser.add_argument("--only", nargs="*", default=CANDIDATES, choices=CANDIDATES)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="bench-ingest-"))
    candidates: list[Candidate] = []
    try:
        sources = make_sources(folder / "sources", 4 if options.quick else 1)
        candidates = start_all(folder, options.only)
        print_costs(candidates)
        print_figures(measure(candidates, sources, 1 if options.quick else options.rounds), options.only)
    finally:
        for candidate in candidates:
            candidate.stop()
        shutil.rmtree(folder)  # after the run: where much was just removed, ext4 makes new files slowly


# --- objects -------------------------------------------------------------------------------------------------


def make_sources(folder: Path, divisor: int) -> dict[tuple[str, int], list[Path]]:
    """For each set and number of senders a folder for each sender."""
    sources = {}
    for name, (size, count) in SETS.items():
        for senders in SENDERS:
            folders = [folder / f"{name}-{senders}-{sender}" for sender in range(senders)]
            for sender, place in enumerate(folders):
                place.mkdir(parents=True)
                for number in range(max(count // divisor // senders, 1)):
                    write_object(
                        place / f"{number}.dcm", CLASSES[name], f"1.2.{senders}.{sender}.{number}.{size}", size
                    )
            sources[name, senders] = folders
    return sources


def write_object(path: Path, sop_class: str, instance: str, size: int) -> None:
    """An object with what Orthanc wants to know, and private bulk of ``size`` bytes."""
    data = b"".join(
        (
            short(0x0008, 0x0016, b"UI", uid(sop_class)),
            short(0x0008, 0x0018, b"UI", uid(instance)),
            short(0x0008, 0x0060, b"CS", b"OT"),
            short(0x0010, 0x0020, b"LO", b"BENCH "),
            short(0x0020, 0x000D, b"UI", uid("1.2.3")),
            short(0x0020, 0x000E, b"UI", uid("1.2.3.4")),
            short(0x0043, 0x0010, b"LO", b"HER2NODE BENCH"),
            struct.pack("<HH2s2xI", 0x0043, 0x1001, b"OB", size + size % 2) + os.urandom(size + size % 2),
        )
    )
    meta = b"".join(
        (
            struct.pack("<HH2s2xI", 2, 1, b"OB", 2) + b"\x00\x01",
            short(2, 2, b"UI", uid(sop_class)),
            short(2, 3, b"UI", uid(instance)),
            short(2, 0x10, b"UI", uid(EXPLICIT)),
            short(2, 0x12, b"UI", uid("1.2.3.4")),
        )
    )
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    path.write_bytes(bytes(128) + b"DICM" + length + meta + data)


def short(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


# --- speed ---------------------------------------------------------------------------------------------------


def measure(candidates: list[Candidate], sources: dict[tuple[str, int], list[Path]], rounds: int) -> Figures:
    figures: Figures = defaultdict(list)
    for turn in range(rounds):
        for (name, senders), folders in sources.items():
            for candidate in candidates:
                figures[name, senders, candidate.name].append(send(candidate, folders))
        print(f"round {turn + 1} of {rounds} done", file=sys.stderr)
    return figures


def send(candidate: Candidate, folders: list[Path]) -> tuple[float, float]:
    """Send the folders at once, one association each."""
    count = sum(len(list(folder.iterdir())) for folder in folders)
    command = [system_tool("storescu"), "-R", "-pdu", "131072", "-aec", "HER2NODE", "+sd", "localhost"]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    used, began = candidate.cpu_seconds(), time.monotonic()
    processes = [
        subprocess.Popen([*command, str(candidate.port), str(folder)], env=environment, stderr=subprocess.DEVNULL)
        for folder in folders
    ]
    if any([process.wait() for process in processes]):  # noqa: C419 - wait for all of them
        raise RuntimeError(f"{candidate.name} did not take everything")
    seconds = time.monotonic() - began
    time.sleep(0.05)  # for children that are just ending
    return count / seconds, (candidate.cpu_seconds() - used) * 1000 / count


def print_figures(figures: Figures, names: list[str]) -> None:
    print("\ninstances a second (server CPU seconds for 1000), medians")
    print(f"{'set, senders':14}" + "".join(f"{name:>20}" for name in names))
    for name in SETS:
        for senders in SENDERS:
            cells = []
            for candidate in names:
                rates, cpus = zip(*figures[name, senders, candidate], strict=True)
                cells.append(f"{statistics.median(rates):.0f} ({statistics.median(cpus):.2f})")
            print(f"{name + ' ' + str(senders):14}" + "".join(f"{cell:>20}" for cell in cells))
    others = [other for other in (STOCK, ORTHANC, STORESCP) if other in names]
    if OURS not in names or not others:
        return
    print("\nthe node as a multiple of (median of the rounds' ratios; lowest - highest)")
    print(f"{'set, senders':14}" + "".join(f"{other:>26}" for other in others))
    for name in SETS:
        for senders in SENDERS:
            cells = [ratio(figures, (name, senders), other) for other in others]
            print(f"{name + ' ' + str(senders):14}" + "".join(f"{cell:>26}" for cell in cells))


def ratio(figures: Figures, key: tuple[str, int], other: str) -> str:
    pairs = zip(figures[(*key, OURS)], figures[(*key, other)], strict=True)
    ratios = sorted(ours[0] / theirs[0] for ours, theirs in pairs)
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})"


# --- costs ---------------------------------------------------------------------------------------------------


def print_costs(candidates: list[Candidate]) -> None:
    print(
        f"{'':20}{'echo ms':>9}{'100 contexts':>14}{'64 idle: CPU %':>16}{'echo ms':>9}{'MB before':>11}{'after':>7}"
        f"{'4 GiB claim: MB':>17}"
    )
    for candidate in candidates:
        line = f"{candidate.name:20}{echo_ms(candidate, 1):9.1f}{echo_ms(candidate, 100):14.1f}"
        if candidate.name == ORTHANC:
            print(line + "   (its threads are bounded: 64 idle associations block it)")
            continue
        before = candidate.memory_mb()
        with ExitStack() as stack:
            for _ in range(63):
                stack.enter_context(Peer(candidate.port)).associate()
            used, began = candidate.cpu_seconds(), time.monotonic()
            time.sleep(2)
            share = (candidate.cpu_seconds() - used) / (time.monotonic() - began) * 100
            after, busy = candidate.memory_mb(), echo_ms(candidate, 1)
        print(line + f"{share:16.1f}{busy:9.1f}{before:11.0f}{after:7.0f}{claim_mb(candidate):17.0f}", flush=True)


def echo_ms(candidate: Candidate, count: int, times: int = 30) -> float:
    """Associate with ``count`` contexts, echo, release: median."""
    contexts = [(2 * number + 1, VERIFICATION if number % 2 == 0 else CT, (EXPLICIT,)) for number in range(count)]
    spent = []
    for _ in range(times):
        began = time.monotonic()
        with Peer(candidate.port) as peer:
            peer.associate(associate_rq(contexts=contexts))
            peer.echo()
            peer.release()
        spent.append((time.monotonic() - began) * 1000)
    return statistics.median(spent)


def claim_mb(candidate: Candidate) -> float:
    """Growth while a peer claims a PDU of 4 GiB and sends 200 MB of it."""
    before = candidate.memory_mb()
    largest = before
    with Peer(candidate.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, 3, store_rq("1.2.3"))))
        peer.send(struct.pack(">BxI", P_DATA, 2**32 - 1) + struct.pack(">IBB", 2**32 - 5, 3, 0))
        try:
            for _ in range(200):
                peer.send(bytes(2**20))
                largest = max(largest, candidate.memory_mb())
        except OSError:
            return largest - before
    return largest - before


if __name__ == "__main__":
    main()
