"""Networks that look at a crop: the whole way from a study to an estimate and its map, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from her2node import phantoms
from her2node.dicom.codes import Saliency, Unit
from her2node.models.agreement import agreement
from her2node.models.image.view import View
from her2node.models.odds import expit, logit
from her2node.models.package import Package
from her2node.models.prediction import Prediction
from her2node.phantoms import PhantomOptions, Phase
from her2node.reading import Methods, Reading, read, way
from her2node.reading.phases import read_phases
from her2node.reading.reading import Found, Scene
from her2node.rois import given
from her2node.selection.choice import select
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.volumes import build
from tests.models.image.made import CROP, beholder
from tests.reading.test_reading import LEE

SMALL = PhantomOptions(
    seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=(Phase.ARTERIAL, Phase.PORTAL)
)
Change = Callable[[str], str]


def opened(folder: Path, options: PhantomOptions) -> Study:
    return open_study(phantoms.write(phantoms.ct.make(options), folder))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return opened(tmp_path_factory.mktemp("study"), SMALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return beholder(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def reading(study: Study, package: Package) -> Reading:
    return read(study, [LEE, package], stability=True)


def looked(reading: Reading) -> Prediction:
    (found,) = (said for said in reading.predictions if said.package.name == "beholder")
    return found


def without(study: Study, phase: str) -> Study:
    return replace(study, series=tuple(s for s in study.series if phase not in s.description.lower()))


def refusal(reading: Reading) -> tuple[str, str]:
    (found,) = (said for said in reading.not_predicted if said.package.name == "beholder")
    return found.refused.reason, str(found.refused)


def test_the_estimate_is_that_of_the_images_about_the_centroid(study: Study, reading: Reading) -> None:
    """By another interpolator, from the region's own voxels."""
    (portal,) = (s for s in study.series if "portal" in s.description.lower())
    volume = build(portal)
    roi = next(laid.roi for laid in reading.rois if laid.series_instance_uid == portal.series_instance_uid)
    centroid = volume.geometry.to_patient(np.argwhere(roi.mask)).mean(axis=0)
    hu = RegularGridInterpolator([np.arange(count) for count in volume.voxels.shape], volume.voxels.astype(np.float64))
    corners = (np.array(list(np.ndindex(2, 2, 2))) - 0.5) * CROP.spacing_mm
    values = hu(volume.geometry.to_index(centroid + corners[:, ::-1]))
    expected = expit(0.25 * float(np.mean((np.clip(values, -200, 300) - 90) / 20)))
    (answer,) = looked(reading).answers
    assert answer.probability == pytest.approx(expected, abs=1e-4)


def test_everything_that_an_estimate_says_is_said(reading: Reading, study: Study) -> None:
    said = looked(reading)
    assert said.prior == 0.2
    assert said.categories
    assert said.roi == reading.tumour
    assert said.looked_at == said.series_uids
    assert [reading.selection.of(uid).role for uid in said.looked_at] == [Role.ARTERIAL, Role.PORTAL]
    assert "8 x 12 x 10 voxels of 6 x 5 x 6 mm" in said.remarks[0]
    assert "portal: as the region was drawn" in said.remarks[0]
    assert "arterial: not displaced" in said.remarks[0]
    assert not reading.not_predicted


def test_it_stands_in_the_summary_of_agreement(reading: Reading) -> None:
    assert "beholder" in agreement(reading.predictions)


def test_regions_drawn_otherwise_move_the_crop(reading: Reading) -> None:
    found = looked(reading).stability
    assert found is not None
    assert found.tried == 8
    assert 0 < found.change < 0.5


def test_a_site_s_prior_moves_the_log_odds_and_the_map_explains_that_answer(
    study: Study, package: Package, reading: Reading
) -> None:
    other = read(study, [package], prior=0.5, prior_source="a survey")
    before, after = looked(reading).answers[0].probability, looked(other).answers[0].probability
    assert logit(after) - logit(before) == pytest.approx(logit(0.5) - logit(0.2))
    assert not np.array_equal(other.maps[-1].voxels, reading.maps[-1].voxels)


def test_the_map_lies_where_the_network_looks(reading: Reading) -> None:
    """In the eight voxels about the centroid, and nowhere that no block with any of them reaches."""
    (found,) = reading.maps
    assert (found.code, found.unit, found.method) == (Saliency.CHANGE, Unit.ONE, Saliency.OCCLUSION)
    assert found.geometry.shape == CROP.size
    assert found.geometry.spacing_mm == CROP.spacing_mm
    assert found.of == "beholder 1.0.0"
    reached = np.zeros(CROP.size, dtype=np.bool_)
    reached[0:8, 4:8, 2:8] = True
    values = np.nan_to_num(found.voxels)
    assert (values[~reached] == 0).all()
    assert (values[3:5, 5:7, 4:6] != 0).all()
    assert found.low == -found.high


def test_a_missing_phase_is_refused_by_name(study: Study, package: Package) -> None:
    found = read(without(study, "arterial"), [package])
    assert refusal(found)[0] == "role-missing"
    assert not found.maps


