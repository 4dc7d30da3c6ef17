"""Which phase a CT series is: by its images where headers are silent, against them where they lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.phantoms import CharacterSet, Descriptions, Form, PhantomOptions, PhantomStudy, Phase, mishaps
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from tests.reading import recognised as made
from tests.reading.recognised import SMALL, UNDECIDED, changed, recognised, roles, untagged

PHASES = {Phase.PLAIN: Role.PLAIN, Phase.ARTERIAL: Role.ARTERIAL, Phase.PORTAL: Role.PORTAL,
          Phase.EQUILIBRIUM: Role.EQUILIBRIUM}  # fmt: skip
REAL = (("ct-abdomen-portal-crlm1004", Role.PORTAL), ("ct-abdomen-arterial-kits00072", Role.ARTERIAL))


def real(folder: Path, *removed: str) -> Study:
    """A real series, without these attributes."""
    study = open_study(sorted(folder.glob("*.dcm")))
    for instance in study.instances:
        for keyword in removed:
            if keyword in instance.header:
                delattr(instance.header, keyword)
    series = tuple(
        replace(one, description="" if "SeriesDescription" in removed else one.description) for one in study.series
    )
    return replace(study, series=series)


@pytest.mark.truth
@pytest.mark.parametrize(("name", "role"), REAL)
@pytest.mark.parametrize("removed", [(), ("SeriesDescription", "ProtocolName", *made.CONTRAST_TAGS)])
def test_a_real_scan_is_recognised_with_and_without_its_labels(
    shared: Path, name: str, role: Role, removed: tuple[str, ...]
) -> None:
    study, selection = recognised(real(shared / "data" / name, *removed))
    assert [selection.of(series.series_instance_uid).role for series in study.series] == [role]


@pytest.mark.truth
@pytest.mark.parametrize(("name", "role"), REAL)
def test_a_wrong_label_on_a_real_scan_is_caught(shared: Path, name: str, role: Role) -> None:
    for wrong in ("plain", "arterial", "portal venous", "delayed"):
        study = real(shared / "data" / name, *made.CONTRAST_TAGS)
        study = replace(study, series=tuple(replace(one, description=wrong) for one in study.series))
        _, selection = recognised(study)
        assert {assignment.role for assignment in selection.assignments} <= {role, *UNDECIDED}


VARIANTS = {
    "as given": (SMALL, lambda study: study),
    "labels removed": (SMALL, untagged),
    "Chinese": (
        replace(SMALL, descriptions=Descriptions.CHINESE, character_set=CharacterSet.GB18030),
        lambda study: study,
    ),
    "enhanced, labels removed": (replace(SMALL, form=Form.ENHANCED), untagged),
    "packed": (SMALL, mishaps.packed),
    "packed in one enhanced object": (replace(SMALL, form=Form.ENHANCED), mishaps.packed_enhanced),
    "packed, labels removed": (SMALL, lambda study: untagged(mishaps.packed(study))),
    "packed, told by order alone": (
        SMALL,
        lambda study: mishaps.without(untagged(mishaps.packed(study)), "AcquisitionNumber", "AcquisitionTime"),
    ),
    "spread": (SMALL, lambda study: mishaps.spread(study, Phase.PORTAL)),
    "spread, labels removed": (SMALL, lambda study: untagged(mishaps.spread(study, Phase.ARTERIAL))),
    "spread over two enhanced objects": (
        replace(SMALL, form=Form.ENHANCED),
        lambda study: mishaps.spread_enhanced(study, Phase.PORTAL),
    ),
    "spread over two enhanced objects, labels removed": (
        replace(SMALL, form=Form.ENHANCED),
        lambda study: untagged(mishaps.spread_enhanced(study, Phase.ARTERIAL)),
    ),
    "another patient": (replace(SMALL, seed=11, noise_hu=20.0), untagged),
    "head first": (SMALL, lambda study: untagged(mishaps.head_first(study))),
    "face down": (SMALL, lambda study: untagged(made.prone(study))),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_phase_of_a_phantom_is_recognised(variant: str, tmp_path: Path) -> None:
    options, spoil = VARIANTS[variant]
    assert roles(spoil(phantoms.make(options)), tmp_path) == PHASES


@pytest.mark.parametrize("phase", list(Phase))
def test_a_wrong_label_is_caught_by_the_images(phase: Phase, tmp_path: Path) -> None:
    others = {Phase.PLAIN: "arterial", Phase.ARTERIAL: "portal venous", Phase.PORTAL: "delayed",
              Phase.EQUILIBRIUM: "portal venous"}  # fmt: skip
    options = replace(SMALL, phases=(phase,))
    found = roles(made.misnamed(phantoms.make(options), phase, others[phase]), tmp_path)
    assert found[phase] is Role.CONTRAST_UNSPECIFIED


def test_the_evidence_names_the_disagreement(tmp_path: Path) -> None:
    phantom = made.misnamed(phantoms.make(replace(SMALL, phases=(Phase.ARTERIAL,))), Phase.ARTERIAL, "portal venous")
    _, selection = recognised(made.written(phantom, tmp_path))
    (assignment,) = selection.assignments
    assert assignment.evidence[-1] == "the headers name the phase portal, but the images speak for arterial"
    assert "aorta" in assignment.evidence[-2]


HARD: dict[str, PhantomOptions] = {
    "truncated field of view": replace(SMALL, pixel_spacing_mm=(1.4, 1.4)),
    "pelvis only": replace(SMALL, anatomy=made.pelvis()),
    "noise of 40 HU": replace(SMALL, noise_hu=40.0, rows=256, columns=256),
    "early portal": replace(SMALL, anatomy=changed(made.blended(0.15))),
    "anaemia": replace(SMALL, anatomy=changed(made.anaemic)),
    "poor bolus": replace(SMALL, anatomy=changed(made.brighter(0.4))),
    "high dose": replace(SMALL, anatomy=changed(made.brighter(1.3))),
    "low tube voltage": replace(SMALL, kvp=80, anatomy=changed(made.brighter(1.67))),
    "hips of steel": replace(SMALL, anatomy=changed(made.same, *made.metal())),
    "contrast in the stomach": replace(SMALL, anatomy=changed(made.filled_stomach)),
    "calcified aorta": replace(SMALL, anatomy=changed(made.same, *made.plaques())),
    "few slices": replace(SMALL, slices=5),
}


def right_or_refused(study: PhantomStudy, folder: Path) -> bool:
    found = roles(study, folder)
    return all(found[phase] in (PHASES[phase], *UNDECIDED) for phase in found)


@pytest.mark.parametrize("case", HARD)
def test_a_hard_case_is_right_or_refused(case: str, tmp_path: Path) -> None:
    assert right_or_refused(untagged(phantoms.make(HARD[case])), tmp_path)


@pytest.mark.parametrize("case", HARD)
def test_a_hard_case_with_wrong_labels_is_right_or_refused(case: str, tmp_path: Path) -> None:
    wrong = mishaps.without(phantoms.make(replace(HARD[case], descriptions=Descriptions.WRONG)), *made.CONTRAST_TAGS)
    assert right_or_refused(wrong, tmp_path)


def test_low_tube_voltage_that_no_header_tells_is_right_or_refused(tmp_path: Path) -> None:
    assert right_or_refused(mishaps.without(untagged(phantoms.make(HARD["low tube voltage"])), "KVP"), tmp_path)


def test_images_that_stand_on_their_head_are_refused(tmp_path: Path) -> None:
    found = roles(made.upside_down(untagged(phantoms.make(SMALL))), tmp_path)
    assert set(found.values()) <= set(UNDECIDED)


def test_of_phantoms_that_only_their_images_name_at_most_a_tenth_is_refused(tmp_path: Path) -> None:
    refused = []
    for seed in range(8):
        phantom = untagged(phantoms.make(replace(SMALL, seed=seed, rows=96, columns=96)))
        found = roles(phantom, tmp_path / str(seed))
        assert all(found[phase] in (PHASES[phase], *UNDECIDED) for phase in found)
        refused += [found[phase] in UNDECIDED for phase in found]
    assert sum(refused) <= 0.1 * len(refused)
