"""A phase that was reconstructed twice: what a package was trained on is what the node gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import phantoms, reading
from her2node.dicom.codes import Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.models.manifest import Scalar
from her2node.models.package import Package, load
from her2node.phantoms import PhantomOptions, Phase
from her2node.reading import Reading
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.training.arrays import Cases
from her2node.training.cohort import Cohort, Row, join
from her2node.training.course import train
from her2node.training.findings import Finder, Findings
from her2node.training.form import Form, read
from her2node.training.labels import Tissue
from tests.models.making import make_keys
from tests.training.making import FORM, cohort, written

OPTIONS = PhantomOptions(phases=(Phase.PLAIN, Phase.PORTAL), rows=64, columns=64, slices=24, slice_spacing_mm=5.0)
SHARP = "B70f"
BRIGHTER = 30.0
FEATURES = """\
kernel = "^B70"
phases = ["plain", "portal"]
name = "x"
title = "of a sharp kernel"
features = ["stat_mean"]

[discretisation]
method = "fixed-bin-size"
size = 10

[texture]
aggregations = ["3D_comb"]
"""
DIFFERENCE = """\
[[requires]]
role = "plain"

[[inputs]]
source = "quantity"
name = "portal_minus_plain"
meaning = "Portal minus plain"
role = "portal"
code = { value = "442707000", scheme = "SCT", meaning = "Difference in attenuation" }
unit = "[hnsf'U]"

[training]"""


def again(ds: Dataset) -> Dataset:
    """Another reconstruction of the same acquisition, brighter so that one is told from the other."""
    ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID[:50]}.7"
    ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{ds.InstanceNumber}"
    ds.ConvolutionKernel = SHARP
    ds.RescaleIntercept = ds.RescaleIntercept + BRIGHTER
    return ds


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Three patients with two phases, each by two kernels, of which the softer is the usual one."""
    folder, found = tmp_path_factory.mktemp("studies"), {}
    for seed in (1, 2, 3):
        soft = phantoms.ct.make(replace(OPTIONS, seed=seed))
        paths = phantoms.write(soft, folder / f"soft-{seed}")
        sharp = phantoms.ct.make(replace(OPTIONS, seed=seed, rois=()))
        paths += phantoms.write(sharp.with_edit(again), folder / f"sharp-{seed}")
        found[f"case-{seed}"] = paths
    return found


def usual(folder: Path) -> Form:
    return read(written(folder, FORM.replace("[training]", DIFFERENCE)))


def by_requirement(folder: Path) -> Form:
    """The form names the kernel in what it requires."""
    text = FORM.replace("[training]", DIFFERENCE)
    for role in ("plain", "portal"):
        text = text.replace(f'role = "{role}"\n\n', f'role = "{role}"\nusual_kernel = "^B70"\n\n')
    return read(written(folder, text))


def by_features(folder: Path) -> Form:
    """The form names the kernel in its features file alone, no feature of which is an input in the end."""
    text = FORM.replace("[training]", DIFFERENCE).replace('roi = "needed"\n', 'roi = "needed"\nfeatures = "own.toml"\n')
    written(folder, text)
    (folder / "own.toml").write_text(FEATURES)
    return read(folder)


def asked(study: Study, packages: Sequence[Package], entered: Mapping[str, str], roles: Mapping[str, str]) -> Reading:
    return reading.read(study, packages, entered=entered)


def _portal_mean(found: Findings) -> float:
    wanted = Role.PORTAL, Concept.ATTENUATION, Derivation.MEAN
    (value,) = (q.value for q in found.quantities if (q.role, q.code, q.modifier) == wanted)
    return value


def with_others(form: Form, real: Cohort) -> Cohort:
    """The cohort with sixty patients more, of whom nobody was scanned, so that there are enough to train on."""
    base = cohort(60)
    rng = np.random.default_rng(1)
    more = np.column_stack([base.cases.values, rng.normal(60, 10, 60)])
    labels = np.concatenate([base.cases.labels, real.cases.labels])
    return Cohort(
        (*base.members, *real.members),
        Cases(form.names, np.vstack([more, real.cases.values]), labels, (*base.cases.patients, *real.cases.patients)),
        (),
    )


@pytest.mark.parametrize(
    ("wish", "brighter", "scanned"),
    [(usual, 0.0, False), (usual, 0.0, True), (by_requirement, BRIGHTER, True), (by_features, BRIGHTER, False)],
)
def test_a_trained_package_is_given_the_very_values_that_it_was_trained_on(
    studies: dict[str, list[Path]], tmp_path: Path, wish: Callable[[Path], Form], brighter: float, scanned: bool
) -> None:
    form = wish(tmp_path / "form")
    finder = Finder(form.package, asked, "shape", tmp_path / "cache")
    found = {name: replace(finder.find(files, {}), synthetic=not scanned) for name, files in studies.items()}
    plain = Finder(usual(tmp_path / "usual").package, asked, "shape", tmp_path / "cache")
    soft = [_portal_mean(plain.find(files, {})) for files in studies.values()]
    rows = [
        Row(name, Tissue(3 * (name == "case-1"), None), specimen_date=date(2024, 3, 1), entered={"metastasis": "1"})
        for name in studies
    ]
    real = join(form.said, rows, found, scanners=False)
    assert real.cases.values[:, 1] == pytest.approx(np.array(soft) + brighter, abs=0.01)

    keys = make_keys(tmp_path)
    told = train(form, with_others(form, real), tmp_path / "out", keys.pair.private_pem, 1, lambda said: None)
    package = load(told.package, keys.trust)
    assert isinstance(package.manifest, Scalar)
    assert {one.role for one in package.manifest.requires} == {Role.PLAIN, Role.PORTAL}
    if scanned:  # then its kernels are told, and take no other series
        named = {one.usual_kernel for one in package.manifest.requires}
        assert named == {"^(?:B30f)$" if wish is usual else "^B70"}
    for name, files, trained in zip(studies, studies.values(), real.cases.values.tolist(), strict=True):
        (said,) = reading.read(
            open_study(files), (package,), entered={"metastasis": "1"}, demonstration=True
        ).predictions
        assert [used.value for used in said.answers[0].inputs] == trained, name
