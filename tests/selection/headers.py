"""Series of headers without files, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from her2node.dicom.identity import identify
from her2node.selection.study import Instance, Series, Study, group

STUDY_UID = "1.2.3"


def instance(series_uid: str, number: int = 1, sop_class_uid: str = CTImageStorage, **attributes: Any) -> Instance:
    header = Dataset()
    header.SOPClassUID = sop_class_uid
    header.SOPInstanceUID = f"{series_uid}.{number}"
    header.SeriesInstanceUID = series_uid
    header.StudyInstanceUID = STUDY_UID
    header.Modality = "CT"
    header.InstanceNumber = number
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.ImagePositionPatient = [0, 0, 5.0 * number]
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return Instance(Path(f"{series_uid}.{number}.dcm"), identify(header), header)


def study(*instances: Instance) -> Study:
    return group(instances)


def series(description: str = "", *, uid: str = "1.2.3.4", images: int = 1, **attributes: Any) -> Series:
    made = [instance(uid, n + 1, SeriesDescription=description, **attributes) for n in range(images)]
    return group(made).series[0]


def enhanced_header(**shared: dict[str, Any]) -> Dataset:
    """The header of an enhanced object: functional groups that all frames share, each with its attributes."""
    groups, header = Dataset(), Dataset()
    for sequence, attributes in shared.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(groups, sequence, [item])
    header.SharedFunctionalGroupsSequence = [groups]
    return header
