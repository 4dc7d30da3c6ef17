from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from her2node.errors import CohortRefused, LabelRefused, NoRoi, PatientInTwoFolds
from her2node.models.predicting import Standing
from her2node.training.cohort import Source, join, read_table, studies_in, with_entered
from her2node.training.course import gather
from her2node.training.findings import Finder, Findings
from her2node.training.leakage import check, warnings
from tests.training.making import findings, form

HEADER = "study,ihc,ish,metastasis,metastasis_date,specimen,specimen_date,patient\n"
LINES = "1.2.0,3+,,1,2024-03-01,Biopsy,2024-02-01,\n1.2.1,1+,,0,,,,anna\n1.2.2,2+,negative,0,,,,\n1.2.3,2+,,1,,,,\n"


def table(folder: Path, content: str = HEADER + LINES) -> Path:
    (folder / "table.csv").write_text(content, encoding="utf-8")
    return folder / "table.csv"


def found() -> dict[str, Findings]:
    return {f"case-{i}": findings(i, 80.0 + i) for i in range(4)}


def test_rows_and_studies_are_joined_and_what_has_no_label_is_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path), ["metastasis"])
    cohort = join(form(tmp_path).said, rows, found(), scanners=False)
    assert cohort.cases.values.tolist() == [[1.0, 80.0], [0.0, 81.0], [0.0, 82.0]]
    assert cohort.cases.labels.tolist() == [True, False, False]
    assert cohort.cases.patients == ("p0", "anna", "p2")
    assert cohort.excluded == (("1.2.3", "label-refused: IHC 2+ without ISH"),)


def test_a_study_may_be_named_by_its_folder(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, HEADER + LINES.replace("1.2.", "case-")), ["metastasis"])
    assert len(join(form(tmp_path).said, rows, found(), scanners=False).cases) == 3


def test_a_study_that_is_named_by_its_folder_and_by_its_uid_is_refused_for_it_is_one_case(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, HEADER + LINES + "case-1,1+,,0,,,,\n"), ["metastasis"])
    with pytest.raises(CohortRefused, match=r"1\.2\.1 and case-1 are one and the same study"):
        join(form(tmp_path).said, rows, found(), scanners=False)


def test_a_patient_whose_issuer_lacks_once_is_one_person_and_may_not_be_called_two(tmp_path: Path) -> None:
    told = found() | {"case-0": findings(0, 80.0, patient="p1 of ours", unissued="p1"), "case-1": findings(1, 81.0)}
    rows = read_table(table(tmp_path, HEADER + LINES.replace("anna", "")), ["metastasis"])
    cohort = join(form(tmp_path).said, rows, told, scanners=False)
    assert cohort.cases.patients == ("p1", "p1", "p2")
    torn = read_table(table(tmp_path), ["metastasis"])
    with pytest.raises(PatientInTwoFolds, match=r"1\.2\.0 and 1\.2\.1 have one PatientID"):
        check(form(tmp_path), join(form(tmp_path).said, torn, told, scanners=False))


class Known(Finder):
    """Finds what was found before, by the name of the file."""

    def find(
        self, files: Sequence[Path], entered: Mapping[str, str], roles: Mapping[str, str] = MappingProxyType({})
    ) -> Findings:
        return found()[files[0].name]


def test_what_readers_entered_in_the_node_counts_where_the_table_says_nothing(tmp_path: Path) -> None:
    """``depth`` is an input of another package: nobody asks for its date."""
    asked = form(tmp_path)
    lines = "study,ihc,metastasis\n1.2.0,3+,\n1.2.1,1+,1\n1.2.2,0,\n"
    rows = read_table(table(tmp_path, lines), ["metastasis"], alone=False)
    told: list[dict[str, str]] = [{"metastasis": "1", "depth": "4"}, {"metastasis": "0"}, {}]
    sources = {f"1.2.{i}": Source((Path(f"case-{i}"),), entered) for i, entered in enumerate(told)}
    finder = Known(asked.package, lambda *_: pytest.fail("no image is read"), "", tmp_path)
    _, cohort = gather(asked, sources, rows, finder, lambda _: None)
    assert cohort.cases.values.tolist() == [[1.0, 80.0], [1.0, 81.0]]
    assert dict(cohort.members[0].row.entered) == {"metastasis": "1"}
    assert cohort.excluded == (("1.2.2", "metastasis is neither in the table nor entered in the node"),)
    assert "2 of 2 cases lack dates" in " ".join(warnings(asked, cohort))


def test_a_column_of_an_input_may_lack_only_where_the_node_was_told_too(tmp_path: Path) -> None:
    file = table(tmp_path, "study,ihc\n1.2.0,3+\n")
    with pytest.raises(CohortRefused, match="lacks the column metastasis"):
        read_table(file, ["metastasis"])
    assert [row.study for row in read_table(file, ["metastasis"], alone=False)] == ["1.2.0"]


