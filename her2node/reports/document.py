"""The structured reports: TID 1500 Comprehensive 3D SR, unverified and preliminary, every container SEPARATE.

- the text report, titled 126001 Oncology Measurement Report: viewers print it as a tree of text;
- the outline report, titled 126000 Imaging Measurement Report: viewers draw it;
- the "could not" report: the text report's form with nothing but reasons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset

from her2node.dicom.codes import PRIVATE_SCHEME, PRIVATE_SCHEME_NAME, Code, Document
from her2node.dicom.identity import MANUFACTURER, InstanceIdentity
from her2node.reading import Reading
from her2node.reports.content import Group, container, estimate_groups, measurement_groups, text_item
from her2node.reports.derived import borne_by_objects
from her2node.reports.drawn import outline_groups
from her2node.reports.envelope import concept, envelope, sealed
from her2node.reports.regions import most_important
from her2node.reports.report import ObjectKind, Report, Stamp
from her2node.reports.segmentation import segments_of
from her2node.reports.wording import Said, drawn, notices, statements

Evidence = tuple[str, str, str]
"""Series Instance UID, SOP Class UID and SOP Instance UID of an object that a report rests on."""

_LANGUAGE = CodedConcept("en-US", "RFC5646", "English (United States)")
_PROCEDURES = {"CT": Document.CT_PROCEDURE, "MR": Document.MR_PROCEDURE, "PT": Document.PET_PROCEDURE}
_SUCCESSORS = {
    ObjectKind.REPORT: (ObjectKind.REPORT, ObjectKind.COULD_NOT),
    ObjectKind.COULD_NOT: (ObjectKind.REPORT, ObjectKind.COULD_NOT),
    ObjectKind.OUTLINE: (ObjectKind.OUTLINE,),
}
"""Which kinds of the previous edition a report of this kind takes the place of."""


def report(reading: Reading, stamp: Stamp, segmentation: Report | None) -> Report:
    """The text report. Its groups refer to ``segmentation`` where there is one."""
    segments = segments_of(reading, segmentation)
    groups = [*estimate_groups(reading, segments), *measurement_groups(reading, stamp, segments)]
    evidence = _used(reading)
    if segmentation:
        evidence.append((segmentation.series_instance_uid, segmentation.sop_class_uid, segmentation.sop_instance_uid))
    return _document(reading, stamp, ObjectKind.REPORT, groups, statements(reading), evidence)


def could_not(reading: Reading, stamp: Stamp) -> Report:
    """The report of the reasons; its evidence is every object of the study, for all were looked at."""
    evidence = [_evidence(instance.identity) for instance in reading.study.instances]
    return _document(reading, stamp, ObjectKind.COULD_NOT, [], statements(reading), evidence)


def outline(reading: Reading, stamp: Stamp) -> Report | None:
    """The outline report: each region's largest slice on the most important series, and the lines of its axes; None
    without any region."""
    groups = outline_groups(reading)
    uid = most_important(reading)
    if not groups or uid is None:
        return None
    borne = borne_by_objects(reading)
    evidence = [
        (borne.get(source.sop_instance_uid, uid), source.sop_class_uid, source.sop_instance_uid) for _, source in groups
    ]
    said = (*notices(), *drawn(reading))
    return _document(reading, stamp, ObjectKind.OUTLINE, [group for group, _ in groups], said, evidence)


def _used(reading: Reading) -> list[Evidence]:
    """The objects of every measured series, and those that the regions came from and were carried by."""
    measured = {source.sop_instance_uid for measured in reading.measured for source in measured.sources}
    regions = {laid.roi.source_sop_instance_uid for laid in reading.rois}
    regions |= {uid for laid in reading.rois for uid in laid.roi.carried_by}
    return [
        _evidence(identity)
        for identity in (instance.identity for instance in reading.study.instances)
        if identity.sop_instance_uid in measured or identity.sop_instance_uid in regions
    ]


def _evidence(identity: InstanceIdentity) -> Evidence:
    return identity.series_instance_uid, identity.sop_class_uid, identity.sop_instance_uid


def _document(
    reading: Reading,
    stamp: Stamp,
    kind: ObjectKind,
    groups: Sequence[Group],
    said: Sequence[Said],
    evidence: Sequence[Evidence],
) -> Report:
    ds = envelope(reading, stamp, kind)
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.PerformedProcedureCodeSequence = []
    study = reading.study.study_instance_uid
    if evidence:
        ds.CurrentRequestedProcedureEvidenceSequence = [_references(study, evidence)]
    predecessors = [
        (one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid)
        for one in stamp.predecessors
        if one.kind in _SUCCESSORS[kind]
    ]
    if predecessors:
        ds.PredecessorDocumentsSequence = [_references(study, predecessors)]
    ds.CodingSchemeIdentificationSequence = [_private_scheme()]
    title = Document.IMAGING_REPORT if kind is ObjectKind.OUTLINE else Document.ONCOLOGY_REPORT
    ds.update({element.tag: element for element in _root(title, reading, stamp, groups, said)})
    return sealed(ds, reading, kind)


def _references(study_instance_uid: str, objects: Sequence[Evidence]) -> Dataset:
    """Hierarchical SOP Instance Reference macro (PS3.3 C.17.2.1); each object once, in order."""
    by_series: dict[str, list[Dataset]] = defaultdict(list)
    for series_uid, sop_class_uid, sop_instance_uid in dict.fromkeys(objects):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        by_series[series_uid].append(item)
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for series_uid, members in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = members
        study.ReferencedSeriesSequence.append(series)
    return study


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = PRIVATE_SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _root(title: Code, reading: Reading, stamp: Stamp, groups: Sequence[Group], said: Sequence[Said]) -> Dataset:
    """The content tree (TID 1500)."""
    root = container(title, [], template="1500")
    content = ContentSequence()
    content.extend(LanguageOfContentItemAndDescendants(_LANGUAGE))
    content.extend(_observer(stamp))
    content.append(
        CodeContentItem(
            CodedConcept("121058", "DCM", "Procedure reported"),
            concept(_procedure(reading)),
            RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if groups:
        measurements = container(Document.IMAGING_MEASUREMENTS, [])
        for group in groups:
            group[0].ContinuityOfContent = "SEPARATE"
            measurements.ContentSequence.extend(group)
        content.append(measurements)
    content.append(container(Document.QUALITATIVE_EVALUATIONS, [text_item(one) for one in said]))
    root.ContentSequence = content
    return root


def _observer(stamp: Stamp) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=stamp.device_uid,
        name=stamp.ae_title,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MANUFACTURER} {stamp.version}",
        physical_location=stamp.site or None,
    )
    return ObservationContext(ObserverContext(concept(Document.DEVICE), device))


def _procedure(reading: Reading) -> Code:
    """What was done to the patient, by the first modality of the study that says so (CID 100)."""
    known = (_PROCEDURES[series.modality] for series in reading.study.series if series.modality in _PROCEDURES)
    return next(known, Document.CT_PROCEDURE)
