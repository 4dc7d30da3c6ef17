from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.errors import DemonstrationOnly, NoRoi, NothingLearned, ScannerUnknown
from her2node.models import manifest as manifests
from her2node.models.applicability import judge
from her2node.models.manifest import Limits, Requirement, Scalar
from her2node.models.package import Package, load
from her2node.models.predicting import Conditions, Findings, Standing, answer, predict
from her2node.models.prediction import Level, Prediction
from her2node.models.wanted import ScannerInput
from her2node.reports.wording import input_used
from her2node.selection.choice import Selection
from her2node.selection.roles import Role
from her2node.selection.study import Study, group
from her2node.training.arrays import Cases
from her2node.training.cohort import Cohort
from her2node.training.course import Trained, train
from her2node.training.findings import Made
from her2node.training.labels import OF_PHANTOMS
from her2node.training.packaging import study_digest
from her2node.training.toml_text import toml
from tests.models.making import Keys, make_keys, small
from tests.selection.headers import instance
from tests.training.making import cohort, form

NOWHERE = Findings(Study("1.2", ()), Selection((), {}, {}), (), (), NoRoi())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Keys, list[str]]:
    folder = tmp_path_factory.mktemp("trained")
    keys = make_keys(folder)
    said: list[str] = []
    told = train(form(folder), cohort(), folder / "out", keys.pair.private_pem, 1, said.append)
    return told, keys, said


def loaded(trained: tuple[Trained, Keys, list[str]]) -> Package:
    told, keys, _ = trained
    return load(told.package, keys.trust)


def test_the_package_loads_for_who_trusts_the_key_and_says_what_it_was_trained_on(
    trained: tuple[Trained, Keys, list[str]],
) -> None:
    package = loaded(trained)
    said = package.manifest
    assert isinstance(said, Scalar)
    assert (said.name, said.level) == ("ours-trained", Level.SITE_TRAINED)
    assert "logistic trained on 60 studies of 60 patients" in said.citation
    assert (said.prior.positives, said.prior.negatives) == (20, 40)
    assert "2+ without ISH" in said.prior.source
    assert package.trusted_by != "shipped"
    assert said.logistic is not None
    assert bool(said.logistic.covariance) is (said.venn_abers is None)


def test_the_package_says_what_the_model_says(trained: tuple[Trained, Keys, list[str]]) -> None:
    given_cases = cohort().cases
    package, model = loaded(trained), trained[0].model
    rows = [dict(zip(given_cases.names, row, strict=True)) for row in given_cases.values.tolist()]
    assert package.probabilities(rows) == pytest.approx(
        1 / (1 + np.exp(-model.log_odds(given_cases.values))), abs=1e-12
    )


def test_ranges_of_the_cohort_become_what_is_usual(trained: tuple[Trained, Keys, list[str]]) -> None:
    said = loaded(trained).manifest
    portal = said.inputs[1]
    column = cohort().cases.values[:, 1]
    assert portal.limits.usual == pytest.approx((column.min(), column.max()))
    assert portal.limits.hard == (-200.0, 400.0)
    assert said.requires[0].slice_thickness_mm is not None
    assert said.requires[0].slice_thickness_mm.usual == (3.0, 3.0)
    assert said.age_years is not None
    assert said.age_years.usual == (50.0, 69.0)


@pytest.mark.parametrize(
    ("model", "said"), [("lda-1nn", "nearest training case"), ("nda-ann", "2 hidden units of all inputs")]
)
def test_the_classifiers_of_study_20_become_packages_too(tmp_path: Path, model: str, said: str) -> None:
    keys, cases = make_keys(tmp_path), cohort().cases
    wanted = form(tmp_path, ('model = "logistic"', f'model = "{model}"'))
    told = train(wanted, cohort(), tmp_path / "out", keys.pair.private_pem, 1, lambda _: None)
    package = load(told.package, keys.trust)
    rows = [dict(zip(cases.names, row, strict=True)) for row in cases.values.tolist()]
    assert package.probabilities(rows) == pytest.approx(1 / (1 + np.exp(-told.model.log_odds(cases.values))), abs=1e-12)
    assert said in told.report[0].read_text()
    assert "Nomogram" not in told.report[0].read_text()
    assert not any("NO FINITE MAXIMUM" in one for one in told.warnings)


@pytest.mark.parametrize("mark", [0, 7, 60])
def test_a_cohort_with_a_phantom_in_it_makes_a_package_for_demonstrations_alone(tmp_path: Path, mark: int) -> None:
    keys, base = make_keys(tmp_path), cohort()
    members = tuple(
        replace(member, findings=replace(member.findings, synthetic=place < mark))
        for place, member in enumerate(base.members)
    )
    told = train(
        form(tmp_path), replace(base, members=members), tmp_path / "out", keys.pair.private_pem, 1, lambda _: None,
        synthetic=mark == 0,
    )  # fmt: skip
    package = load(told.package, keys.trust)
    assert told.level is package.manifest.level is Level.SYNTHETIC_DEMO
    assert "say nothing about patients" in package.manifest.intended_use
    assert any(f"{mark} of 60 studies say that they are of phantoms" in said for said in package.manifest.cautions)
    assert "Level `synthetic-demo`" in package.card
    assert isinstance(package.manifest, Scalar)
    assert package.manifest.reference_test == f"None: labels are {OF_PHANTOMS}"
    assert package.manifest.roi_protocol == ""
    assert package.manifest.prior.source == f"the training cohort; {OF_PHANTOMS}"
    assert "IHC 3+" not in package.card
    assert "IHC 3+" not in told.report[0].read_text()
    with pytest.raises(DemonstrationOnly):
        predict(package, NOWHERE, Conditions({}))


