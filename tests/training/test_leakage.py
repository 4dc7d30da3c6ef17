from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from her2node.errors import FeatureFromTheFuture, PatientInTwoFolds, TargetAmongFeatures
from her2node.training import leakage
from her2node.training.arrays import Cases
from her2node.training.cohort import Cohort
from her2node.training.course import train
from her2node.training.labels import Tissue
from tests.models.making import make_keys
from tests.training.making import cohort, form


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"treated": date(2024, 2, 20)}, "after treatment began"),
        ({"specimen": "resection", "specimen_date": date(2024, 2, 20)}, "after the resection"),
        ({"dates": {"metastasis": date(2024, 3, 9)}}, "metastasis .* became known on 2024-03-09"),
    ],
)
def test_a_feature_from_the_future_is_refused_by_name(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(FeatureFromTheFuture, match=said):
        leakage.check(form(tmp_path), cohort(rows=[{}, row]))


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"treated": date(2024, 2, 20)}, "the study 1.2.4 was made after treatment began on 2024-02-20"),
        ({"specimen": "resection", "specimen_date": date(2024, 2, 20)}, "the study 1.2.4 .* the resection of"),
    ],
)
def test_the_earliest_date_of_a_patient_counts_in_all_rows_of_the_patient(
    tmp_path: Path, ends: dict[str, Any], said: str
) -> None:
    """The row with the date is of a study before it."""
    rows: list[dict[str, Any]] = [{"patient": "A" if i in (2, 4) else f"p{i}", "treated": None} for i in range(60)]
    given = cohort(rows=[*rows[:2], rows[2] | ends | {"dates": {}}, *rows[3:]])
    members = list(given.members)
    members[2] = replace(members[2], findings=replace(members[2].findings, studied=date(2024, 1, 10)))
    with pytest.raises(FeatureFromTheFuture, match=said):
        leakage.check(form(tmp_path), replace(given, members=tuple(members)))
    leakage.check(form(tmp_path), cohort(rows=rows))


def test_a_dated_biopsy_does_not_say_when_treatment_began_but_another_row_of_the_patient_does(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"treated": None}, {"treated": None, "patient": "A"}, {"patient": "A"}]
    said = " ".join(leakage.warnings(form(tmp_path), cohort(rows=rows)))
    assert "1 of 60 cases lack dates (of the study, of the first treatment in the column treated" in said


def test_the_usual_order_of_biopsy_study_and_treatment_is_no_leak(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"treated": date(2024, 3, 1)},
        {"specimen": "resection", "specimen_date": date(2024, 3, 20)},
    ]
    leakage.check(form(tmp_path), cohort(rows=rows))


def test_a_form_may_allow_what_is_known_a_few_days_later(tmp_path: Path) -> None:
    late = form(tmp_path, ("[training]", "[training]\nknown_within_days = 14"))
    leakage.check(late, cohort(rows=[{"dates": {"metastasis": date(2024, 3, 15)}}]))
    with pytest.raises(FeatureFromTheFuture):
        leakage.check(late, cohort(rows=[{"dates": {"metastasis": date(2024, 3, 16)}}]))


def with_input(name: str, values: np.ndarray, given: Cohort) -> Cases:
    old = given.cases
    return Cases((*old.names, name), np.column_stack([old.values, values]), old.labels, old.patients)


@pytest.mark.parametrize(
    "name",
    ["ihc", "her2_score", "fish_ratio", "label", "her2neu", "erbb2", "c_erbb2", "cerbb2", "IHCscore", "tumour_ihc2"],
)
def test_an_input_named_as_the_target_is_refused(name: str) -> None:
    given = cohort()
    noise = np.random.default_rng(1).normal(size=len(given.cases))
    with pytest.raises(TargetAmongFeatures, match=name):
        leakage.check_target(with_input(name, noise, given), [m.row.tissue for m in given.members])


def test_an_input_that_is_the_ihc_score_in_another_guise_is_refused() -> None:
    """2+ cases of both labels: the score does not separate the classes, but it is the answer's own source."""
    given = cohort()
    tissues = [
        Tissue(2, bool(label)) if i % 4 == 0 else Tissue(3 if label else 1, None)
        for i, label in enumerate(given.cases.labels)
    ]
    staining = np.array([{1: 7.0, 2: 3.0, 3: 5.0}[tissue.score] for tissue in tissues])
    with pytest.raises(TargetAmongFeatures, match="staining has one value for each tissue result"):
        leakage.check_target(with_input("staining", staining, given), tissues)


