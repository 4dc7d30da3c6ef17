"""What `her2node train` takes: packages of the kind form, those that ship among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node.dicom.codes import Unit
from her2node.errors import CohortRefused, PackageRefused, RoleAmbiguous, RoleMissing
from her2node.models.inputs import Where
from her2node.models.literature.forms import INVERTED
from her2node.models.manifest import QuantityInput, Scalar
from her2node.models.package import SHIPPED, load
from her2node.models.predicting import Standing
from her2node.quantities import signature
from her2node.quantities.quantity import Quantity
from her2node.quantities.radiomics import catalogue
from her2node.selection.roles import Role
from her2node.training.arrays import Cases
from her2node.training.cohort import Cohort, join
from her2node.training.course import train
from her2node.training.findings import Findings
from her2node.training.form import UPRIGHT, Form, kept_features, read, with_candidates
from tests.models.making import make_keys
from tests.training.making import cohort, findings, form

RADIOMICS = SHIPPED / "wangshuxing2021-radscore"
SHIPPED_FORMS = sorted(
    folder
    for folder in SHIPPED.iterdir()
    if folder.is_dir() and 'kind = "form"' in (folder / "package.toml").read_text()
)


@pytest.mark.parametrize("folder", SHIPPED_FORMS, ids=lambda folder: folder.name)
def test_every_form_that_ships_is_one_that_can_be_trained(folder: Path) -> None:
    found = read(folder)
    assert f"Train this form ({found.said.training.model})" in " ".join(found.said.training.must)
    assert (found.name, found.version) == (f"{folder.name}-trained", "1.0.0")
    assert found.said.training.candidates is None or found.signature is not None


def test_the_package_that_comes_out_may_be_named() -> None:
    found = read(RADIOMICS, "ours@2.1.0")
    assert (found.name, found.version) == ("ours", "2.1.0")


def test_a_package_of_another_kind_is_no_form() -> None:
    with pytest.raises(PackageRefused, match="of the kind scalar, not a form"):
        read(SHIPPED / "lee2017-portal-liver")


def radiomic(found: Form, number: int, rng: np.random.Generator, lacking: tuple[str, ...] = ()) -> Findings:
    """Findings with every radiomics feature of a form's configuration, at random, but for those that are lacking."""
    wanted = found.signature
    assert wanted is not None
    assert wanted.radiomics is not None
    quantities = tuple(
        Quantity(
            "t",
            Role.PORTAL,
            name.code,
            float(rng.normal()),
            Unit.ONE,
            name.aggregation,
            wanted.radiomics.method,
            ("1.3",),
        )
        for tag, name in catalogue(wanted.radiomics).items()
        if tag not in lacking
    )
    return findings(number, 80.0, quantities=quantities)


def test_candidates_are_the_features_of_the_configuration_in_its_roles_that_hardly_any_study_lacks() -> None:
    asked, rng = read(RADIOMICS), np.random.default_rng(1)
    wanted = asked.signature
    assert wanted is not None
    assert wanted.radiomics is not None
    lacking = [("stat_mean", "stat_var"), ("stat_mean",), ("stat_mean",)] + [()] * 17
    studies = [radiomic(asked, i, rng, lacking[i]) for i in range(20)]
    names = with_candidates(asked, studies).names
    assert names[0] == "ct_t_stage"
    assert set(names[1:]) == {f"portal_{tag.lower()}" for tag in catalogue(wanted.radiomics)} - {"portal_stat_mean"}
    other = Standing(Where("t", {(Role.PORTAL, None): "1.4"}), ())
    elsewhere = [replace(one, standing=other) for one in studies]
    with pytest.raises(CohortRefused, match="no feature of ibsi-c"):
        with_candidates(asked, elsewhere)


def radiomic_cohort(asked: Form, count: int = 80) -> tuple[Form, Cohort]:
    """Labels that hang on the entropy of the histogram alone, among histogram and statistics."""
    rng = np.random.default_rng(3)
    assert asked.signature is not None
    assert asked.signature.radiomics is not None
    others = tuple(tag for tag in catalogue(asked.signature.radiomics) if not tag.startswith(("ih_", "stat_")))
    base = cohort(count)
    studies = [radiomic(asked, i, rng, others) for i in range(count)]
    told = with_candidates(asked, studies)
    rows = [replace(member.row, entered={"ct_t_stage": str(1 + i % 4)}) for i, member in enumerate(base.members)]
    joined = join(told.said, rows, {one.study_instance_uid: one for one in studies}, scanners=False)
    cases = joined.cases
    values = cases.values.copy()
    values[:, cases.names.index("portal_ih_entropy")] += 3.0 * cases.labels
    return told, replace(joined, cases=Cases(cases.names, values, cases.labels, cases.patients))


def test_a_radiomics_form_becomes_a_package_that_carries_its_features_and_loads(tmp_path: Path) -> None:
    told, cases = radiomic_cohort(read(RADIOMICS))
    keys = make_keys(tmp_path)
    done = train(told, cases, tmp_path / "out", keys.pair.private_pem, 1, lambda said: None)
    package = load(done.package, keys.trust)
    said = package.manifest
    assert isinstance(said, Scalar)
    measured = {given.name for given in said.inputs if isinstance(given, QuantityInput)}
    assert "portal_ih_entropy" in measured
    assert said.features == "features.toml"
    assert package.features is not None
    assert package.features.phases == (Role.PORTAL,)
    assert package.features.radiomics is not None
    assert {f"portal_{tag.lower()}" for tag in package.features.radiomics.features} == measured
    assert {given.name for given in said.inputs} - measured == {"ct_t_stage"}, "the nomogram's own, whatever it adds"
    assert package.features.methods() == signature.shipped("ibsi-c").methods()
    assert f"{len(told.names)} inputs, features of ibsi-c in portal among them" in package.card


