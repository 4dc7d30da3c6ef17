"""Whether an estimate holds when the tumour is drawn a voxel otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.models.package import load_packages
from her2node.models.predicting import Conditions, Findings
from her2node.models.prediction import Category, InputUsed, Prediction
from her2node.phantoms import DualEnergyOptions, IodineUnit, Phase
from her2node.phantoms.dce import DceOptions
from her2node.phantoms.diffusion import DiffusionOptions
from her2node.phantoms.perfusion import PerfusionOptions
from her2node.phantoms.pet import PetOptions
from her2node.phantoms.study import Writable
from her2node.quantities.signature import parse, shipped
from her2node.reading import Methods, Reading, read
from her2node.reading.dce import read_dce
from her2node.reading.diffusion import read_diffusion
from her2node.reading.dual_energy import read_dual_energy
from her2node.reading.perfusion import read_perfusion
from her2node.reading.phases import read_phases
from her2node.reading.reading import Found, Scene
from her2node.reading.stability import with_stability
from her2node.reading.uptake import read_uptake
from her2node.rois import given
from her2node.rois.varied import VARIATIONS
from her2node.selection import Assignment
from her2node.selection.choice import Selection, select
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from tests.models.making import make_keys, small

OPTIONS = phantoms.PhantomOptions(seed=3, rows=96, columns=96, slices=12, slice_spacing_mm=5.0)
LEE, DEMO = load_packages(["lee2017-portal-liver", "synthetic-demo-ct"]).packages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("phantom")
    phantoms.write(phantoms.ct.make(OPTIONS), place)
    return place


def reading(folder: Path, *packages: object, stability: bool = True) -> Reading:
    study = open_study(sorted(folder.rglob("*.dcm")))
    return read(study, packages, demonstration=True, stability=stability)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[Reading, Reading]:
    return reading(folder, LEE, DEMO), reading(folder, LEE, DEMO, stability=False)


def test_only_what_rests_on_the_region_is_tried_otherwise(both: tuple[Reading, Reading]) -> None:
    lee, demo = both[0].predictions
    assert lee.stability is None
    assert demo.stability is not None
    assert demo.stability.tried == len(VARIATIONS)
    assert demo.stability.held + len(demo.stability.moved) == demo.stability.tried
    assert 0 < demo.stability.change < 1


def test_nothing_else_of_the_reading_changes(both: tuple[Reading, Reading]) -> None:
    tried, not_tried = both
    assert all(said.stability is None for said in not_tried.predictions)
    assert tuple(replace(said, stability=None) for said in tried.predictions) == not_tried.predictions
    assert (tried.quantities, tried.evaluations) == (not_tried.quantities, not_tried.evaluations)
    assert [str(one.refused) for one in tried.not_measured] == [str(one.refused) for one in not_tried.not_measured]
    assert {laid.roi.tracking_id for laid in tried.rois} == {laid.roi.tracking_id for laid in not_tried.rois}


def test_a_package_that_answers_the_same_everywhere_is_stable(folder: Path, tmp_path: Path) -> None:
    flat = small(
        tmp_path, lambda m: m.replace("likely = 0.5", "likely = 0.0001").replace("unlikely = 0.2", "unlikely = 0.0")
    )  # fmt: skip
    (said,) = reading(folder, flat).predictions
    assert isinstance(said, Prediction)
    assert {answer.category for answer in said.answers} == {Category.LIKELY}
    assert said.stability is not None
    assert (said.stability.held, said.stability.moved) == (len(VARIATIONS), ())


def test_a_region_that_gives_no_answer_counts_as_moved_with_its_reason(folder: Path, tmp_path: Path) -> None:
    portal = next(q.value for q in reading(folder, LEE, stability=False).quantities
                  if q.role == "portal" and q.modifier is not None and q.modifier.meaning == "Mean")  # fmt: skip
    narrow = f"hard = [{portal - 0.01:.4f}, {portal + 0.01:.4f}]"
    (said,) = reading(folder, small(tmp_path, lambda m: m.replace("hard = [-200.0, 400.0]", narrow))).predictions
    assert said.stability is not None
    assert said.stability.held < said.stability.tried
    assert any("outside-intended-use" in one for one in said.stability.moved)


def test_dynamic_mr_is_tried_otherwise_with_its_flip_angles_and_all_series_of_its_role(
    both: tuple[Reading, Reading],
) -> None:
    study, (_, demo) = both[0].study, both[0].predictions
    tumour = given(study)[0]
    (drawn_on,) = tumour.drawn_on
    others = [one.series_instance_uid for one in study.series if one.series_instance_uid != drawn_on]
    roles = dict(zip([drawn_on, *others], [Role.DCE, Role.DCE, Role.FLIP_ANGLES, Role.PET], strict=False))
    selection = Selection(tuple(Assignment(uid, role, ()) for uid, role in roles.items()), {}, {})
    used = InputUsed("ktrans", 1.0, "1", "measured", (drawn_on,))
    said = replace(demo, answers=tuple(replace(answer, inputs=(used,)) for answer in demo.answers))
    seen: list[Scene] = []

    def course(scene: Scene) -> Found:
        seen.append(scene)
        return Found()

    findings = Findings(study, selection, (), (), tumour.tracking_id)
    scene = Scene(study, selection, (tumour,))
    with_stability([(DEMO, said)], tumour, scene, [course], findings, Conditions({}, demonstration=True))
    (again,) = seen
    assert not again.maps
    assert [a.role for a in again.selection.assignments] == [Role.DCE, Role.DCE, Role.FLIP_ANGLES]


MADE: dict[Callable[[Scene], Found], Writable] = {
    read_perfusion: phantoms.perfusion.make(PerfusionOptions(rows=64, columns=64, slices=4, slice_spacing_mm=8.0)),
    read_dual_energy: phantoms.dual_energy.make(
        DualEnergyOptions(base=replace(OPTIONS, phases=(Phase.PORTAL,)), unit=IodineUnit.HUNDRED_UG, energies=())
    ),
    read_diffusion: phantoms.diffusion.make(DiffusionOptions(rows=48, columns=48, slices=5, spacing_mm=5.0)),
    read_dce: phantoms.dce.make(DceOptions(rows=24, columns=24, slices=4, spacing_mm=10.0, slice_spacing_mm=8.0)),
    read_uptake: phantoms.pet.make(PetOptions(rows=64, columns=64, slices=30, spacing_mm=5.0, ct=False)),
}


@pytest.mark.parametrize("course", MADE, ids=lambda course: course.__name__)
def test_without_maps_regions_are_measured_all_the_same(course: Callable[[Scene], Found], tmp_path: Path) -> None:
    study = open_study(phantoms.write(MADE[course], tmp_path))
    regions = tuple(given(study))
    scene = Scene(study, select(study, (), {}), regions, regions)
    found, spare = course(scene), course(replace(scene, maps=False))
    assert found.quantities
    assert found.maps
    assert spare.quantities == found.quantities
    assert spare.maps == ()


@pytest.mark.parametrize("stability", [False, True])
def test_what_packages_in_shadow_want_measured_is_told_nobody(folder: Path, *, stability: bool) -> None:
    study = open_study(sorted(folder.rglob("*.dcm")))
    mean = replace(DEMO, features=shipped("ibsi-c"))
    alone, beside = (read(study, (LEE,), shadow=s, demonstration=True, stability=stability) for s in ((), (mean,)))
    assert (beside.quantities, len(beside.not_measured)) == (alone.quantities, len(alone.not_measured))
    assert beside.predictions == alone.predictions


def test_what_is_measured_aside_is_what_would_be_told_and_changes_nothing_that_is(tmp_path: Path) -> None:
    """A filter over the whole image needs slices that nothing that is told needs."""
    phantom = phantoms.ct.make(replace(OPTIONS, rows=64, columns=64, slices=32, phases=(Phase.PLAIN, Phase.PORTAL)))
    study = open_study(phantoms.write(phantom, tmp_path))
    regions = tuple(given(study))
    scene = Scene(study, select(study, (), {}), regions, regions)
    whole = parse(
        """
        name = "whole"
        title = "a filter over the whole image"
        phases = ["plain", "portal"]
        [interpolation]
        in_plane_mm = 6.0
        slice_mm = 5.0
        method = "linear"
        round_intensities = true
        [discretisation]
        method = "fixed-bin-number"
        bins = 16
        [texture]
        aggregations = ["3D_comb"]
        [response]
        families = ["stat"]
        [[filters]]
        name = "simoncelli"
        kind = "non-separable-wavelet"
        family = "simoncelli"
        level = 1
        dimensions = 3
        """,
        "whole",
    )
    assert whole.reach_mm(5.0) == math.inf
    plain, beside = read_phases(scene), read_phases(replace(scene, aside=(whole,)))
    told = read_phases(replace(scene, methods=Methods(signatures=(whole,))))
    assert beside.quantities == plain.quantities
    assert [str(one.refused) for one in beside.not_measured] == [str(one.refused) for one in plain.not_measured]
    assert set(plain.quantities) < set(told.quantities)
    assert set(beside.aside) == set(told.quantities) - set(plain.quantities)


def test_packages_in_shadow_are_answered_and_told_apart(folder: Path, tmp_path: Path) -> None:
    make_keys(tmp_path)
    study = open_study(sorted(folder.rglob("*.dcm")))
    found = read(study, (LEE,), shadow=(DEMO,), demonstration=True)
    assert [said.package.name for said in found.predictions] == ["lee2017-portal-liver"]
    assert [said.package.name for said in found.shadows] == ["synthetic-demo-ct"]
