"""Who and which study: the attributes that every object of one study must share and every result copies."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from her2node.dicom.attributes import text
from her2node.dicom.uids import is_valid_uid
from her2node.errors import InvalidAttribute, MissingAttribute

MANUFACTURER = "her2node"
"""What the node calls itself in what it writes, and knows its own work by."""


@dataclass(frozen=True)
class InstanceIdentity:
    """Where an object belongs. All three UIDs are valid once constructed by ``identify``."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    patient_sex: str

    def conflicts(self, other: InstanceIdentity) -> tuple[str, ...]:
        """Keywords of patient attributes that both objects fill, and fill differently.

        The name is left out on purpose: it is respelled (character sets, corrections) for one and the same patient.
        Sex conflicts as M against F only, in capitals or not: O (other) is also written for what the writer was not
        told, so that one study may hold images with O and structure sets with M (the IBSI SUV phantoms do), and other
        spellings (U, MALE) are none of the enumerated values.
        """
        pairs = {
            "PatientID": (self.patient_id, other.patient_id),
            "IssuerOfPatientID": (self.issuer_of_patient_id, other.issuer_of_patient_id),
            "PatientBirthDate": (self.patient_birth_date, other.patient_birth_date),
            "PatientSex": (_told(self.patient_sex), _told(other.patient_sex)),
        }
        return tuple(keyword for keyword, (a, b) in pairs.items() if a and b and a != b)

    def filled_from(self, other: InstanceIdentity) -> InstanceIdentity:
        """This identity, with what it leaves open of the patient as ``other`` says it; a sex but M and F is open."""
        return replace(
            self,
            patient_id=self.patient_id or other.patient_id,
            issuer_of_patient_id=self.issuer_of_patient_id or other.issuer_of_patient_id,
            patient_birth_date=self.patient_birth_date or other.patient_birth_date,
            patient_sex=_told(self.patient_sex) or _told(other.patient_sex) or self.patient_sex or other.patient_sex,
        )


def _told(sex: str) -> str:
    """A PatientSex that can contradict another: M or F, else blank (PS3.3 C.7.1.1)."""
    return sex.upper() if sex.upper() in ("M", "F") else ""


def identify(ds: Dataset) -> InstanceIdentity:
    """Read the identity of an object's data set.

    Raises MissingAttribute or InvalidAttribute, naming the keyword, when one of the four UIDs is absent or malformed.
    """
    uids = {}
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uid = text(ds, keyword)
        if not uid:
            raise MissingAttribute(keyword)
        if not is_valid_uid(uid):
            raise InvalidAttribute(f"{keyword} holds {uid[:80]!r}, which is no UID")
        uids[keyword] = uid
    return InstanceIdentity(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        patient_id=text(ds, "PatientID"),
        issuer_of_patient_id=text(ds, "IssuerOfPatientID"),
        patient_birth_date=text(ds, "PatientBirthDate"),
        patient_sex=text(ds, "PatientSex"),
    )
