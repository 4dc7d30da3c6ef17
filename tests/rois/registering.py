"""Registration objects written with pydicom alone, from PS3.3 C.20.2 and C.20.3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from tests.rois.made import Change, unchanged
from tests.volumes import made as ct

SPATIAL, DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.3"
REG = "1.2.3.7.1"


def rigid(degrees: float, shift: Sequence[float]) -> np.ndarray:
    """A turn about the patient's long axis, then a shift in mm."""
    angle = np.radians(degrees)
    found = np.eye(4)
    found[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found[:3, 3] = shift
    return found


def _matrix(values: np.ndarray, kind: str) -> Dataset:
    item = Dataset()
    item.FrameOfReferenceTransformationMatrix = [f"{value:.10g}"[:16] for value in np.asarray(values).ravel()]
    item.FrameOfReferenceTransformationMatrixType = kind
    return item


def _header(sop_class_uid: str, uid: str, registered: str, day: str) -> Dataset:
    ds = ct.header(sop_class_uid, uid, "REG")
    ds.SeriesInstanceUID = f"{uid}.1"
    ds.FrameOfReferenceUID = registered
    ds.ContentDate, ds.ContentTime = day, "120000"
    ds.ContentLabel, ds.InstanceNumber = "REGISTRATION", 1
    return ds


def spatial(
    folder: Path,
    registered: str,
    sources: dict[str, Sequence[np.ndarray]],
    *,
    kind: str = "RIGID",
    uid: str = REG,
    day: str = "20260103",
    change: Change = unchanged,
) -> Path:
    """Each source frame of reference with its matrices, in the order in which they stand in the object."""
    ds = _header(SPATIAL, uid, registered, day)
    ds.RegistrationSequence = []
    for source, matrices in {registered: [np.eye(4)], **sources}.items():
        item, given = Dataset(), Dataset()
        item.FrameOfReferenceUID = source
        given.RegistrationTypeCodeSequence = []
        given.MatrixSequence = [_matrix(one, kind) for one in matrices]
        item.MatrixRegistrationSequence = [given]
        ds.RegistrationSequence.append(item)
    change(ds)
    path = folder / f"reg-{uid}.dcm"
    ds.save_as(path)
    return path


def deformable(
    folder: Path,
    registered: str,
    source: str,
    vectors: np.ndarray,
    *,
    origin: Sequence[float],
    resolution: Sequence[float],
    pre: np.ndarray | None = None,
    post: np.ndarray | None = None,
    uid: str = REG,
    change: Change = unchanged,
) -> Path:
    """``vectors`` (depth, rows, columns, 3) mm at places from ``origin`` on, ``resolution`` apart along x, y, z."""
    ds = _header(DEFORMABLE, uid, registered, "20260103")
    item, grid = Dataset(), Dataset()
    item.SourceFrameOfReferenceUID = source
    item.RegistrationTypeCodeSequence = []
    grid.ImagePositionPatient = list(origin)
    grid.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    grid.GridDimensions = list(vectors.shape[2::-1])
    grid.GridResolution = list(resolution)
    grid.VectorGridData = vectors.astype("<f4").tobytes()
    item.DeformableRegistrationGridSequence = [grid]
    if pre is not None:
        item.PreDeformationMatrixRegistrationSequence = [_matrix(pre, "RIGID")]
    if post is not None:
        item.PostDeformationMatrixRegistrationSequence = [_matrix(post, "RIGID")]
    ds.DeformableRegistrationSequence = [item]
    change(ds)
    path = folder / f"def-{uid}.dcm"
    ds.save_as(path)
    return path