def test_a_result_that_a_single_case_has_does_not_hide_that_the_others_determine_an_input() -> None:
    """One 3+ that has ISH too, and one that was stained otherwise."""
    given = cohort()
    tissues = [Tissue(3 if label else i % 2, None) for i, label in enumerate(given.cases.labels)]
    staining = np.array([{0: 4.0, 1: 7.0, 3: 4.0}[tissue.score] for tissue in tissues])
    first = int(np.flatnonzero(given.cases.labels)[0])
    tissues[first], staining[first] = Tissue(3, True), 5.5
    with pytest.raises(TargetAmongFeatures, match="staining has one value for each tissue result"):
        leakage.check_target(with_input("staining", staining, given), tissues)


def test_names_that_only_sound_like_a_result_pass() -> None:
    given = cohort()
    noise = np.random.default_rng(1).normal(size=len(given.cases))
    for name in ("other_2", "fisher_mean", "diminished", "psihc"):
        leakage.check_target(with_input(name, noise, given), [m.row.tissue for m in given.members])


@pytest.mark.parametrize("sign", [1, -1])
def test_an_input_that_alone_separates_the_classes_is_refused(sign: int) -> None:
    given = cohort()
    noise = np.random.default_rng(1).uniform(size=len(given.cases))
    perfect = sign * (2 * given.cases.labels + noise)
    with pytest.raises(TargetAmongFeatures, match="response alone separates"):
        leakage.check_target(with_input("response", perfect, given), [m.row.tissue for m in given.members])


def test_honest_inputs_pass() -> None:
    given = cohort()
    leakage.check_target(given.cases, [member.row.tissue for member in given.members])


def test_a_patient_in_two_given_folds_stops_the_training(tmp_path: Path) -> None:
    rows = [{"fold": "AB"[i % 2], "patient": f"p{i // 2}"} for i in range(60)]
    given = cohort(rows=rows)
    with pytest.raises(PatientInTwoFolds, match="30 of 30 patients"):
        train(form(tmp_path), given, tmp_path / "out", make_keys(tmp_path).pair.private_pem, 1, lambda said: None)
    assert not (tmp_path / "out").exists()


def images_of(given: Cohort, patients: Mapping[int, str]) -> Cohort:
    """The cohort, the images of some members of other patients ('' of none)."""
    members = list(given.members)
    for place, whose in patients.items():
        found = members[place].findings
        anonymous = hashlib.sha256(found.study_instance_uid.encode()).hexdigest()[:16]
        members[place] = replace(members[place], findings=replace(found, patient=whose or anonymous))
    return replace(given, members=tuple(members))


@pytest.mark.parametrize(
    ("names", "said"), [({3: "A"}, "'A' and nothing"), ({3: "A", 8: "B"}, "'A' and 'B'")], ids=["partly", "otherwise"]
)
def test_one_person_by_the_images_whom_the_table_calls_two_is_refused(
    tmp_path: Path, names: dict[int, str], said: str
) -> None:
    rows = [{"patient": names.get(i, "")} for i in range(60)]
    given = images_of(cohort(rows=rows), {3: "same", 8: "same"})
    with pytest.raises(PatientInTwoFolds, match=f"1.2.3 and 1.2.8 have one PatientID.*{said}"):
        leakage.check(form(tmp_path), given)


def test_a_placeholder_for_half_of_the_images_is_named_in_the_remedy(tmp_path: Path) -> None:
    given = images_of(cohort(rows=[{"patient": f"p{i}"} for i in range(60)]), dict.fromkeys(range(30), "ANON"))
    with pytest.raises(PatientInTwoFolds) as told:
        leakage.check(form(tmp_path), given)
    assert "put in for several when they were made anonymous, take it out" in told.value.remedy


def test_one_name_for_several_patient_ids_and_a_name_for_all_are_no_contradiction(tmp_path: Path) -> None:
    rows = [{"patient": "A" if i in (3, 8) else ""} for i in range(60)]
    leakage.check(form(tmp_path), cohort(rows=rows))
    named = cohort(rows=[{"patient": "A" if i in (3, 8) else f"p{i}"} for i in range(60)])
    leakage.check(form(tmp_path), images_of(named, {3: "same", 8: "same"}))


