"""What every object bears: patient and study as received, the node's own series and equipment, the stamp's times.

Attributes of the patient and the study are copied from an object of the study; absent ones of type 2 become empty,
and a value that breaks the rules of its VR is left empty too, never invented.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from highdicom.sr import CodedConcept
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from her2node.dicom.attributes import integer, items, text, texts
from her2node.dicom.codes import Code, Document
from her2node.dicom.identity import MANUFACTURER
from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from her2node.models.prediction import PackageRef
from her2node.reading import Reading
from her2node.reports.charset import settle
from her2node.reports.regions import most_important
from her2node.reports.report import ObjectKind, Report, Stamp

DESCRIPTION = "HER2 AI - not for diagnosis -"
"""How the SeriesDescription of every object begins."""
FIRST_SERIES_NUMBER = 9200

_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
# Patient, General Study, Patient Study, Clinical Trial Subject and Study (PS3.3 C.7.1, C.7.2)
_OPTIONAL = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "QualityControlSubject",
    "EthnicGroup",
    "PatientComments",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "PhysiciansOfRecord",
    "ConsultingPhysicianName",
    "ProcedureCodeSequence",
    "RequestingService",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "Occupation",
    "AdditionalPatientHistory",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "PatientState",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
    "LongitudinalTemporalOffsetFromEvent",
    "LongitudinalTemporalEventType",
    "TimezoneOffsetFromUTC",
)
_COPIED = frozenset({*_TYPE_2, *_OPTIONAL})


@dataclass(frozen=True)
class _Kind:
    sop_class_uid: str
    modality: str
    description: str
    number: int


_COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
_KINDS = {
    ObjectKind.REPORT: _Kind(_COMPREHENSIVE_3D_SR, "SR", "report", 1),
    ObjectKind.OUTLINE: _Kind(_COMPREHENSIVE_3D_SR, "SR", "outline", 2),
    ObjectKind.SEGMENTATION: _Kind("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "regions", 3),
    ObjectKind.SUMMARY_IMAGE: _Kind("1.2.840.10008.5.1.4.1.1.7", "OT", "summary", 4),
    ObjectKind.SUMMARY_DOCUMENT: _Kind("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "summary (PDF)", 5),
    ObjectKind.COULD_NOT: _Kind(_COMPREHENSIVE_3D_SR, "SR", "could not run", 6),
    ObjectKind.PARAMETRIC_MAP: _Kind("1.2.840.10008.5.1.4.1.1.30", "OT", "map", 9),
}
_OF_IMAGES_ALONE = (ObjectKind.SEGMENTATION, ObjectKind.PARAMETRIC_MAP)
"""Kinds in which no package had a hand, unless one is named."""


def envelope(
    reading: Reading,
    stamp: Stamp,
    kind: ObjectKind,
    number: int = 0,
    title: str = "",
    package: PackageRef | None = None,
) -> Dataset:
    """A data set with all modules but those of the object itself, with its file meta information.

    Of several objects of one kind each has its ``number``, from 1, and its ``title`` in the series description;
    ``package``: the one that it is about. Texts are Unicode; ``sealed`` chooses the character set when everything is
    in.
    """
    ds = Dataset()
    header = base_header(reading)
    _copy_patient_and_study(ds, header)
    ds.StudyInstanceUID = reading.study.study_instance_uid
    _put_series(ds, reading, stamp, kind, number)
    ds.SeriesDescription = _series_description(title or _KINDS[kind].description, stamp)
    _put_equipment(ds, stamp)
    equipment = _scanner(header)
    if kind not in _OF_IMAGES_ALONE:
        equipment += [_package_equipment(prediction.package) for prediction in reading.predictions]
    if package is not None:
        equipment.append(_package_equipment(package))
    if equipment:
        ds.ContributingEquipmentSequence = equipment
    _put_times(ds, stamp.moment)
    return ds


def sealed(ds: Dataset, reading: Reading, kind: ObjectKind) -> Report:
    """The finished report: character set settled, file meta information in place."""
    settle(ds, texts(base_header(reading), "SpecificCharacterSet"), _COPIED)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return Report(kind, ds, str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID))


def base_header(reading: Reading) -> Dataset:
    """The object that patient and study are copied from: the most important series' first, else the study's first."""
    uid = most_important(reading)
    series = reading.study.series_of(uid) if uid else None
    return series.first if series else reading.study.instances[0].header


def concept(code: Code) -> CodedConcept:
    """A code as an item of a code sequence (PS3.3 8.8); a meaning from elsewhere that is too long is cut."""
    return CodedConcept(code.value, code.scheme, code.meaning[:64])


def _copy_patient_and_study(ds: Dataset, header: Dataset) -> None:
    for keyword in _TYPE_2:
        setattr(ds, keyword, _valid(header, keyword))
    for keyword in _OPTIONAL:
        if dictionary_VR(keyword) == "SQ":
            found = [deepcopy(item) for item in items(header, keyword)]
            if found:
                setattr(ds, keyword, found)
        elif value := _valid(header, keyword):
            setattr(ds, keyword, value)
    if ds.PatientSex not in ("M", "F", "O", ""):  # enumerated (PS3.3 C.7.1.1)
        ds.PatientSex = ""


def _valid(header: Dataset, keyword: str) -> str:
    """The attribute's text, or '' where it breaks the rules of its VR."""
    try:
        for value in texts(header, keyword):
            validate_value(dictionary_VR(keyword), value, RAISE)
    except ValueError:
        return ""
    return text(header, keyword)


