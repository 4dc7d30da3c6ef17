"""A reader's outline of the stomach wall of the real CT, written by dcmqi: nothing of the node makes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from pydicom import dcmread

from tests.conftest import tool

WALL = (slice(22, 25), slice(212, 236), slice(352, 358))
"""Slices (from the feet), rows and columns of a block in the lateral stomach wall of CRLM-CT-1004."""

_CODES = {
    "SegmentedPropertyCategoryCodeSequence": ("49755003", "SCT", "Morphologically Abnormal Structure"),
    "SegmentedPropertyTypeCodeSequence": ("372087000", "SCT", "Neoplasm, Primary"),
}


def ct_files(shared: Path) -> list[Path]:
    """The 41 slices of the real portal CT."""
    return sorted((shared / "data" / "ct-abdomen-portal-crlm1004").glob("*.dcm"))


def outline_stomach_wall(shared: Path, folder: Path) -> Path:
    """Write ``wall.nrrd`` and its metadata, let dcmqi make the SEG; the SEG's path."""
    files = ct_files(shared)
    slices = sorted(
        (dcmread(file, stop_before_pixels=True) for file in files), key=lambda ds: ds.ImagePositionPatient[2]
    )
    mask = np.zeros((len(slices), slices[0].Rows, slices[0].Columns), dtype=np.uint8)
    mask[WALL] = 1
    nrrd, meta, seg = folder / "wall.nrrd", folder / "wall.json", folder / "wall.dcm"
    nrrd.write_bytes(_nrrd_header(slices, mask) + mask.tobytes())
    meta.write_text(json.dumps(_metadata()))
    command = [tool("itkimage2segimage"), "--inputImageList", str(nrrd), "--inputMetadata", str(meta)]
    command += ["--inputDICOMList", ",".join(map(str, files)), "--outputDICOM", str(seg), "--skip", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert seg.exists(), done.stdout + done.stderr
    return seg


def _nrrd_header(slices: list, mask: np.ndarray) -> bytes:
    first, second = slices[0], slices[1]
    row, column = (float(value) for value in first.PixelSpacing)
    step = float(second.ImagePositionPatient[2]) - float(first.ImagePositionPatient[2])
    origin = ",".join(str(float(value)) for value in first.ImagePositionPatient)
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {mask.shape[2]} {mask.shape[1]} {mask.shape[0]}",
        f"space directions: ({column},0,0) (0,{row},0) (0,0,{step})",
        "kinds: domain domain domain",
        "encoding: raw",
        f"space origin: ({origin})",
    ]
    return ("\n".join(lines) + "\n\n").encode()


def _metadata() -> dict[str, object]:
    def code(value: str, scheme: str, meaning: str) -> dict[str, str]:
        return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}

    segment = {
        "labelID": 1,
        "SegmentDescription": "Tumour of the stomach wall",
        "SegmentLabel": "Tumour",
        "SegmentAlgorithmType": "MANUAL",
        "recommendedDisplayRGBValue": [200, 60, 60],
        "TrackingIdentifier": "wall-1",
        "TrackingUniqueIdentifier": "2.25.3141592653589793",
        **{keyword: code(*values) for keyword, values in _CODES.items()},
    }
    return {
        "ContentCreatorName": "Reader",
        "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "Reader's outline",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "BodyPartExamined": "STOMACH",
        "segmentAttributes": [[segment]],
    }
