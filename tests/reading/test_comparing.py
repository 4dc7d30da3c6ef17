"""Enhancement from four phases: equal to the phantom's truth, whether or not breathing displaced the organs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from her2node import phantoms
from her2node.dicom.codes import Derivation, Method, Pattern
from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms import Anatomy, PhantomOptions, PhantomStudy, Phase, varied
from her2node.phantoms.shapes import Point
from her2node.reading import Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import open_study

SEED = 3
NOISE_HU = 10.0
BREATHING: tuple[tuple[Phase, Point], ...] = (
    (Phase.PLAIN, (-0.7, 2.2, -7.7)),
    (Phase.ARTERIAL, (1.3, -3.1, 9.4)),
    (Phase.EQUILIBRIUM, (0.0, 4.0, 3.0)),
)
ROLES = dict(zip(Phase, (Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM), strict=True))


def solid() -> Anatomy:
    """A tumour of one attenuation in each phase: what holds of any part of it holds of the whole."""
    anatomy = varied(SEED)
    return replace(anatomy, tumour=replace(anatomy.tumour, core=0.0))


@pytest.fixture(scope="module", params=[(), BREATHING], ids=["still", "breathing"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PhantomStudy, Reading]:
    options = PhantomOptions(
        seed=SEED, rows=200, columns=200, slices=44, noise_hu=NOISE_HU, anatomy=solid(), breathing_mm=request.param
    )
    phantom = phantoms.make(options)
    return phantom, read(open_study(phantoms.write(phantom, tmp_path_factory.mktemp("four"))), ())


def value(reading: Reading, role: Role, code: object, **more: object) -> float:
    (found,) = (
        q.value
        for q in reading.quantities
        if q.role is role and q.code == code and all(getattr(q, name) == wanted for name, wanted in more.items())
    )
    return found


def voxels(reading: Reading) -> int:
    """Of the region without its outermost voxels: what any mean was taken over at least."""
    return min(int(ndimage.binary_erosion(laid.roi.mask).sum()) for laid in reading.rois)


def three_errors(reading: Reading) -> float:
    """Three standard errors of the difference of two means."""
    return 3 * NOISE_HU * float(np.sqrt(2 / voxels(reading)))


@pytest.mark.parametrize("phase", [Phase.ARTERIAL, Phase.PORTAL, Phase.EQUILIBRIUM])
def test_enhancement_is_that_of_the_phantom(pair: tuple[PhantomStudy, Reading], phase: Phase) -> None:
    phantom, reading = pair
    hu = phantom.truth.tumour.hu
    found = value(reading, ROLES[phase], Concept.ATTENUATION_DIFFERENCE)
    assert abs(found - (hu[phase] - hu[Phase.PLAIN])) < three_errors(reading)


def test_portal_minus_arterial_is_that_of_the_phantom(pair: tuple[PhantomStudy, Reading]) -> None:
    phantom, reading = pair
    hu = phantom.truth.tumour.hu
    found = value(reading, Role.PORTAL, Concept.PORTAL_MINUS_ARTERIAL)
    assert abs(found - (hu[Phase.PORTAL] - hu[Phase.ARTERIAL])) < three_errors(reading)


@pytest.mark.parametrize("phase", list(Phase))
def test_attenuation_is_that_of_the_phantom_in_every_phase(pair: tuple[PhantomStudy, Reading], phase: Phase) -> None:
    phantom, reading = pair
    found = value(reading, ROLES[phase], Concept.ATTENUATION, modifier=Derivation.MEAN)
    assert abs(found - phantom.truth.tumour.hu[phase]) < three_errors(reading) / np.sqrt(2) + 0.1


@pytest.mark.parametrize("phase", [Phase.ARTERIAL, Phase.PORTAL, Phase.EQUILIBRIUM])
def test_both_ratios_to_the_aorta_are_those_of_the_phantom(pair: tuple[PhantomStudy, Reading], phase: Phase) -> None:
    phantom, reading = pair
    lesion = phantom.truth.tumour.hu
    aorta = next(organ.hu for organ in phantom.truth.organs if organ.name == "aorta")
    raw = lesion[phase] / aorta[phase]
    enhanced = (lesion[phase] - lesion[Phase.PLAIN]) / (aorta[phase] - aorta[Phase.PLAIN])
    assert value(reading, ROLES[phase], Concept.TO_AORTA_RAW) == pytest.approx(raw, abs=0.01)
    assert value(reading, ROLES[phase], Concept.TO_AORTA_ENHANCEMENT) == pytest.approx(enhanced, abs=0.01)


@pytest.mark.parametrize("phase", list(Phase))
def test_the_aorta_found_by_geometry_has_the_phantoms_attenuation(
    pair: tuple[PhantomStudy, Reading], phase: Phase
) -> None:
    phantom, reading = pair
    aorta = next(organ.hu for organ in phantom.truth.organs if organ.name == "aorta")
    found = value(reading, ROLES[phase], Concept.AORTA_ATTENUATION, method=Method.FOUND_VESSEL)
    assert found == pytest.approx(aorta[phase], abs=1.5)


@pytest.mark.parametrize("phase", [Phase.PLAIN, Phase.ARTERIAL, Phase.EQUILIBRIUM])
def test_the_displacement_is_found_and_told(pair: tuple[PhantomStudy, Reading], phase: Phase) -> None:
    phantom, reading = pair
    by_mm = dict(phantom.options.breathing_mm).get(phase, (0.0, 0.0, 0.0))
    method = Method.GRADIENT_CORRELATION if any(by_mm) else Method.GRADIENT_CORRELATION_KEPT
    found = value(reading, ROLES[phase], Concept.DISPLACEMENT, method=method)
    assert found == pytest.approx(float(np.linalg.norm(by_mm)), abs=0.5)


def test_the_pattern_is_told(pair: tuple[PhantomStudy, Reading]) -> None:
    phantom, reading = pair
    hu = phantom.truth.tumour.hu
    (found,) = reading.evaluations
    washes_out = hu[Phase.EQUILIBRIUM] < hu[Phase.PORTAL] - 5
    assert found.value == (Pattern.WASH_OUT if washes_out else Pattern.PERSISTENT)