def test_without_a_region_there_is_no_estimate(study: Study, package: Package) -> None:
    bare = replace(study, series=tuple(s for s in study.series if s.modality == "CT"))
    assert refusal(read(bare, [package]))[0] == "no-roi"


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (lambda m: m.replace("spacing_mm = [6.0, 5.0, 6.0]", "spacing_mm = [2.0, 2.0, 2.0]"),
         "outside-intended-use", "the region reaches"),
        (lambda m: m.replace("spacing_mm = [6.0, 5.0, 6.0]", "spacing_mm = [30.0, 5.0, 6.0]\nleast_seen = 0.9"),
         "outside-intended-use", "have an image in every phase"),
        (lambda m: m.replace("hard = [0.0, 10.0]", "hard = [0.0, 4.0]"), "outside-intended-use", "slice thickness"),
    ],
)  # fmt: skip
def test_what_the_crop_does_not_hold_is_refused(
    change: Change, reason: str, said: str, study: Study, tmp_path: Path
) -> None:
    found = refusal(read(study, [beholder(tmp_path, change)]))
    assert found[0] == reason
    assert said in found[1]


def test_a_crop_that_reaches_beyond_the_images_is_flagged_and_its_map_is_open_there(
    study: Study, tmp_path: Path
) -> None:
    wide = beholder(tmp_path, lambda m: m.replace("spacing_mm = [6.0, 5.0, 6.0]", "spacing_mm = [30.0, 5.0, 6.0]"))
    found = read(study, [wide])
    assert any(flag.kind == "crop-outside" and "-1024 HU" in flag.said for flag in looked(found).flags)
    (one,) = found.maps
    assert np.isnan(one.voxels).any()
    assert np.isfinite(one.voxels[3:5, 5:7, 4:6]).all()


def test_in_shadow_it_answers_and_draws_no_map(study: Study, package: Package, reading: Reading) -> None:
    found = read(study, [LEE], shadow=[package])
    (kept,) = found.shadows
    assert isinstance(kept, Prediction)
    assert kept.answers == looked(reading).answers
    assert not found.maps
    assert [said.package.name for said in found.predictions] == [LEE.manifest.name]


def test_a_map_that_takes_too_long_is_refused_and_the_estimate_stands(study: Study, package: Package) -> None:
    found = read(study, [package], methods=Methods(network_seconds=0.0))
    assert looked(found).answers
    assert not found.maps
    (why,) = (one for one in found.not_measured if one.code == Saliency.CHANGE)
    assert why.refused.reason == "too-slow"


def test_the_same_study_gives_the_same_answer_and_the_same_map(study: Study, package: Package) -> None:
    one, two = (read(study, [package]) for _ in range(2))
    assert looked(one) == looked(two)
    assert np.array_equal(one.maps[0].voxels, two.maps[0].voxels, equal_nan=True)


def test_crops_are_made_of_the_tumour_and_its_variations_alone(study: Study) -> None:
    """Of a thousand segments each crop would be kept until the reading ends."""
    (tumour,) = given(study)
    liver = replace(tumour, tracking_uid="1.2.3", tracking_id="liver")
    grown = replace(tumour, tracking_uid="1.2.4", tracking_id="grown", varied_from=tumour.tracking_uid)
    regions = (tumour, liver, grown)
    scene = Scene(study, select(study, (), {}), regions, regions, crops=(CROP,), tumour=tumour.drawn_uid)
    found = read_phases(scene)
    assert {laid.roi.tracking_id for laid in found.rois} == {tumour.tracking_id, "liver", "grown"}
    assert Counter(one.roi for one in found.views) == {tumour.tracking_id: 2, "grown": 2}


def test_without_maps_the_estimate_is_the_same(study: Study, package: Package) -> None:
    found = read(study, [package], maps=False)
    assert looked(found) == looked(read(study, [package]))
    assert not found.maps
    assert not [one for one in found.not_measured if one.code == Saliency.CHANGE]


def views_read(study: Study, package: Package, monkeypatch: pytest.MonkeyPatch) -> tuple[Reading, dict[Role, View]]:
    kept: dict[Role, View] = {}
    course = way.read_phases

    def keeping(scene: Scene) -> Found:
        found = course(scene)
        kept.update({one.role: one for one in found.views})
        return found

    monkeypatch.setattr(way, "_COURSES", (keeping,))
    return read(study, [package]), kept


def test_where_the_organ_breathed_the_crop_follows_its_tissue(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = replace(SMALL, rows=128, columns=128, slices=40, slice_spacing_mm=2.5)
    by = (0.0, 0.0, 9.0)
    _, still = views_read(opened(tmp_path / "still", fine), package, monkeypatch)
    breathed = opened(tmp_path / "moved", replace(fine, breathing_mm=((Phase.ARTERIAL, by),)))
    reading, moved = views_read(breathed, package, monkeypatch)
    assert "followed by 9" in looked(reading).remarks[0]
    inside = still[Role.ARTERIAL].mask
    apart = np.abs(moved[Role.ARTERIAL].hu - still[Role.ARTERIAL].hu)[inside]
    assert float(np.median(apart)) < 25  # the noise of either is 10 HU; fat and gas lie 100 HU and more away
    assert np.array_equal(moved[Role.PORTAL].hu, still[Role.PORTAL].hu, equal_nan=True)
    assert moved[Role.ARTERIAL].geometry == moved[Role.PORTAL].geometry
