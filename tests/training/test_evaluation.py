from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from her2node import reading
from her2node.errors import CohortRefused, FeatureFromTheFuture, NoRoi, PackageRefused, PatientInTwoFolds
from her2node.models.package import Package
from her2node.models.prediction import Answer, Category, Flag, Prediction
from her2node.phantoms import PhantomOptions, ct, write
from her2node.phantoms.anatomy import Phase
from her2node.reading import Reading
from her2node.selection.study import Study, open_instance, open_study
from her2node.training import patients
from her2node.training.cohort import Row, Source, studies_in
from her2node.training.document import as_html
from her2node.training.evaluation import Asked, asked, evaluate, report, rule_of
from her2node.training.findings import Finder
from her2node.training.labels import Tissue
from tests.models.making import small


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """Twelve studies of one image each: what a package says of them is the test's to say."""
    folder = tmp_path_factory.mktemp("studies")
    found = {}
    for number in range(12):
        options = PhantomOptions(seed=number, phases=(Phase.PORTAL,), rows=64, columns=64, slices=1, rois=())
        found[f"case-{number}"] = Source(tuple(write(ct.make(options), folder / f"case-{number}")))
    return found


def rows(count: int = 12) -> list[Row]:
    return [Row(f"case-{i}", Tissue(3 if i % 3 == 0 else 0, None), entered={"place": str(i)}) for i in range(count)]


def answering(package: Package, probability: Mapping[int, float], refused: tuple[int, ...] = (), flag: str = ""):  # type: ignore[no-untyped-def]
    def ask(source: Source, entered: Mapping[str, str]) -> Asked:
        number = int(entered["place"])
        if number in refused:
            raise NoRoi("nobody drew one")
        said = probability.get(number, 0.5)
        category = Category.LIKELY if said >= 0.5 else Category.UNLIKELY
        flags = (Flag("input-range", flag),) if flag and number % 2 else ()
        found = Prediction(package.ref, (Answer((), said, category),), (), 0.2, "cohort", flags=flags)
        return Asked(uid_of(source), f"p{number}", found, identified=True)

    return ask


def uid_of(source: Source) -> str:
    return open_instance(source.files[0]).identity.study_instance_uid