def test_where_all_images_have_one_patient_id_the_table_tells_people_apart_and_a_warning_says_so(
    tmp_path: Path,
) -> None:
    everywhere = dict.fromkeys(range(60), "ANON")
    given = images_of(cohort(rows=[{"patient": f"p{i // 2}"} for i in range(60)]), everywhere)
    leakage.check(form(tmp_path), given)
    assert any("one PatientID, which tells nobody apart" in said for said in leakage.warnings(form(tmp_path), given))


def test_studies_without_patient_id_are_warned_of_unless_the_table_names_the_person(tmp_path: Path) -> None:
    given = images_of(cohort(rows=[{"patient": "A"}]), {0: "", 1: "", 2: ""})
    leakage.check(form(tmp_path), given)
    assert any(said.startswith("NO PATIENT: 2 of 60") for said in leakage.warnings(form(tmp_path), given))
    assert not any("NO PATIENT" in said for said in leakage.warnings(form(tmp_path), cohort()))


@pytest.mark.parametrize(("values", "refused"), [(10, True), (9, False)])
def test_a_study_that_was_made_anonymous_twice_is_refused_unless_the_table_says_whose_it_is(
    tmp_path: Path, values: int, refused: bool
) -> None:
    def copied(given: Cohort) -> Cohort:
        members = list(given.members)
        (one,) = members[3].findings.quantities
        several = tuple(replace(one, value=one.value + i) for i in range(values))
        for place in (3, 8):
            members[place] = replace(members[place], findings=replace(members[place].findings, quantities=several))
        return replace(given, members=tuple(members))

    told = form(tmp_path)
    leakage.check(told, copied(cohort(rows=[{"patient": "A" if i in (3, 8) else ""} for i in range(60)])))
    with (
        pytest.raises(PatientInTwoFolds, match=r"10 values measured in 1\.2\.3 and 1\.2\.8")
        if refused
        else nullcontext()
    ):
        leakage.check(told, copied(cohort()))


def test_inputs_that_determine_another_are_named_where_no_penalty_chooses_among_them(tmp_path: Path) -> None:
    given, rng = cohort(), np.random.default_rng(2)
    plain = rng.normal(40, 6, len(given.cases))
    cases = with_input("plain", plain, given)
    portal = cases.values[:, cases.names.index("portal_mean")]
    several = Cases(
        (*cases.names, "difference"), np.column_stack([cases.values, portal - plain]), cases.labels, cases.patients
    )
    told = form(tmp_path)
    assert list(leakage.collinear(told, cases)) == []
    (said,) = leakage.collinear(told, several)
    assert "difference follows from portal_mean, plain;" in said
    assert any("COLLINEAR" in one for one in leakage.warnings(told, replace(given, cases=several)))
    penalised = form(tmp_path / "other", ('model = "logistic"', 'model = "lasso-logistic"'))
    assert list(leakage.collinear(penalised, several)) == []


def test_fewer_than_ten_events_a_coefficient_are_warned_of_loudly(tmp_path: Path) -> None:
    assert "TOO FEW EVENTS: 10 patients of the rarer class for 2" in leakage.warnings(form(tmp_path), cohort(30))[0]
    assert not any("EVENTS" in said for said in leakage.warnings(form(tmp_path), cohort(60)))


def test_studies_of_one_patient_count_once(tmp_path: Path) -> None:
    """60 studies of 12 patients, 4 of them positive."""
    given = cohort(rows=[{"patient": f"p{i % 12}"} for i in range(60)])
    said = leakage.warnings(form(tmp_path), given)
    assert any(one.startswith("TOO FEW EVENTS: 4 patients of the rarer class") for one in said)
    assert any(one.startswith("TOO FEW PATIENTS: 12 in 60 cases, the form wants 30") for one in said)
    assert not any("TOO FEW" in one for one in leakage.warnings(form(tmp_path), cohort()))


def test_missing_dates_and_discordant_results_are_warned_of(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"dates": {}}, {"tissue": Tissue(1, True)}]
    said = " ".join(leakage.warnings(form(tmp_path), cohort(rows=rows)))
    assert "1 of 60 cases lack dates" in said
    assert "1 cases have an ISH that contradicts" in said