def test_no_patients_values_stand_in_the_package(trained: tuple[Trained, Keys, list[str]]) -> None:
    told = trained[0]
    text = "".join(path.read_text(errors="replace") for path in told.package.iterdir() if path.suffix != ".onnx")
    assert "1.2.17" not in text
    rows = {tuple(row) for row in cohort().cases.values.tolist()}
    cases = json.loads((told.package / "cases.json").read_text())
    assert not rows & {tuple(case["inputs"].values()) for case in cases}
    record = json.loads((told.package / "training.json").read_text())
    assert record["studies_sha256"] == sorted(study_digest(f"1.2.{i}") for i in range(60))


def test_the_report_is_there_as_html_and_pdf_with_plots_and_a_nomogram(
    trained: tuple[Trained, Keys, list[str]],
) -> None:
    page, sheets = trained[0].report
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 5
    for wanted in (
        "AUC of the fitted pipeline",
        "DeLong",
        "Brier",
        "Nomogram",
        "Decision curve",
        "not a medical device",
    ):
        assert wanted in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert sheets.read_bytes().startswith(b"%PDF")


def test_the_same_cohort_and_seed_give_the_same_package_and_report_byte_for_byte(
    trained: tuple[Trained, Keys, list[str]], tmp_path: Path
) -> None:
    told, keys, _ = trained
    again = train(form(tmp_path), cohort(), tmp_path / "out", keys.pair.private_pem, 1, lambda said: None)
    for path in told.package.iterdir():
        assert (again.package / path.name).read_bytes() == path.read_bytes(), path.name
    for first, second in zip(told.report, again.report, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_warnings_are_said_and_stand_in_report_card_and_every_answer(tmp_path: Path) -> None:
    said: list[str] = []
    keys = make_keys(tmp_path)
    told = train(form(tmp_path), cohort(33), tmp_path / "out", keys.pair.private_pem, 1, said.append)
    assert any(line.startswith("WARNING: TOO FEW EVENTS: 11") for line in said)
    assert "TOO FEW EVENTS" in told.report[0].read_text()
    package = load(told.package, keys.trust)
    assert "TOO FEW EVENTS" in package.card
    assert any("TOO FEW EVENTS" in caution for caution in package.manifest.cautions)


def test_where_nothing_is_learned_there_is_a_report_and_no_package(tmp_path: Path) -> None:
    base = cohort()
    noise = np.random.default_rng(1).normal(80, 10, size=base.cases.values.shape)
    nothing = replace(base, cases=Cases(base.cases.names, noise, base.cases.labels, base.cases.patients))
    lasso = form(tmp_path, ('model = "logistic"', 'model = "lasso-logistic"'))
    with pytest.raises(NothingLearned, match="keeps none of 2 inputs"):
        train(lasso, nothing, tmp_path / "out", make_keys(tmp_path).pair.private_pem, 1, lambda said: None)
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "packages" / "ours-trained").exists()


def harmonised(folder: Path, keys: Keys) -> tuple[Trained, Cohort]:
    """What is trained on two scanners, the second of which stretches, and the cohort before it did."""
    rows = [{"scanner": "AB"[i % 2]} for i in range(60)]
    base = cohort(rows=rows)
    on_b = np.arange(60) % 2 == 1
    values = base.cases.values.copy()
    values[on_b, 1] = 2 * values[on_b, 1] + 10
    scanners = tuple(member.scanner for member in base.members)
    both = replace(base, cases=Cases(base.cases.names, values, base.cases.labels, base.cases.patients, scanners))
    wanted = form(folder, ("[training]", "[training]\nharmonise = true"))
    return train(wanted, both, folder / "out", keys.pair.private_pem, 1, lambda said: None), base


