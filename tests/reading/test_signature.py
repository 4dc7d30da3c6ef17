"""Signatures of several phases: a package that brings its own features, and what only a reader knows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.dicom.codes import Code
from her2node.errors import RoleMissing, SettingsRefused
from her2node.models.building import logistic_graph, seal, sign_package, write_package
from her2node.models.manifest import Logistic
from her2node.models.package import Package, load
from her2node.phantoms import PhantomOptions, Phase, RoiForm
from her2node.quantities import signature
from her2node.quantities.quantity import Quantity
from her2node.quantities.signature import Signature
from her2node.reading import Methods, Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from tests.models.making import END, make_keys

OPTIONS = PhantomOptions(seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, rois=(RoiForm.BINARY,))
FEATURES = """\
name = "two-phases"
title = "arterial and portal"
phases = ["arterial", "portal"]
features = ["ih_entropy"]

[interpolation]
in_plane_mm = 3.0
slice_mm = 3.0
method = "linear"
round_intensities = false

[discretisation]
method = "fixed-bin-size"
size = 10

[resegmentation]
lowest = -150

[texture]
aggregations = ["3D_comb"]

[[filters]]
name = "log-4mm"
kind = "laplacian-of-gaussian"
sigma_mm = 4.0
dimensions = 3
boundary = "mirror"
features = ["stat_p90"]
"""
WANTED = signature.parse(FEATURES, "features.toml")
ENTROPY, LOG_P90 = Code("TLU2", "IBSI", "Intensity histogram entropy"), Code("8DWT", "IBSI", "90th percentile")
MODEL = Logistic(-3.0, {"t_stage": 0.5, "arterial_entropy": 0.2, "portal_entropy": -0.1, "portal_log": 0.3})


def manifest() -> str:
    image, response = (code.value for code in WANTED.methods())
    said = """\
format = 1
kind = "scalar"
name = "two-phases"
version = "1.0.0"
level = "site-trained"
title = "Rad-score of two phases and the T stage"
citation = "Nobody 2024."
intended_use = "Tests."
reference_test = "Tissue."
roi = "needed"
features = "features.toml"

[[requires]]
role = "arterial"

[[requires]]
role = "portal"

[[inputs]]
source = "reader"
name = "t_stage"
meaning = "T stage as seen on CT"
values = [1.0, 2.0, 3.0, 4.0]
"""
    for name, role, code, method, unit in (
        ("arterial_entropy", "arterial", ENTROPY, image, "1"),
        ("portal_entropy", "portal", ENTROPY, image, "1"),
        ("portal_log", "portal", LOG_P90, response, "[arb'U]"),
    ):
        said += f"""