def test_the_form_of_study_23_is_the_nomogram_of_a_radiomics_score_and_the_t_stage() -> None:
    told = read(RADIOMICS)
    assert told.said.training.model == "nomogram"
    assert [told.names[place] for place in told.plan.clinical] == ["ct_t_stage"]
    assert told.said.training.candidates is not None


def test_a_form_of_negative_tumours_becomes_a_package_that_says_it_is_of_positive_ones(tmp_path: Path) -> None:
    told = form(
        tmp_path,
        ('roi = "needed"\n', f'roi = "needed"\ncautions = ["{INVERTED}", "Mind the gap."]\n'),
        ("[training]", '[training]\nlabel = "her2-negative"'),
    )
    keys, given = make_keys(tmp_path), cohort()
    package = load(
        train(told, given, tmp_path / "out", keys.pair.private_pem, 1, lambda said: None).package, keys.trust
    )
    assert INVERTED not in package.manifest.cautions
    assert INVERTED not in package.card
    assert {"Mind the gap.", UPRIGHT} <= set(package.manifest.cautions)
    low, high = package.probabilities([{"metastasis": 0.0, "portal_mean": hu} for hu in (60.0, 110.0)])
    assert low < high, "positive tumours of the cohort are the brighter ones"


def test_no_form_that_ships_names_a_direction_or_negative_tumours_in_what_is_trained_from_it() -> None:
    for folder in SHIPPED_FORMS:
        told = read(folder)
        assert not {"higher", "lower", "HER2-negative", "HER2-positive"} & set(told.title.replace(",", " ").split())
        assert INVERTED not in told.cautions
    assert UPRIGHT in read(SHIPPED / "wangy-radiomics").cautions


def test_a_sites_own_features_file_is_carried_along_as_it_is(tmp_path: Path) -> None:
    own = '# ours\nphases = ["portal"]\nfamilies = ["stat"]\n' + signature.text_of("ibsi-a", ()).partition("\n")[2]
    folder = tmp_path / "form"
    folder.mkdir()
    text = (RADIOMICS / "package.toml").read_text().replace('"ibsi-c"', '"ibsi-a"')
    text = text.replace("inputs = []\n", "").replace('roi = "needed"\n', 'roi = "needed"\nfeatures = "own.toml"\n')
    (folder / "package.toml").write_text(text)
    (folder / "CARD.md").write_text("# ours\n")
    (folder / "own.toml").write_text(own)
    asked = read(folder)
    told = with_candidates(asked, [radiomic(asked, i, np.random.default_rng(i)) for i in range(3)])
    assert all(name.startswith("portal_stat_") for name in told.names[1:])
    assert kept_features(told, told.inputs) == own
    assert kept_features(told, told.inputs[:1]) == ""
    (folder / "own.toml").write_text(own.replace('name = "ibsi-a"', 'name = "other"'))
    with pytest.raises(PackageRefused, match="takes candidates of ibsi-a, its features are other"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "logistic"', 'model = "forest"', "model"),
        ('model = "logistic"', 'model = "nomogram"', "for a nomogram, and for nothing else"),
        (
            'model = "logistic"',
            'model = "lasso-logistic"\nclinical = ["metastasis"]',
            "for a nomogram, and for nothing",
        ),
        ('model = "logistic"', 'model = "nomogram"\nclinical = ["age"]', "age in training.clinical"),
        (
            'model = "logistic"',
            'model = "nomogram"\nclinical = ["metastasis", "portal_mean"]',
            "score without inputs",
        ),
        ("[training]", '[training]\ncandidates = { configuration = "ibsi-c", roles = ["arterial"] }', "not require"),
        ('"metastasis"', '"scanner"', None),
        ("format = 1", "format = 1\nweights = 3", "weights"),
        ('model = "logistic"', 'model = "nda-ann"\nharmonise = true', "harmonises the inputs of nda-ann"),
    ],
)
def test_a_form_that_cannot_be_used_is_refused_by_key(tmp_path: Path, old: str, new: str, said: str | None) -> None:
    changes: list[tuple[str, str]] = [(old, new)]
    if said is None:
        changes.append(("[training]", "[training]\nharmonise = true"))
    with pytest.raises(PackageRefused, match=said or "for which a harmonised package asks by itself"):
        form(tmp_path, *changes)


def test_a_study_in_which_no_series_plays_a_role_is_left_out_with_the_reason(tmp_path: Path) -> None:
    base = cohort(5)
    studies = {member.findings.study_instance_uid: member.findings for member in base.members}
    studies |= {
        "1.2.1": replace(studies["1.2.1"], standing=RoleMissing("no series plays the role portal")),
        "1.2.2": replace(studies["1.2.2"], standing=RoleAmbiguous("two are alike")),
    }
    found = join(form(tmp_path).said, [member.row for member in base.members], studies, scanners=False)
    reasons = dict(found.excluded)
    assert "no series plays the role portal" in reasons["1.2.1"]
    assert "two are alike" in reasons["1.2.2"]