def test_a_harmonised_package_answers_for_the_scanner_that_the_header_tells_and_for_no_other(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    told, base = harmonised(tmp_path, keys)
    package = load(told.package, keys.trust)
    manifest = package.manifest
    assert isinstance(manifest, Scalar)
    steps = manifest.venn_abers
    assert steps is not None
    assert "60 cases of 60 patients, 20 positive" in steps.source
    assert steps.of(-9.0)[0] < steps.of(9.0)[0]
    asked = manifest.inputs[-1]
    assert isinstance(asked, ScannerInput)
    assert (asked.name, asked.scanners) == ("scanner", ("A", "B"))
    found = base.members[0].findings
    assert isinstance(found.standing, Standing)
    portal = found.quantities[0].value
    for scanner in "AB":
        there = replace(found.standing, where=replace(found.where, scanners=(scanner,)))
        said = answer(package, there, found.quantities, (), Conditions({"metastasis": "1"}))
        assert isinstance(said, Prediction)
        odds = told.model.log_odds(np.array([[1.0, portal]]), [scanner])[0]
        assert said.answers[0].probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-12)
        assert said.open_inputs == ()
        assert f"scanner = {'AB'.index(scanner)} (told by the headers: {scanner})" in input_used(
            said.answers[0].inputs[-1]
        )
    with pytest.raises(ScannerUnknown, match="Maker Model"):
        answer(package, found.standing, found.quantities, (), Conditions({"metastasis": "1"}))
    said = answer(package, found.standing, found.quantities, (), Conditions({"metastasis": "1", "scanner": "B"}))
    assert isinstance(said, Prediction)
    assert said.answers[0].probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-12)


def requirement(folder: Path, made: Sequence[Made], *changes: tuple[str, str], synthetic: bool = False) -> Requirement:
    """What the package requires of its portal series, trained on series that were made so, in turn."""
    base, keys = cohort(), make_keys(folder)
    members = tuple(
        replace(one, findings=replace(one.findings, made={(Role.PORTAL, None): made[place % len(made)]}))
        for place, one in enumerate(base.members)
    )
    wanted = form(folder, *changes)
    told = train(
        wanted, replace(base, members=members), folder / "out", keys.pair.private_pem, 1, print, synthetic=synthetic
    )
    (found,) = load(told.package, keys.trust).manifest.requires
    return found


MADE = (Made(3.0, 120.0, "B30f 3", "SIEMENS Force (2)"), Made(5.0, 120.0, "FC03", "TOSHIBA Aquilion"))


def test_the_scanners_and_kernels_of_the_cohort_are_the_usual_ones_and_others_are_flagged(tmp_path: Path) -> None:
    told = requirement(tmp_path, (*MADE, Made(3.0, 120.0, "FC03", "")))
    assert (told.usual_kernel, told.slice_thickness_mm) == (r"^(?:B30f\ 3|FC03)$", Limits(usual=(3.0, 5.0)))
    asked = replace(small(tmp_path / "small").manifest, requires=(told,))
    for maker, model, kernel, kinds in (
        ("Siemens", "Force (2)", ["B30f", "3"], set()),
        ("TOSHIBA", "Aquilion", "FC03", set()),
        ("TOSHIBA", "Aquilion ONE", "FC03", {"scanner"}),
        ("SIEMENS", "Force (2)", "B30f", {"kernel"}),
        ("", "", "", {"scanner", "kernel"}),
    ):
        header = {"Manufacturer": maker, "ManufacturerModelName": model, "ConvolutionKernel": kernel}
        (series,) = group([instance("1.2.3.1", SliceThickness=3.0, KVP=120.0, **header)]).series
        flags = judge(asked, {(Role.PORTAL, None): series})
        assert {flag.kind for flag in flags} == kinds


def test_kernels_are_not_named_where_that_could_give_a_package_other_series_than_trained(tmp_path: Path) -> None:
    untold = requirement(tmp_path / "untold", (*MADE, Made(3.0, 120.0, "", "GE")))
    assert (untold.usual_kernel, untold.usual_scanner) == ("", r"^(?:GE|SIEMENS\ Force\ \(2\)|TOSHIBA\ Aquilion)$")
    thin = ('role = "portal"\n\n', 'role = "portal"\nslice_thickness_mm = { usual = [0.0, 4.0] }\n\n')
    assert requirement(tmp_path / "thick", MADE, thin).usual_kernel == ""
    assert requirement(tmp_path / "thin", MADE[:1], thin).usual_kernel == r"^(?:B30f\ 3)$"


def test_what_the_form_names_stays_and_of_phantoms_no_scanner_is_usual(tmp_path: Path) -> None:
    named = ('role = "portal"\n\n', 'role = "portal"\nusual_kernel = "^B"\nusual_scanner = "SIEMENS"\n\n')
    told = requirement(tmp_path / "named", MADE[:1], named)
    assert (told.usual_kernel, told.usual_scanner) == ("^B", "SIEMENS")
    told = requirement(tmp_path / "phantoms", MADE, synthetic=True)
    assert (told.usual_kernel, told.usual_scanner) == ("", "")


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None)
@given(TEXT, st.floats(allow_nan=False, allow_infinity=False), st.lists(TEXT.filter(bool), min_size=1, max_size=3))
def test_what_is_written_as_toml_is_read_as_what_it_was(said: str, number: float, several: list[str]) -> None:
    import tomllib

    content = {"said": said, "number": number, "table": {"a": number, "b": several}, "tables": [{"x": 1}, {"y": [1.5]}]}
    found = tomllib.loads(toml(content))
    assert found == {key: value for key, value in content.items() if value != ""}


def test_the_form_of_a_package_is_a_manifest(trained: tuple[Trained, Keys, list[str]]) -> None:
    content = (trained[0].package / "package.toml").read_bytes()
    assert isinstance(manifests.parse(content), Scalar)