[[inputs]]
source = "quantity"
name = "{name}"
meaning = "{code.meaning}"
role = "{role}"
code = {{ value = "{code.value}", scheme = "{code.scheme}", meaning = "{code.meaning}" }}
method = {{ value = "{method}", scheme = "99HER2NODE", meaning = "two-phases" }}
unit = "{unit}"
"""
    return f"{said}\n{END}"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("packages")
    case = {"inputs": dict.fromkeys(MODEL.coefficients, 0.0), "probability": 1 / (1 + math.exp(3.0)),
            "tolerance": 1e-9, "source": "1 / (1 + exp(3))"}  # fmt: skip
    path, keys = folder / "two-phases", make_keys(folder)
    path.mkdir()
    (path / "features.toml").write_text(FEATURES)
    write_package(path, manifest(), logistic_graph(MODEL, list(MODEL.coefficients)), [case], "# two phases\n")
    seal(path)
    sign_package(path, keys.pair.private_pem)
    return load(path, keys.trust)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study")
    phantoms.write(phantoms.ct.make(OPTIONS), path)
    return path


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return open_study(sorted(folder.rglob("*.dcm")))


def measured(reading: Reading, code: Code) -> dict[Role | None, Quantity]:
    return {q.role: q for q in reading.quantities if q.code.value == code.value and q.method in WANTED.methods()}


def test_a_package_gets_the_features_of_its_own_file_from_every_phase_it_names(package: Package, study: Study) -> None:
    reading = read(study, [package])
    entropy, log = measured(reading, ENTROPY), measured(reading, LOG_P90)
    assert set(entropy) == set(log) == {Role.ARTERIAL, Role.PORTAL}
    (prediction,) = reading.predictions
    assert prediction.open_inputs == ("t_stage",)
    assert len(prediction.answers) == 4
    for answer in prediction.answers:
        used = {one.name: one.value for one in answer.inputs}
        assert used["arterial_entropy"] == entropy[Role.ARTERIAL].value
        assert used["portal_entropy"] == entropy[Role.PORTAL].value
        assert used["portal_log"] == log[Role.PORTAL].value
        score = MODEL.intercept + sum(b * used[name] for name, b in MODEL.coefficients.items())
        assert answer.probability == pytest.approx(1 / (1 + math.exp(-score)), rel=1e-9)


def test_with_the_t_stage_entered_there_is_one_answer(package: Package, study: Study) -> None:
    (prediction,) = read(study, [package], entered={"t_stage": "3"}).predictions
    (answer,) = prediction.answers
    assert {one.name: (one.value, one.source) for one in answer.inputs}["t_stage"] == (3.0, "entered")


def test_a_package_without_one_of_its_phases_says_which(package: Package, study: Study) -> None:
    arterial = phantoms.ct.make(OPTIONS).series_of(Phase.ARTERIAL).series_instance_uid
    without = replace(study, series=tuple(s for s in study.series if s.series_instance_uid != arterial))
    (refusal,) = read(without, [package]).not_predicted
    assert isinstance(refusal.refused, RoleMissing)
    assert "arterial" in str(refusal.refused)


def test_texture_in_the_manner_of_mazda_is_measured_on_the_plain_phase_when_asked_for(study: Study) -> None:
    reading = read(study, (), methods=Methods(signatures=(Signature(mazda_like=True),)))
    texture = [q for q in reading.quantities if q.code.value.startswith("MZ-")]
    refused = [n for n in reading.not_measured if n.code is not None and n.code.value.startswith("MZ-")]
    assert len(texture) + len(refused) == 279
    assert len(texture) > 250
    assert {q.role for q in texture} == {Role.PLAIN}
    assert all(q.method is not None and "MaZda-like" in q.method.meaning for q in texture)
    assert not [q for q in read(study, ()).quantities if q.code.value.startswith("MZ-")]


def test_texture_is_refused_by_name_where_no_series_is_plain(study: Study) -> None:
    plain = phantoms.ct.make(OPTIONS).series_of(Phase.PLAIN).series_instance_uid
    without = replace(study, series=tuple(s for s in study.series if s.series_instance_uid != plain))
    reading = read(without, (), methods=Methods(signatures=(Signature(mazda_like=True),)))
    assert [type(n.refused) for n in reading.not_measured if n.role is Role.PLAIN] == [RoleMissing]


@pytest.mark.parametrize(
    "line", ['kernel = "("', "kernel = 7", "slice_thickness_mm = 2", "slice_thickness_mm = [2, 1]"]
)
def test_a_features_file_whose_wishes_for_a_reconstruction_mean_nothing_is_refused(line: str) -> None:
    with pytest.raises(SettingsRefused, match=line.split()[0]):
        signature.parse(f"{line}\n{FEATURES}", "features.toml")


def test_a_features_file_wishes_the_same_reconstruction_of_each_of_its_phases() -> None:
    found = signature.parse(f'kernel = "^B70"\nslice_thickness_mm = [0, 2]\n{FEATURES}', "features.toml")
    assert [(one.role, one.slice_mm, one.kernel) for one in found.reconstructions] == [
        (Role.ARTERIAL, ((0.0, 2.0),), "^B70"), (Role.PORTAL, ((0.0, 2.0),), "^B70"),
    ]  # fmt: skip
    assert found.methods() == WANTED.methods()
