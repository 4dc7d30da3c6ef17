"""A phase that was reconstructed twice: what is measured for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.models.package import load_packages
from her2node.phantoms import PhantomOptions, Phase
from her2node.quantities import signature
from her2node.reading import Methods, Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study

PHASES = (Phase.PLAIN, Phase.ARTERIAL, Phase.PORTAL)
OPTIONS = PhantomOptions(seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=PHASES)
TEXTURE = """\
kernel = "^B70"
phases = ["arterial"]
name = "x"
title = "of a sharp kernel"
features = ["stat_mean"]

[discretisation]
method = "fixed-bin-size"
size = 10

[texture]
aggregations = ["3D_comb"]
"""
SOFT, SHARP = "B30f", "B70f"


def again(kernel: str) -> Callable[[Dataset], Dataset]:
    """Another reconstruction of the same acquisition, 30 HU brighter so that one is told from the other."""

    def change(ds: Dataset) -> Dataset:
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID[:50]}.7"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{ds.InstanceNumber}"
        ds.ConvolutionKernel = kernel
        ds.RescaleIntercept = ds.RescaleIntercept + 30
        return ds

    return change


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three phases, the arterial one by two kernels."""
    folder, phantom = tmp_path_factory.mktemp("study"), phantoms.ct.make(OPTIONS)
    arterial = phantoms.ct.make(replace(OPTIONS, phases=(Phase.ARTERIAL,)))
    assert arterial.frame_of_reference_uid == phantom.frame_of_reference_uid
    paths = phantoms.write(phantom, folder / "soft")
    paths += phantoms.write(replace(arterial, parts=arterial.parts[:1]).with_edit(again(SHARP)), folder / "sharp")
    return open_study(paths)


def series_of(study: Study, kernel: str) -> str:
    (uid,) = (
        series.series_instance_uid
        for series in study.series
        if series.modality == "CT"
        and series.first.ConvolutionKernel == kernel
        and "arterial" in series.description.lower()
    )
    return uid


def attenuation(reading: Reading, uid: str) -> float:
    (found,) = (
        q.value
        for q in reading.quantities
        if (q.code, q.modifier, q.series_uids) == (Concept.ATTENUATION, Derivation.MEAN, (uid,))
    )
    return found


def test_without_a_method_that_wants_another_kernel_only_the_usual_one_is_measured(study: Study) -> None:
    reading = read(study, ())
    assert series_of(study, SHARP) not in {one.series_instance_uid for one in reading.measured}


def test_a_features_file_is_measured_on_the_kernel_that_it_names_alone(study: Study) -> None:
    wanted = signature.parse(TEXTURE, "x.toml")
    reading = read(study, (), methods=Methods(signatures=(wanted,)))
    soft, sharp = series_of(study, SOFT), series_of(study, SHARP)
    assert [one.series_instance_uid for one in reading.measured if one.role is Role.ARTERIAL] == [soft, sharp]
    features = {q.series_uids for q in reading.quantities if q.method in wanted.methods()}
    assert features == {(sharp,)}
    assert attenuation(reading, sharp) == pytest.approx(attenuation(reading, soft) + 30, abs=0.01)


def test_a_package_gets_what_its_kernel_shows_and_every_other_package_the_usual_one(study: Study) -> None:
    (usual,) = load_packages(["synthetic-demo-ct"]).packages
    requires = tuple(replace(one, usual_kernel="^B70") for one in usual.manifest.requires)
    other = replace(usual, manifest=replace(usual.manifest, requires=requires))
    reading = read(study, [usual, other], demonstration=True)
    soft, sharp = ({one.name: one for one in said.answers[0].inputs} for said in reading.predictions)
    assert soft["arterial_mean"].series_uids == (series_of(study, SOFT),)
    assert sharp["arterial_mean"].series_uids == (series_of(study, SHARP),)
    assert sharp["arterial_mean"].value == pytest.approx(soft["arterial_mean"].value + 30, abs=0.01)
    assert sharp["portal_mean"] == soft["portal_mean"]
    flagged = [[flag.kind for flag in said.flags].count("kernel") for said in reading.predictions]
    assert flagged == [0, 1]


def test_both_reconstructions_are_compared_with_the_other_phases(study: Study) -> None:
    wanted = Methods(signatures=(signature.parse(TEXTURE, "x.toml"),))
    soft, sharp = series_of(study, SOFT), series_of(study, SHARP)
    usual = [q for q in read(study, ()).quantities if q.code == Concept.ATTENUATION_DIFFERENCE]
    both = [q for q in read(study, (), methods=wanted).quantities if q.code == Concept.ATTENUATION_DIFFERENCE]
    assert len({(q.role, q.modifier, q.method, q.series_uids) for q in both}) == len(both)
    assert [q for q in both if sharp not in q.series_uids] == usual
    swapped = {tuple(sharp if uid == soft else uid for uid in q.series_uids) for q in usual if soft in q.series_uids}
    assert {q.series_uids for q in both if sharp in q.series_uids} == swapped != set()
