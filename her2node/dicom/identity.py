"""Who and which study: the attributes that every object of one study must share and every result copies."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import text
from her2node.dicom.uids import is_valid_uid
from her2node.errors import InvalidAttribute, MissingAttribute


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

        Name and sex are left out on purpose: a name is respelled (character sets, corrections) for one and the same
        patient, and sex describes a patient without identifying one (PS3.3 C.2.3, not C.2.2): scanners write O where
        the treatment planning system writes M. Identifier and date of birth do not change with who writes them.
        """
        pairs = {
            "PatientID": (self.patient_id, other.patient_id),
            "IssuerOfPatientID": (self.issuer_of_patient_id, other.issuer_of_patient_id),
            "PatientBirthDate": (self.patient_birth_date, other.patient_birth_date),
        }
        return tuple(keyword for keyword, (a, b) in pairs.items() if a and b and a != b)


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
