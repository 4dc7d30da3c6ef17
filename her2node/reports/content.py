"""The words of highdicom for the codes and values of the node: items and measurement groups of TID 1500."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContainerContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr.value_types import ContentItem

from her2node.dicom.codes import Anatomy, Code, Document, Finding, Statement, Unit
from her2node.dicom.codes import Estimate as EstimateCode
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.identity import MANUFACTURER
from her2node.dicom.uids import derived_uid
from her2node.models.prediction import Answer, IntervalKind, PackageRef, Prediction
from her2node.quantities.quantity import Quantity
from her2node.reading import Reading
from her2node.reports.envelope import concept
from her2node.reports.report import Stamp
from her2node.reports.segmentation import Segments
from her2node.reports.wording import (
    CATEGORIES,
    PHASES,
    Said,
    assumed,
    flags_of,
    input_used,
    package_name,
    series_names,
)

Group = (
    MeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
)
_INTERVALS = {IntervalKind.CONFIDENCE: Statement.INTERVAL, IntervalKind.VENN_ABERS: Statement.VENN_ABERS}


def text_item(said: Said) -> TextContentItem:
    return TextContentItem(concept(said.concept), said.text, RelationshipTypeValues.CONTAINS)


def measurement(quantity: Quantity, lines: Sequence[CoordinatesForMeasurement] | None = None) -> Measurement:
    """A NUM with unit, derivation and method (TID 300), and the lines that it is the length of."""
    return Measurement(
        name=concept(quantity.code),
        value=float(quantity.value),
        unit=concept(quantity.unit),
        derivation=concept(quantity.modifier) if quantity.modifier else None,
        method=concept(quantity.method) if quantity.method else None,
        referenced_coordinates=lines,
    )


def probability(answer: Answer, package: PackageRef | None = None) -> Measurement:
    """The estimated probability; ``package`` names the algorithm inside the NUM itself."""
    return Measurement(
        name=concept(Concept.PROBABILITY),
        value=float(answer.probability),
        unit=concept(Unit.ONE),
        algorithm_id=package_algorithm(package) if package else None,
    )


def package_algorithm(package: PackageRef) -> AlgorithmIdentification:
    """TID 4019 of a model package: the hash of its package.toml pins every file of it."""
    return AlgorithmIdentification(
        name=package.name,
        version=package.version,
        manufacturer=MANUFACTURER,
        parameters=[f"package sha256 {package.sha256}", f"provenance level {package.level.value}"],
        family=concept(Document.ARTIFICIAL_INTELLIGENCE),
    )


def node_algorithm(stamp: Stamp, parameters: Sequence[str] = ()) -> AlgorithmIdentification:
    """TID 4019 of the node's own measurements, with what its methods were set to."""
    return AlgorithmIdentification(
        name=MANUFACTURER,
        version=stamp.version,
        manufacturer=MANUFACTURER,
        parameters=["provenance level measured-only", f"input digest {stamp.input_hash}", *parameters],
    )


def measurement_groups(reading: Reading, stamp: Stamp, segments: Segments) -> list[Group]:
    """One group a region and series: TID 1411, or TID 1501 where no segment stands for the region."""
    measured = [(quantity.roi, quantity.series_uids) for quantity in reading.quantities]
    laid = {one.roi.tracking_id for one in reading.rois}
    keys = dict.fromkeys([*measured, *((one.roi, one.series_uids) for one in reading.evaluations if one.roi in laid)])
    return [_measured(reading, stamp, segments, roi, series_uids) for roi, series_uids in keys]


def _measured(
    reading: Reading, stamp: Stamp, segments: Segments, roi: str, series_uids: tuple[str, ...]
) -> VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations:
    quantities = [q for q in reading.quantities if (q.roi, q.series_uids) == (roi, series_uids)]
    role = (quantities[0].phase or quantities[0].role) if quantities else None
    parameters = tuple(dict.fromkeys(said for quantity in quantities for said in quantity.parameters))
    if reading.segmented and roi == reading.tumour:
        package = reading.segmented.package
        parameters = (*parameters, f"region drawn by {package_name(package)}, package sha256 {package.sha256}")
    evaluations = [
        QualitativeEvaluation(concept(one.code), concept(one.value))
        for one in reading.evaluations
        if (one.roi, one.series_uids) == (roi, series_uids)
    ]
    if role in PHASES:
        evaluations.append(QualitativeEvaluation(concept(Document.CONTRAST_PHASE), concept(PHASES[role])))
    tracking_uid = next(laid.roi.tracking_uid for laid in reading.rois if laid.roi.tracking_id == roi)
    group = _group(
        segments,
        roi,
        [borne_by(reading, uid) for uid in series_uids],
        tracking_identifier=TrackingIdentifier(tracking_uid, roi),
        finding_type=concept(segments.finding(roi)),
        algorithm_id=node_algorithm(stamp, parameters),
        measurements=[measurement(quantity) for quantity in quantities],
        qualitative_evaluations=evaluations,
        tumour=roi == reading.tumour,
    )
    names = series_names(reading, series_uids)
    laid_by_geometry = "" if segments.series_instance_uid in series_uids else "; the segment was laid on it by geometry"
    said = [Said(Statement.MEASURED_IN, f"{names}{laid_by_geometry}")]
    _say(group, [*said, *(Said(Statement.FLAG, flag) for flag in flags_of(quantities))])
    return group


