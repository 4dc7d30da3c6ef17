"""Attributes that all objects of a phantom study share: patient, study, series, equipment, SOP common."""

from __future__ import annotations

import copy
from datetime import date, datetime
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from her2node.dicom.codes import Code
from her2node.phantoms.options import CharacterSet, Form, PhantomOptions
from her2node.phantoms.study import PhantomStudy, PlannedSlice, file_meta

MANUFACTURER = "her2node phantoms"
"""Of every phantom that imitates no maker; each says by QualityControlSubject too that nobody was scanned."""
LATIN_NAME = "Phantom^Gastric"
CHINESE_NAME = "Wang^XiaoDong=王^小东"


def item(**attributes: Any) -> Dataset:
    """A data set of the given attributes."""
    ds = Dataset()
    fill(ds, **attributes)
    return ds


def fill(ds: Dataset, **attributes: Any) -> None:
    """Set attributes by keyword."""
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)


def copied(template: Dataset) -> Dataset:
    """A data set whose elements can be changed without changing the template's (which has no sequences)."""
    ds = Dataset()
    for element in template:
        ds.add(copy.copy(element))
    return ds


def coded(code: Code) -> Sequence:
    """A code sequence of one item."""
    return Sequence([item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=code.meaning)])


def da(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def tm(moment: datetime) -> str:
    return f"{moment:%H%M%S}"


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return np.format_float_positional(value, precision=9, trim="-")


def decimals(*values: float) -> list[str]:
    """Several of them."""
    return [decimal(value) for value in values]


def image_reference(study: PhantomStudy, planned: PlannedSlice) -> Dataset:
    """The image, or the frame of the enhanced object, that an outline was drawn on."""
    series = study.roi_series
    if study.options.form is Form.CLASSIC:
        return item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=planned.sop_instance_uid)
    return item(
        ReferencedSOPClassUID=EnhancedCTImageStorage,
        ReferencedSOPInstanceUID=series.sop_instance_uid,
        ReferencedFrameNumber=series.slices.index(planned) + 1,
    )


def instance_references(study: PhantomStudy) -> Sequence:
    """All objects of the series that the tumour is outlined on."""
    series = study.roi_series
    if study.options.form is Form.ENHANCED:
        enhanced = item(ReferencedSOPClassUID=EnhancedCTImageStorage, ReferencedSOPInstanceUID=series.sop_instance_uid)
        return Sequence([enhanced])
    return Sequence([image_reference(study, planned) for planned in series.slices])


def patient_and_study(study: PhantomStudy) -> Dataset:
    """Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2)."""
    options = study.options
    return item(
        SpecificCharacterSet=str(options.character_set),
        PatientName=options.patient.name or _name(options),
        PatientID=options.patient.patient_id or f"PHANTOM-{options.seed:06d}",
        PatientBirthDate=options.patient.birth_date,
        PatientSex=options.patient.sex,
        PatientAge=_age(options),
        QualityControlSubject="YES",
        StudyInstanceUID=study.study_instance_uid,
        StudyDate=da(options.started),
        StudyTime=tm(options.started),
        TimezoneOffsetFromUTC=f"{options.started:%z}",
        AccessionNumber=f"A{options.seed:08d}",
        StudyID=f"{options.seed % 10**8}",
        StudyDescription=_in_chinese(options, "上腹部CT平扫+增强", "CT abdomen with contrast"),
        ReferringPhysicianName=_in_chinese(options, "Li^Ming=李^明", "Referrer^R"),
    )


def common(study: PhantomStudy, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Patient, study, equipment and SOP common attributes of one object, with its file meta group."""
    ds = patient_and_study(study)
    ds.file_meta = file_meta(sop_class_uid, sop_instance_uid)
    fill(
        ds,
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=sop_instance_uid,
        Manufacturer=MANUFACTURER,
        ManufacturerModelName="Analytic abdomen",
        DeviceSerialNumber="0",
        SoftwareVersions="1",
        InstitutionName=_in_chinese(study.options, "示范医院", "Example Hospital"),
        FrameOfReferenceUID=study.frame_of_reference_uid,
        PositionReferenceIndicator="",
    )
    return ds


def _name(options: PhantomOptions) -> str:
    return _in_chinese(options, CHINESE_NAME, LATIN_NAME)


def _in_chinese(options: PhantomOptions, chinese: str, latin: str) -> str:
    return latin if options.character_set is CharacterSet.LATIN else chinese


def _age(options: PhantomOptions) -> str:
    born = options.patient.birth_date
    if len(born) != 8:
        return ""
    birthday, today = date(int(born[:4]), int(born[4:6]), int(born[6:])), options.started.date()
    years = today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))
    return f"{years:03d}Y"
