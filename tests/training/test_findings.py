from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from her2node import reading
from her2node.errors import EmptyStudy, OutsideIntendedUse, RoleMissing
from her2node.models.package import Package
from her2node.phantoms import PhantomOptions, RoiForm, ct, write
from her2node.phantoms.anatomy import Phase
from her2node.reading import Reading
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.training.findings import Finder, Findings, _wanted, digest, patient_of, persons
from her2node.training.form import Form
from tests.models.image.made import beholder, cases, middle_of_portal, replaced, sum_graph
from tests.training.making import form

OPTIONS = PhantomOptions(
    seed=7, phases=(Phase.PORTAL,), rows=64, columns=64, slices=16, slice_spacing_mm=8.0, rois=(RoiForm.BINARY,)
)


class Counted:
    """The node's reading, counted."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(
        self, study: Study, packages: Sequence[Package], entered: Mapping[str, str], roles: Mapping[str, str]
    ) -> Reading:
        self.times += 1
        return reading.read(study, packages, entered=entered)


def find(files: Sequence[Path], read: Counted, cache: Path, asked: Form, **entered: str) -> Findings:
    return Finder(asked.package, read, "shape", cache).find(files, entered)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(ct.make(OPTIONS), tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Form:
    return form(tmp_path_factory.mktemp("form"))


@pytest.fixture(scope="module")
def first(study: list[Path], cache: Path, asked: Form) -> Findings:
    return find(study, Counted(), cache, asked)


def test_what_is_found_is_what_the_node_reads(first: Findings) -> None:
    portal = [
        q.value for q in first.quantities if q.code.value == "112031" and q.modifier and q.modifier.meaning == "Mean"
    ]
    assert portal == pytest.approx([ct.make(OPTIONS).truth.tumour.hu[Phase.PORTAL]], abs=3)
    assert first.studied == date(2024, 3, 14)
    assert first.made[Role.PORTAL, None].slice_thickness_mm == 8.0
    assert first.made[Role.PORTAL, None].kvp == 120.0
    assert first.age_years == 64.0


def test_a_study_that_was_read_before_is_not_read_again_and_says_the_same(
    first: Findings, study: list[Path], cache: Path, asked: Form
) -> None:
    read = Counted()
    again = find(study[::-1], read, cache, asked, metastasis="1")
    assert read.times == 0
    assert again.standing == first.standing
    assert again.synthetic
    assert again.quantities == first.quantities
    assert [(r.role, r.code, str(r.refused)) for r in again.refusals] == [
        (r.role, r.code, str(r.refused)) for r in first.refusals
    ]
    assert (again.patient, again.studied, again.made) == (first.patient, first.studied, dict(first.made))


def test_packages_beside_are_read_along_and_each_finds_what_it_finds_alone(
    first: Findings, study: list[Path], asked: Form, tmp_path: Path
) -> None:
    thin = form(
        tmp_path / "thin", ('role = "portal"\n\n', 'role = "portal"\nslice_thickness_mm = { hard = [0.0, 2.0] }\n\n')
    )
    read, cache = Counted(), tmp_path / "cache"
    mine = Finder(asked.package, read, "shape", cache, (thin.package,)).find(study, {})
    other = Finder(thin.package, read, "shape", cache, (asked.package,)).find(study, {})
    assert read.times == 1
    assert (mine.standing, mine.quantities, mine.made) == (first.standing, first.quantities, dict(first.made))
    with pytest.raises(OutsideIntendedUse, match="slice thickness"):
        _ = other.where
    Finder(asked.package, read, "shape", cache).find(study, {})
    assert read.times == 2


def test_another_setting_or_another_byte_is_another_input(study: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    files = [tmp_path / "a", tmp_path / "b"]
    before = digest(files, "shape")
    assert digest(files[::-1], "shape") == before
    assert digest(files, "other") != before
    (tmp_path / "b").write_bytes(b"3")
    assert digest(files, "shape") != before


def test_refusals_keep_their_name_and_words(first: Findings, tmp_path: Path) -> None:
    from her2node.quantities.quantity import NotMeasured
    from her2node.training.findings import _refusal, _refusal_of

    refusal = NotMeasured("t", Role.PLAIN, RoleMissing("plain"))
    again = _refusal_of(_refusal(refusal))
    assert str(again.refused) == str(refusal.refused)
    assert again.refused.reason == "role-missing"


def test_the_patient_is_a_digest_and_never_a_name_or_number(first: Findings, cache: Path) -> None:
    text = next(cache.glob("*.json")).read_text()
    header = next(iter(ct.make(OPTIONS).datasets))
    assert str(header.PatientID) not in text
    assert str(header.PatientName) not in text
    assert len(first.patient) == 16


def test_another_network_that_looks_at_the_same_crop_is_another_input(tmp_path: Path) -> None:
    weights = middle_of_portal(0.5)
    one = beholder(tmp_path / "one")
    other = beholder(
        tmp_path / "other", **replaced("model.onnx", sum_graph(weights)), **replaced("cases.json", cases(weights))
    )
    assert _wanted(one) == _wanted(beholder(tmp_path / "again"))
    assert _wanted(one) != _wanted(other)


def test_one_patient_id_with_and_without_its_issuer_is_one_person_and_of_two_issuers_are_two(tmp_path: Path) -> None:
    def whose(issuer: str) -> tuple[str, str]:
        def issued(ds: Dataset) -> Dataset:
            if issuer:
                ds.IssuerOfPatientID = issuer
            return ds

        small = PhantomOptions(seed=7, phases=(Phase.PORTAL,), rows=64, columns=64, slices=1, rois=())
        return patient_of(open_study(write(ct.make(small).with_edit(issued), tmp_path / f"of-{issuer}")))

    ours, theirs, nobodys = whose("ours"), whose("theirs"), whose("")
    assert persons([ours, theirs]) == [ours[0], theirs[0]]
    assert ours[0] != theirs[0]
    assert len(set(persons([ours, nobodys, ours]))) == 1


def test_a_folder_without_a_study_is_refused(tmp_path: Path, asked: Form) -> None:
    (tmp_path / "x.dcm").write_bytes(b"no image")
    with pytest.raises(EmptyStudy):
        find([tmp_path / "x.dcm"], Counted(), tmp_path / "cache", asked)


def test_what_the_node_itself_asks_readers_for_is_another_input(
    first: Findings, study: list[Path], cache: Path, asked: Form
) -> None:
    read = Counted()
    find(study, read, cache, asked, glucose_mg_dl="120")
    assert read.times == 1


def test_a_study_that_the_form_cannot_be_measured_in_is_kept_with_the_reason(
    study: list[Path], cache: Path, tmp_path: Path
) -> None:
    thin = form(tmp_path, ('role = "portal"\n\n', 'role = "portal"\nslice_thickness_mm = { hard = [0.0, 2.0] }\n\n'))
    for _ in range(2):
        found = find(study, Counted(), cache, thin)
        with pytest.raises(OutsideIntendedUse, match="slice thickness"):
            _ = found.where