def test_the_area_is_that_of_the_answers_and_refusals_are_left_out_with_the_reason(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package = small(tmp_path)
    said = {i: 0.9 - 0.01 * i if i % 3 == 0 else 0.2 + 0.01 * i for i in range(12)}
    found = evaluate(package, tmp_path, rows(), studies, answering(package, said, refused=(4,)))
    assert len(found.answered) == 11
    assert (found.auc.value, found.auc.low) == (1.0, pytest.approx(0.025 ** (1 / 4)))
    page = as_html(report(package, found))
    assert "1.000</td><td>0.398 to 1.000" in page
    assert "calibration slope (1 is perfect)</td><td>cannot be told</td><td>the cases do not determine it<" in page
    assert "of as many pairs as the rarer class has patients to itself" in " ".join(page.split())
    assert found.excluded == (("case-4", str(NoRoi("nobody drew one"))),)
    assert 1 / (1 + np.exp(-found.log_odds[0])) == pytest.approx([said[i] for i in range(12) if i != 4])


def test_the_report_counts_categories_and_flags(tmp_path: Path, studies: dict[str, Source]) -> None:
    package = small(tmp_path)
    said = {i: 0.9 if i in (0, 3, 4) else 0.1 for i in range(12)}
    ask = answering(package, said, flag="portal_mean 190 lies outside 0 to 150")
    page = as_html(report(package, evaluate(package, tmp_path, rows(), studies, ask)))
    assert "FEW PATIENTS: 4 of the rarer class" in page
    assert re.search(r"calibration slope \(1 is perfect\)</td><td>[\d.]+</td><td>-?[\d.]+ to [\d.]+<", page)
    assert "<td>likely</td><td>2</td><td>1</td>" in page
    assert "<td>unlikely</td><td>2</td><td>7</td>" in page
    assert "<td>input-range</td><td>6</td>" in page
    assert "Somebody 2023 found the opposite." in page


def test_a_study_that_trained_the_package_is_refused(tmp_path: Path, studies: dict[str, Source]) -> None:
    from her2node.training.packaging import study_digest

    package = small(tmp_path)
    uid = uid_of(studies["case-5"])
    (tmp_path / "training.json").write_text(f'{{"studies_sha256": ["{study_digest(uid)}"]}}')
    with pytest.raises(PatientInTwoFolds, match="case-5 is one that small was trained on"):
        evaluate(package, tmp_path, rows(), studies, answering(package, {}))


@pytest.mark.parametrize("content", ["[1]", "{", "[" * 5000])
def test_a_record_of_the_training_that_is_none_is_refused_by_name(
    tmp_path: Path, studies: dict[str, Source], content: str
) -> None:
    package = small(tmp_path)
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(PackageRefused, match=r"training\.json cannot be read"):
        evaluate(package, tmp_path, rows(), studies, answering(package, {}))


def trained_on(folder: Path, site_key: bytes, who: Sequence[str]) -> None:
    """Note beside a package, as its training does, that these patients trained it."""
    record = {"patients_by": patients.name_of(site_key), "patients_hmac": patients.digests(site_key, who)}
    (folder / "training.json").write_text(json.dumps(record))


def test_another_study_of_a_patient_who_trained_the_package_is_refused_at_the_site_that_trained_it(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package, ours, theirs = small(tmp_path), b"our site", b"another site"
    trained_on(tmp_path, ours, ["p5", "p77"])
    with pytest.raises(PatientInTwoFolds, match="case-5 is of a patient whom small was trained on by another study"):
        evaluate(package, tmp_path, rows(), studies, answering(package, {}), ours)
    elsewhere = evaluate(package, tmp_path, rows(), studies, answering(package, {}), theirs)
    assert "cannot be told here" in elsewhere.apart
    without = [row for row in rows() if row.study != "case-5"]
    apart = evaluate(package, tmp_path, without, studies, answering(package, {}), ours)
    assert apart.apart.startswith("No patient of this cohort")
    assert apart.apart in as_html(report(package, apart))


@pytest.mark.parametrize("whose", ["", "p5"], ids=["nobody's", "one for all"])
def test_a_cohort_whom_patient_id_tells_not_apart_is_not_said_to_be_another(
    tmp_path: Path, studies: dict[str, Source], whose: str
) -> None:
    package, ours = small(tmp_path), b"our site"
    trained_on(tmp_path, ours, ["p5"])
    ask = answering(package, {})

    def anonymous(source: Source, entered: Mapping[str, str]) -> Asked:
        told = ask(source, entered)
        return replace(told, patient=whose or told.study_instance_uid, identified=bool(whose))

    found = evaluate(package, tmp_path, rows(), studies, anonymous, ours)
    assert "cannot be told here: PatientID, missing or the same everywhere" in found.apart
    assert "No patient" not in found.apart


def test_how_many_studies_have_no_patient_id_is_said_beside_what_it_tells(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package, ours = small(tmp_path), b"our site"
    trained_on(tmp_path, ours, ["p77"])
    ask = answering(package, {})

    def partly(source: Source, entered: Mapping[str, str]) -> Asked:
        return replace(ask(source, entered), identified=int(entered["place"]) >= 4)

    found = evaluate(package, tmp_path, rows(), studies, partly, ours)
    assert found.apart.startswith("No patient of this cohort")
    assert found.apart.endswith("; 4 of 12 studies have none.")


def test_a_row_may_not_hide_by_another_name_a_patient_who_trained_the_package(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package, ours = small(tmp_path), b"our site"
    trained_on(tmp_path, ours, ["p5"])
    renamed = [replace(row, patient=f"other-{row.study}") for row in rows()]
    with pytest.raises(PatientInTwoFolds, match="case-5"):
        evaluate(package, tmp_path, renamed, studies, answering(package, {}), ours)


@pytest.mark.parametrize("issued_then", [True, False])
def test_a_patient_who_trained_the_package_is_told_though_the_issuer_lacks_once(
    tmp_path: Path, studies: dict[str, Source], issued_then: bool
) -> None:
    package, ours = small(tmp_path), b"our site"
    trained_on(tmp_path, ours, ["p5 of us", patients.issued("p5"), "p77"] if issued_then else ["p5", "p77"])
    ask = answering(package, {})

    def asking(issuer: str) -> Callable[[Source, Mapping[str, str]], Asked]:
        def ask_(source: Source, entered: Mapping[str, str]) -> Asked:
            told = ask(source, entered)
            return replace(told, patient=f"{told.patient} of {issuer}", unissued=told.patient) if issuer else told

        return ask_

    with pytest.raises(PatientInTwoFolds, match="case-5 is of a patient"):
        evaluate(package, tmp_path, rows(), studies, asking("" if issued_then else "us"), ours)
    if issued_then:
        assert evaluate(package, tmp_path, rows(), studies, asking("others"), ours).answered


def test_an_issuer_that_lacks_once_does_not_make_two_clusters_of_one_patient(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package = small(tmp_path)
    ask = answering(package, {})

    def partly(source: Source, entered: Mapping[str, str]) -> Asked:
        number = int(entered["place"])
        told = replace(ask(source, entered), patient=f"p{number // 2}")
        return replace(told, patient=f"{told.patient} of us", unissued=told.patient) if number % 2 else told

    assert len({case.patient for case in evaluate(package, tmp_path, rows(), studies, partly).answered}) == 6


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"specimen": "resection", "specimen_date": date(2001, 1, 1)}, "case-5 was made after the resection of 2001"),
        ({"treated": date(2001, 1, 1)}, "case-5 was made after treatment began on 2001-01-01"),
        ({"dates": {"metastasis": date(2024, 3, 9)}}, "metastasis of the study case-5 became known on 2024-03-09"),
    ],
)
def test_what_training_refuses_for_its_dates_evaluation_refuses_too(
    tmp_path: Path, studies: dict[str, Source], row: dict[str, Any], said: str
) -> None:
    package = small(tmp_path)
    ask = answering(package, {})

    def dated(source: Source, entered: Mapping[str, str]) -> Asked:
        return replace(ask(source, entered), studied=date(2024, 3, 1))

    given = [replace(one, **row) if one.study == "case-5" else one for one in rows()]
    with pytest.raises(FeatureFromTheFuture, match=said):
        evaluate(package, tmp_path, given, studies, dated)
    (tmp_path / "training.json").write_text('{"known_within_days": 8}')
    if "dates" in row:
        assert evaluate(package, tmp_path, given, studies, dated).answered


def test_a_date_is_no_other_patients_where_all_images_have_one_patient_id(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package = small(tmp_path)
    ask = answering(package, {})

    def anonymous(source: Source, entered: Mapping[str, str]) -> Asked:
        number = int(entered["place"])
        return replace(ask(source, entered), patient="ANON", studied=date(2024, 1 + number, 1))

    given = [replace(row, treated=date(2024, 1 + number, 9)) for number, row in enumerate(rows())]
    assert len(evaluate(package, tmp_path, given, studies, anonymous).answered) == 12


def test_one_person_by_the_images_whom_the_table_calls_two_is_refused(
    tmp_path: Path, studies: dict[str, Source]
) -> None:
    package = small(tmp_path)
    ask = answering(package, {})

    def alike(source: Source, entered: Mapping[str, str]) -> Asked:
        return replace(ask(source, entered), patient="p" if entered["place"] in "34" else f"p{entered['place']}")

    given = [replace(row, patient=f"person-{row.study}") for row in rows()]
    with pytest.raises(PatientInTwoFolds, match="case-3 and case-4 have one PatientID"):
        evaluate(package, tmp_path, given, studies, alike)


def test_what_depends_on_an_open_input_or_has_no_label_is_left_out(tmp_path: Path, studies: dict[str, Source]) -> None:
    package = small(tmp_path)

    def ask(source: Source, entered: Mapping[str, str]) -> Asked:
        answers = (Answer((), 0.1, Category.UNLIKELY), Answer((), 0.6, Category.LIKELY))
        open_inputs = ("metastasis",) if entered["place"] == "1" else ()
        said = Prediction(package.ref, answers, open_inputs, 0.2, "cohort")
        return Asked(uid_of(source), entered["place"], said, identified=True)

    given = [*rows(11), Row("case-11", Tissue(2, None), entered={"place": "11"}), Row("case-99", Tissue(0, None))]
    found = evaluate(package, tmp_path, given, studies, ask)
    assert dict(found.excluded) == {
        "case-1": "metastasis not in the table",
        "case-11": "IHC 2+ without ISH",
        "case-99": "its study is not there",
    }


def test_the_scanner_that_the_table_names_is_told_to_the_package(tmp_path: Path, studies: dict[str, Source]) -> None:
    package, told = small(tmp_path), {}
    ask = answering(package, {})

    def noting(source: Source, entered: Mapping[str, str]) -> Asked:
        told[entered["place"]] = entered.get("scanner")
        return ask(source, entered)

    given = [replace(row, scanner="GE Revolution" if row.entered["place"] == "3" else "") for row in rows()]
    evaluate(package, tmp_path, given, studies, noting)
    assert told == {str(i): "GE Revolution" if i == 3 else None for i in range(12)}


def test_answers_of_one_class_alone_are_no_evaluation(tmp_path: Path, studies: dict[str, Source]) -> None:
    package = small(tmp_path)
    with pytest.raises(CohortRefused, match="1 answers"):
        evaluate(package, tmp_path, rows(1), studies, answering(package, {}))


def test_a_study_that_is_named_twice_is_refused_for_it_is_one_case(tmp_path: Path, studies: dict[str, Source]) -> None:
    package, uid = small(tmp_path), uid_of(studies["case-3"])
    named = [*rows(), Row(uid, Tissue(3, None), entered={"place": "3"})]
    with pytest.raises(CohortRefused, match=f"case-3 and {uid} are one and the same study"):
        evaluate(package, tmp_path, named, studies | {uid: studies["case-3"]}, answering(package, {}))


def test_two_folders_of_one_study_are_refused_by_name(tmp_path: Path, studies: dict[str, Source]) -> None:
    for name in ("first", "second"):
        shutil.copytree(studies["case-3"].files[0].parents[1], tmp_path / "all" / name)
    with pytest.raises(CohortRefused, match="first and second are one and the same study"):
        studies_in(tmp_path / "all")


def test_studies_are_found_by_folder_and_by_uid(studies: dict[str, Source]) -> None:
    folder = studies["case-3"].files[0].parents[2]
    found = studies_in(folder)
    assert len(found) == 24
    assert found["case-3"] == found[uid_of(studies["case-3"])] == studies["case-3"]


def test_the_answer_is_the_nodes_own_and_no_image_is_read_for_a_second_one(tmp_path: Path) -> None:
    options = PhantomOptions(seed=7, phases=(Phase.PORTAL,), rows=64, columns=64, slices=16, slice_spacing_mm=8.0)
    source = Source(tuple(write(ct.make(options), tmp_path / "study")))
    package, times = small(tmp_path), []

    def read(
        study: Study, packages: Sequence[Package], entered: Mapping[str, str], roles: Mapping[str, str]
    ) -> Reading:
        times.append(study.study_instance_uid)
        return reading.read(study, packages, entered=entered)

    finder = Finder(package, read, "shape", tmp_path / "cache")
    said = {value: asked(finder, source, {"metastasis": value}).prediction for value in ("0", "1")}
    assert len(times) == 1
    for value, answer in said.items():
        (own,) = reading.read(open_study(source.files), (package,), entered={"metastasis": value}).predictions
        assert (answer.answers, answer.flags) == (own.answers, own.flags)
    assert said["0"].answers != said["1"].answers


def test_a_rule_of_the_label_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text('{"rule": "of-tomorrow"}')
    with pytest.raises(PackageRefused, match="rule 'of-tomorrow', which is not known"):
        rule_of(tmp_path)