def estimate_groups(reading: Reading, segments: Segments) -> list[Group]:
    """One group an answer: TID 1411 when the package looked at a region, else TID 1501."""
    return [
        _estimate(reading, segments, prediction, number)
        for prediction in reading.predictions
        for number in range(1, len(prediction.answers) + 1)
    ]


def _estimate(reading: Reading, segments: Segments, prediction: Prediction, number: int) -> Group:
    package, answer = prediction.package, prediction.answers[number - 1]
    count = len(prediction.answers)
    which = f", answer {number} of {count}" if count > 1 else ""
    tracking_uid = derived_uid("estimate", reading.study.study_instance_uid, package.sha256, str(number))
    group = _group(
        segments,
        prediction.roi,
        tuple(dict.fromkeys(borne_by(reading, uid) for uid in prediction.series_uids)),
        tracking_identifier=TrackingIdentifier(tracking_uid, f"{package_name(package)}{which}"),
        finding_type=concept(Finding.PRIMARY_NEOPLASM),
        algorithm_id=package_algorithm(package),
        measurements=[probability(answer)],
        qualitative_evaluations=[
            QualitativeEvaluation(concept(EstimateCode.CONCEPT), concept(CATEGORIES[answer.category]))
        ],
        tumour=True,
    )
    said = [Said(Statement.ANSWER, f"{number} of {count}, if {assumed(answer)}")] if count > 1 else []
    said += [Said(Statement.INPUT, input_used(used)) for used in answer.inputs]
    if answer.interval is not None:
        said.append(Said(_INTERVALS[answer.interval_kind], f"{answer.interval[0]:.4f} to {answer.interval[1]:.4f}"))
    said.append(Said(Statement.PRIOR, f"{prediction.prior:.4g}"))
    said.append(Said(Statement.PRIOR_SOURCE, prediction.prior_source))
    _say(group, said)
    return group


def _group(
    segments: Segments,
    roi: str | None,
    series_uids: Sequence[str],
    *,
    tracking_identifier: TrackingIdentifier,
    finding_type: CodedConcept,
    algorithm_id: AlgorithmIdentification,
    measurements: list[Measurement],
    qualitative_evaluations: list[QualitativeEvaluation],
    tumour: bool,
) -> VolumetricROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations:
    sites = [FindingSite(concept(Anatomy.STOMACH))] if tumour else None
    number = segments.number(roi)
    if number is None:
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking_identifier,
            finding_type=finding_type,
            finding_sites=sites,
            algorithm_id=algorithm_id,
            measurements=measurements,
            qualitative_evaluations=qualitative_evaluations,
        )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking_identifier,
        referenced_segment=ReferencedSegment(
            sop_class_uid=segments.sop_class_uid,
            sop_instance_uid=segments.sop_instance_uid,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(next(iter(series_uids), segments.borne_uid)),
        ),
        finding_type=finding_type,
        finding_sites=sites,
        algorithm_id=algorithm_id,
        measurements=measurements,
        qualitative_evaluations=qualitative_evaluations,
    )


def borne_by(reading: Reading, uid: str) -> str:
    """The SeriesInstanceUID that the objects of a measured series bear: it may be a part of one, or made of several."""
    series = reading.study.series_of(uid)
    return series.instances[0].identity.series_instance_uid if series else uid


def _say(group: Group, said: Sequence[Said]) -> None:
    group[0].ContentSequence.extend([text_item(one) for one in said])


def container(code: Code, content: Sequence[ContentItem], template: str | None = None) -> ContainerContentItem:
    """A container whose items stand each on a line of its own: viewers run CONTINUOUS ones together.

    With a ``template`` it is the root, else it is contained in its parent.
    """
    item = ContainerContentItem(
        concept(code),
        is_content_continuous=False,
        template_id=template,
        relationship_type=None if template else RelationshipTypeValues.CONTAINS,
    )
    item.ContentSequence = ContentSequence(content)
    return item
