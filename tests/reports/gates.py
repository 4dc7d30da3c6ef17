"""The tools of others that a report must pass."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import system_tool, tool

PIXELMED = Path("/usr/share/java/pixelmed.jar")
PRIVATE_SCHEME_WARNING = "Unrecognized defined term <99HER2NODE>"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, errors="replace", timeout=240, check=False, env=environment,
    )  # fmt: skip


def dciodvfy(file: Path) -> tuple[list[str], list[str]]:
    """(errors, warnings but that of the private scheme) of one object."""
    done = run(tool("dciodvfy"), file)
    said = (done.stdout + done.stderr).splitlines()
    errors = [line for line in said if line.startswith("Error")]
    warnings = [line for line in said if line.startswith("Warning") and PRIVATE_SCHEME_WARNING not in line]
    assert done.returncode == (1 if errors else 0), said
    return errors, warnings


def dcentvfy(files: Sequence[Path]) -> list[str]:
    """What is wrong with a set of objects, but the AccessionNumber line that every SR brings about."""
    done = run(tool("dcentvfy"), *files)
    said = (done.stdout + done.stderr).splitlines()
    return [line for line in said if line.strip() and "Element=<AccessionNumber>" not in line]


def measurement_groups(file: Path, folder: Path) -> list[dict[str, Any]]:
    """What dcmqi reads back from a TID 1500 report."""
    out = folder / "report.json"
    done = run(tool("tid1500reader"), "--inputDICOM", file, "--outputMetadata", out)
    assert done.returncode == 0, done.stdout + done.stderr
    groups: list[dict[str, Any]] = json.loads(out.read_text())["Measurements"]
    return groups


@dataclass(frozen=True)
class Segment:
    """A segment as dcmqi reads it: voxels (slices, rows, columns), origin in mm, what is said of it."""

    voxels: npt.NDArray[np.bool_]
    origin_mm: npt.NDArray[np.float64]
    steps_mm: npt.NDArray[np.float64]
    said: dict[str, Any]

    def positions_mm(self) -> npt.NDArray[np.float64]:
        """The centres of its voxels, sorted."""
        found = np.argwhere(self.voxels)[:, ::-1] @ self.steps_mm + self.origin_mm
        return found[np.lexsort(np.round(found, 2).T)]


def segments(file: Path, folder: Path) -> list[Segment]:
    """What dcmqi reads back from a SEG."""
    folder.mkdir(parents=True, exist_ok=True)
    done = run(tool("segimage2itkimage"), "--inputDICOM", file, "--outputDirectory", folder, "-t", "nrrd", "-p", "seg")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads((folder / "seg-meta.json").read_text())["segmentAttributes"]
    found = []
    for number, attributes in enumerate(said, start=1):
        labels, origin, steps = _nrrd(folder / f"seg-{number}.nrrd")
        found += [Segment(labels == one["labelID"], origin, steps, one) for one in attributes]
    return found


@dataclass(frozen=True)
class Map:
    """A parametric map as dcmqi reads it: voxels (slices, rows, columns), origin in mm, steps in mm, what is said."""

    voxels: npt.NDArray[Any]
    origin_mm: npt.NDArray[np.float64]
    steps_mm: npt.NDArray[np.float64]
    said: dict[str, Any]


def parametric_map(file: Path, folder: Path) -> Map:
    """What dcmqi reads back from a parametric map."""
    folder.mkdir(parents=True, exist_ok=True)
    done = run(tool("paramap2itkimage"), "--inputDICOM", file, "--outputDirectory", folder, "-t", "nrrd")
    assert done.returncode == 0, done.stdout + done.stderr
    return Map(*_nrrd(folder / "pmap.nrrd"), json.loads((folder / "meta.json").read_text()))


def _nrrd(file: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    header, _, content = file.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    assert (fields["encoding"], fields["space"]) == ("gzip", "left-posterior-superior")
    sizes = [int(size) for size in fields["sizes"].split()]
    voxels = np.frombuffer(gzip.decompress(content), dtype={"short": "<i2", "float": "<f4"}[fields["type"]]).reshape(
        sizes[::-1]
    )
    origin = np.array([float(number) for number in fields["space origin"].strip("()").split(",")])
    steps = [[float(n) for n in step.split(",")] for step in re.findall(r"\(([^)]*)\)", fields["space directions"])]
    return voxels, origin, np.array(steps)


def pixelmed(file: Path) -> list[str]:
    """PixelMed's errors on an SR; it exits 0 in any case, so its last word is asked for too."""
    if not PIXELMED.exists():
        pytest.skip("libpixelmed-java is not installed: run `bash tests/run` as root, which installs it")
    limits = ("-Djdk.xml.xpathTotalOpLimit=0", "-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0")
    done = run(system_tool("java"), "-Xss16m", *limits, "-cp", PIXELMED, "com.pixelmed.validate.DicomSRValidator", file)
    said = (done.stdout + done.stderr).splitlines()
    assert any("Root Template Validation Complete" in line for line in said), said[-20:]
    return [line for line in said if line.startswith("Error")]


def dcmdump(file: Path, *keywords: str) -> str:
    """DCMTK's view of some elements, converted to UTF-8."""
    wanted = [part for keyword in keywords for part in ("+P", keyword)]
    done = run(system_tool("dcmdump"), "+U8", "+L", *wanted, file)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
