"""What a structured report says, in codes where there are any and in words where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.errors import GantryTilt, NoRoi
from her2node.quantities.quantity import NotMeasured
from her2node.reports import ObjectKind, write
from her2node.reports.regions import most_important
from her2node.selection.roles import Role
from tests.reports import making
from tests.reports.conftest import Case


def items(ds: Dataset) -> Iterator[Dataset]:
    """Every content item, depth first."""
    yield ds
    for child in ds.get("ContentSequence", ()):
        yield from items(child)


def name(item: Dataset) -> str:
    sequence = item.get("ConceptNameCodeSequence")
    return str(sequence[0].CodeValue) if sequence else ""


def texts(ds: Dataset, code: str) -> list[str]:
    return [item.TextValue for item in items(ds) if item.ValueType == "TEXT" and name(item) == code]


def groups(ds: Dataset) -> list[Dataset]:
    return [item for item in items(ds) if item.ValueType == "CONTAINER" and name(item) == "125007"]


def value(group: Dataset, code: str) -> str:
    return next(
        str(i.ConceptCodeSequence[0].CodeValue) for i in items(group) if i.ValueType == "CODE" and name(i) == code
    )


def test_titles_and_containers_are_those_that_viewers_print_and_draw(case: Case) -> None:
    titles = {kind: name(case.reports[kind].dataset) for kind in (ObjectKind.REPORT, ObjectKind.OUTLINE)}
    assert titles == {ObjectKind.REPORT: "126001", ObjectKind.OUTLINE: "126000"}
    assert name(case.reports[ObjectKind.COULD_NOT].dataset) == "126001"
    for kind in (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.COULD_NOT):
        ds = case.reports[kind].dataset
        assert {i.ContinuityOfContent for i in items(ds) if i.ValueType == "CONTAINER"} == {"SEPARATE"}
        assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
        assert "111028" not in {name(item) for item in items(ds)}  # no Image Library
        assert ds.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99HER2NODE"


def test_an_estimate_is_never_worded_as_a_status(case: Case) -> None:
    for kind in (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.COULD_NOT):
        codes = {
            (c.CodeValue, c.CodingSchemeDesignator)
            for item in items(case.reports[kind].dataset)
            for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
            for c in item.get(keyword, ())
        }
        assert codes.isdisjoint(
            {("10828004", "SCT"), ("260385009", "SCT"), ("48676-1", "LN"), ("C68748", "NCIt"), ("C68749", "NCIt")}
        )


def test_every_report_says_first_that_it_is_for_research_and_names_the_tissue_test(case: Case) -> None:
    for kind in (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.COULD_NOT):
        ds = case.reports[kind].dataset
        assert "Research use only" in texts(ds, "NOTICE")[0]
        assert "immunohistochemistry" in texts(ds, "REFERENCE-TEST")[0]


def test_each_region_and_series_is_a_group_with_its_phase_and_the_region_s_tracking(classic: Case) -> None:
    ds = classic.reports[ObjectKind.REPORT].dataset
    found = {value(g, "109058"): g for g in groups(ds) if "109058" in {name(i) for i in items(g)}}
    assert set(found) == {"PH-PLAIN", "PH-ART", "PH-PV", "PH-EQ"}
    roi = classic.reading.rois[0].roi
    for group in found.values():
        assert texts(group, "112039") == [roi.tracking_id]
        assert [i.UID for i in items(group) if name(i) == "112040"] == [roi.tracking_uid]
        assert texts(group, "111001") == ["her2node"]
    portal = next(m.series_instance_uid for m in classic.reading.measured if m.role is Role.PORTAL)
    assert [i.UID for i in items(found["PH-PV"]) if name(i) == "121232"] == [portal]
    assert "laid on it by geometry" in texts(found["PH-ART"], "MEASURED-IN")[0]
    assert "laid on it" not in texts(found["PH-PV"], "MEASURED-IN")[0]


def test_an_estimate_names_its_package_inputs_and_prior(classic: Case) -> None:
    group = groups(classic.reports[ObjectKind.REPORT].dataset)[0]
    assert texts(group, "111001") == ["synthetic-demo"]
    assert f"package sha256 {making.DEMO.sha256}" in texts(group, "111002")
    assert "provenance level synthetic-demo" in texts(group, "111002")
    assert texts(group, "INPUT") == ["portal_mean = 92.125 HU (measured)", "long_axis = 31.5 mm (measured)"]
    assert texts(group, "PRIOR") == ["0.2"]
    assert texts(group, "PRIOR-SOURCE") == ["planted prevalence"]
    assert value(group, "HER2-EST") == "INDETERMINATE"


def test_open_inputs_give_one_group_for_each_answer_that_says_what_it_assumes(classic: Case) -> None:
    found = [g for g in groups(classic.reports[ObjectKind.REPORT].dataset) if texts(g, "ANSWER")]
    assert [texts(g, "ANSWER")[0] for g in found] == [
        "1 of 4, if portal_hyperattenuation = 0, liver_metastasis = 0",
        "2 of 4, if portal_hyperattenuation = 0, liver_metastasis = 1",
        "3 of 4, if portal_hyperattenuation = 1, liver_metastasis = 0",
        "4 of 4, if portal_hyperattenuation = 1, liver_metastasis = 1",
    ]
    assert len({i.UID for g in found for i in items(g) if name(i) == "112040"}) == 4


def test_flags_conflicts_levels_and_refusals_stand_in_the_report(classic: Case) -> None:
    ds = classic.reports[ObjectKind.REPORT].dataset
    assert any("reading criterion" in text for text in texts(ds, "FLAG"))
    assert any("lower, not higher" in text for text in texts(ds, "CONFLICT"))
    assert any("published-reconstructed" in text for text in texts(ds, "LEVEL"))
    assert any("Unresectable" in text for text in texts(ds, "INTENDED-USE"))
    assert any("cT" in text and "did not run" in text for text in texts(ds, "REFUSAL"))
    assert len(texts(ds, "SERIES")) == len(classic.reading.assignments)


def test_the_could_not_report_gives_every_reason_and_nothing_else(classic: Case) -> None:
    uid = classic.reading.measured[0].series_instance_uid
    reasons = (
        NotMeasured("", None, NoRoi()),
        NotMeasured("", Role.PLAIN, GantryTilt("12.5 degrees"), series_uids=(uid,)),
    )
    reading = replace(making.nothing_read(classic.reading), not_measured=reasons)
    found = write(reading, making.STAMP, ("report", "outline", "segmentation", "could-not"))
    assert [report.kind for report in found] == [ObjectKind.COULD_NOT]
    said = texts(found[0].dataset, "REFUSAL")
    assert any("No region of interest was given" in text for text in said)
    assert any("gantry tilt" in text and "12.5 degrees" in text and "series 2" in text for text in said)
    assert groups(found[0].dataset) == []


def test_a_study_without_any_image_still_gets_its_could_not_report(classic: Case) -> None:
    others = [series for series in classic.reading.study.series if series.modality != "CT"]
    study = replace(classic.reading.study, series=tuple(others))
    reading = replace(making.nothing_read(classic.reading), study=study)
    found = write(reading, making.STAMP, making.ALL)
    assert [r.kind for r in found] == [ObjectKind.COULD_NOT, ObjectKind.SUMMARY_IMAGE, ObjectKind.SUMMARY_DOCUMENT]
    assert found[0].dataset.PatientID == classic.reading.study.series[0].first.PatientID


def test_the_evidence_is_what_was_used_and_no_more(classic: Case) -> None:
    def evidence(kind: ObjectKind) -> set[str]:
        return {
            one.ReferencedSOPInstanceUID
            for study in classic.reports[kind].dataset.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }

    everything = {instance.identity.sop_instance_uid for instance in classic.reading.study.instances}
    segmentation = classic.reports[ObjectKind.SEGMENTATION].sop_instance_uid
    assert evidence(ObjectKind.REPORT) == everything | {segmentation}
    assert evidence(ObjectKind.COULD_NOT) == everything
    assert len(evidence(ObjectKind.OUTLINE)) == 1


def test_the_outline_bears_the_axes_and_the_probability_first_and_five_numbers_in_all(case: Case) -> None:
    found = groups(case.reports[ObjectKind.OUTLINE].dataset)
    numbers = [name(i) for group in found for i in items(group) if i.ValueType == "NUM"]
    closed = [p for p in case.reading.predictions if len(p.answers) == 1]
    assert numbers == ["103339001", "103340004", *["P-HER2POS"] * len(closed), "112031", "118565006"]
    roi = case.reading.rois[0].roi
    assert {i.UID for group in found for i in items(group) if name(i) == "112040"} == {roi.tracking_uid}
    identifiers = [texts(group, "112039")[0] for group in found]
    assert identifiers == ["Cornerstone3DTools@^0.1.0:Bidirectional", *[roi.tracking_id] * (len(found) - 1)]


def test_each_axis_is_as_long_as_its_line_and_both_cross_at_right_angles(case: Case) -> None:
    group = groups(case.reports[ObjectKind.OUTLINE].dataset)[0]
    laid = next(one for one in case.reading.rois if one.roi.tracking_uid in str(group))
    row_mm, column_mm = laid.roi.geometry.spacing_mm[1:]
    numbers = [item for item in items(group) if item.ValueType == "NUM"]
    lines = []
    for number in numbers:
        (scoord,) = (item for item in items(number) if item.ValueType == "SCOORD")
        x, y = np.reshape(scoord.GraphicData, (2, 2)).T
        lines.append(np.array([(x[1] - x[0]) * column_mm, (y[1] - y[0]) * row_mm]))
        assert np.hypot(*lines[-1]) == pytest.approx(float(number.MeasuredValueSequence[0].NumericValue), abs=1e-4)
    assert lines[0] @ lines[1] == pytest.approx(0, abs=1e-3)


def test_axes_on_another_slice_than_the_outline_are_a_figure_of_their_own(classic: Case) -> None:
    laid = next(one for one in classic.reading.rois if one.series_instance_uid == most_important(classic.reading))
    mask = np.zeros_like(laid.roi.mask)
    mask[4, 20:60, 20:60] = True
    mask[6, 50, 5:85] = True
    moved = replace(laid, roi=replace(laid.roi, mask=mask), key_slice=4)
    rois = tuple(moved if one is laid else one for one in classic.reading.rois)
    (outline,) = (r for r in write(replace(classic.reading, rois=rois), making.STAMP, ("outline",)))
    first, second = groups(outline.dataset)
    assert texts(first, "112039") == [laid.roi.tracking_id]
    assert texts(second, "112039") == ["Cornerstone3DTools@^0.1.0:Bidirectional"]
    tracking = [i.UID for group in (first, second) for i in items(group) if name(i) == "112040"]
    assert tracking[0] == laid.roi.tracking_uid != tracking[1]
    images = [
        {one.ReferencedSOPInstanceUID for i in items(group) for one in i.get("ReferencedSOPSequence", ())}
        for group in (first, second)
    ]
    (evidence,) = outline.dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in evidence.ReferencedSOPSequence} == images[0] | images[1]
    assert len(images[0] | images[1]) == 2


def test_a_region_that_is_cut_off_has_an_outline_without_axes(classic: Case) -> None:
    quantities = tuple(q for q in classic.reading.quantities if "axis" not in q.code.meaning)
    (outline,) = write(replace(classic.reading, quantities=quantities), making.STAMP, ("outline",))
    assert [texts(group, "112039") for group in groups(outline.dataset)] == [[classic.reading.tumour]]


def test_the_outline_encloses_the_region_on_its_largest_slice(case: Case) -> None:
    found = groups(case.reports[ObjectKind.OUTLINE].dataset)
    scoords = [
        item for group in found for item in items(group) if item.ValueType == "SCOORD" and name(item) == "111030"
    ]
    image = scoords[0].ContentSequence[0].ReferencedSOPSequence[0]
    laid = next(
        one
        for one in case.reading.rois
        for m in case.reading.measured
        if m.series_instance_uid == one.series_instance_uid
        and m.sources[one.key_slice].sop_instance_uid == image.ReferencedSOPInstanceUID
        and m.role is Role.PORTAL
    )
    measured = next(m for m in case.reading.measured if m.series_instance_uid == laid.series_instance_uid)
    assert image.get("ReferencedFrameNumber") == measured.sources[laid.key_slice].frame
    area = 0.0
    for scoord in scoords:
        x, y = np.reshape(scoord.GraphicData, (-1, 2)).T
        assert (x[0], y[0]) == (x[-1], y[-1])
        area += abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2
    counts = laid.roi.mask.sum(axis=(1, 2))
    assert counts[laid.key_slice] == counts.max()
    assert area == pytest.approx(counts.max(), rel=0.05)


def test_without_a_region_there_is_a_report_but_neither_outline_nor_segmentation(classic: Case) -> None:
    reading = replace(making.nothing_read(classic.reading), predictions=(making.open_lee(None),))
    found = write(reading, making.STAMP, making.ALL)
    assert [r.kind for r in found] == [ObjectKind.REPORT, ObjectKind.SUMMARY_IMAGE, ObjectKind.SUMMARY_DOCUMENT]
    assert len(groups(found[0].dataset)) == 4


def test_the_segmentation_comes_with_every_report_that_refers_to_it(classic: Case) -> None:
    found = write(classic.reading, making.STAMP, ("report",))
    assert [report.kind for report in found] == [ObjectKind.REPORT, ObjectKind.SEGMENTATION]


def test_a_kind_that_does_not_exist_is_an_error(classic: Case) -> None:
    with pytest.raises(ValueError, match="poem"):
        write(classic.reading, making.STAMP, ("poem",))