def test_nothing_that_is_missing_is_filled_in(tmp_path: Path) -> None:
    lines = LINES.replace("1.2.1,1+,,0", "1.2.1,1+,,") + "1.2.4,0,,1,,,,\n1.2.5,0,,1,,,,\n1.2.6,0,,1,,,,\n"
    rows = read_table(table(tmp_path, HEADER + lines), ["metastasis"])
    more = {
        "a": findings(4, 70.0, quantities=()),
        "b": findings(5, 70.0, quantities=(), standing=NoRoi("nobody drew one")),
        "c": findings(7, 900.0),
    }
    cohort = join(form(tmp_path).said, rows, {**found(), **more}, scanners=False)
    reasons = dict(cohort.excluded)
    assert reasons["1.2.1"] == "metastasis is neither in the table nor entered in the node"
    assert "portal_mean" in reasons["1.2.4"]
    assert "nobody drew one" in reasons["1.2.5"]
    assert reasons["1.2.6"] == "its study is not there"


def test_a_value_beyond_a_hard_limit_is_left_out(tmp_path: Path) -> None:
    studies = found() | {"case-0": findings(0, 900.0)}
    rows = read_table(table(tmp_path, HEADER + LINES + "1.2.3x,3+,,1,,,,\n"), ["metastasis"])
    with pytest.raises(CohortRefused, match="0 of 2 cases are positive"):
        join(form(tmp_path).said, rows, studies, scanners=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADER.replace("ihc,", "") + LINES, "lacks the column ihc"),
        (HEADER.replace("metastasis,", "met,") + LINES, "lacks the column metastasis"),
        (HEADER.replace("patient", "ki67") + LINES, "nobody asks for the column ki67"),
        (HEADER + LINES.replace("2024-02-01", "1 Feb"), "line 2: specimen_date '1 Feb'"),
        (HEADER + LINES.replace("Biopsy", "Gastrectomy"), "line 2: specimen 'gastrectomy'"),
        (HEADER + LINES.replace("Biopsy", "手术"), "specimen '手术'"),
        (HEADER + LINES + LINES.splitlines()[0], "line 6: the study 1.2.0 stands in line 2 already"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_column(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(CohortRefused, match=said):
        read_table(table(tmp_path, content), ["metastasis"])


def test_a_result_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(LabelRefused, match="line 3: IHC 'weak'"):
        read_table(table(tmp_path, HEADER + LINES.replace("1.2.1,1+", "1.2.1,weak")), ["metastasis"])


def test_studies_are_folders_or_a_list_of_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "image").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("# chosen\nall/two\n")
    assert set(studies_in(tmp_path / "all")) == {"one", "two"}
    assert {name: [p.name for p in found.files] for name, found in studies_in(tmp_path / "list.txt").items()} == {
        "two": ["image"]
    }
    (tmp_path / "none").mkdir()
    with pytest.raises(CohortRefused, match="no folder with a study"):
        studies_in(tmp_path / "none")


def test_for_a_harmonised_model_whose_scanner_nobody_knows_is_left_out(tmp_path: Path) -> None:
    lines = LINES.replace("anna\n", "anna,Ours 3\n").replace(",\n", ",,\n")
    rows = read_table(table(tmp_path, HEADER.replace("patient", "patient,scanner") + lines), ["metastasis"])
    told = found()
    assert isinstance(told["case-0"].standing, Standing)
    nobody, both = (
        replace(told["case-0"].standing, where=replace(told["case-0"].where, scanners=scanners))
        for scanners in (("",), ("GE One", "GE Two"))
    )
    told |= {"case-0": replace(told["case-0"], standing=nobody), "case-2": replace(told["case-2"], standing=both)}
    told |= {"case-4": findings(4, 84.0), "case-5": findings(5, 85.0)}
    more = [replace(rows[1], study="1.2.4", scanner=""), replace(rows[0], study="1.2.5")]
    cohort = join(form(tmp_path).said, [*rows, *more], told, scanners=True)
    assert cohort.cases.scanners == ("Ours 3", "Maker Model", "Maker Model")
    assert [(study, why.partition(":")[0]) for study, why in cohort.excluded][:2] == [
        ("1.2.0", "scanner-unknown"),
        ("1.2.2", "scanner-unknown"),
    ]


def test_the_scanner_that_a_reader_entered_in_the_node_counts_where_the_table_says_nothing(tmp_path: Path) -> None:
    row = read_table(table(tmp_path), ["metastasis"])[0]
    source = Source((), {"scanner": "Ours 3"})
    assert with_entered(row, source, ["metastasis"]).scanner == "Ours 3"
    assert with_entered(row, Source((), {"scanner": " Ours 3 "}), ["metastasis"]).scanner == "Ours 3"
    assert with_entered(replace(row, scanner="Ours 1"), source, ["metastasis"]).scanner == "Ours 1"