def _put_series(ds: Dataset, reading: Reading, stamp: Stamp, kind: ObjectKind, number: int) -> None:
    what = _KINDS[kind]
    which = f" {number}" if number else ""
    study = reading.study.study_instance_uid
    ds.SOPClassUID = what.sop_class_uid
    ds.SOPInstanceUID = stamp.uid(study, kind, f"instance{which}")
    ds.SeriesInstanceUID = stamp.uid(study, kind, f"series{which}")
    ds.Modality = what.modality
    ds.SeriesNumber = _first_free_number(reading) + what.number + number
    ds.InstanceNumber = 1


def _series_description(title: str, stamp: Stamp) -> str:
    """At most the 64 characters of a LO; a title that is too long gives way."""
    edition = f", edition {stamp.edition}" if stamp.edition > 1 else ""
    return f"{DESCRIPTION} {title}"[: 64 - len(edition)].rstrip(" ,") + edition


def _first_free_number(reading: Reading) -> int:
    """The first of ten series numbers, and one more for each map, that no other series of the study has."""
    taken = {integer(series.first, "SeriesNumber") for series in reading.study.series}
    first = FIRST_SERIES_NUMBER
    while not taken.isdisjoint(range(first, first + 10 + len(reading.maps))):
        first += 10
    return first


def _put_equipment(ds: Dataset, stamp: Stamp) -> None:
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MANUFACTURER
    ds.SoftwareVersions = stamp.version
    ds.DeviceSerialNumber = stamp.device_uid
    ds.DeviceUID = stamp.device_uid
    ds.StationName = stamp.ae_title
    if stamp.site:
        ds.InstitutionName = stamp.site[:64]


def _scanner(header: Dataset) -> list[Dataset]:
    manufacturer = _valid(header, "Manufacturer")
    if not manufacturer:
        return []
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [concept(Document.ACQUISITION_EQUIPMENT)]
    item.Manufacturer = manufacturer
    for keyword in ("ManufacturerModelName", "StationName", "InstitutionName", "DeviceSerialNumber"):
        if value := _valid(header, keyword):
            setattr(item, keyword, value)
    return [item]


def _package_equipment(package: PackageRef) -> Dataset:
    """A model package is equipment of its own; its serial number, a hash, changes with every change of the package."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [concept(Document.PROCESSING_EQUIPMENT)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = package.name[:64]
    item.SoftwareVersions = package.version[:64]
    item.DeviceSerialNumber = package.sha256[:64]
    item.ContributionDescription = f"Model package, {package.level.value}: imaging estimate for research"
    return item


def _put_times(ds: Dataset, moment: datetime) -> None:
    """The stamp's moment in the zone that the source declares, else as it is given (PS3.3 C.12.1.1.8)."""
    here = _in_zone_of(ds, moment)
    day, clock = here.strftime("%Y%m%d"), here.strftime("%H%M%S.%f")
    for event in ("InstanceCreation", "Series", "Content"):
        setattr(ds, f"{event}Date", day)
        setattr(ds, f"{event}Time", clock)


def _in_zone_of(ds: Dataset, moment: datetime) -> datetime:
    offset = text(ds, "TimezoneOffsetFromUTC")
    if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdigit():
        return moment
    span = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    if span >= timedelta(hours=24):
        return moment
    return moment.astimezone(timezone(-span if offset[0] == "-" else span))
