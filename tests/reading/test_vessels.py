"""Which part of a reference vessel a region is compared with, and how a displacement is told."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.quantities.displacement import Displacement
from her2node.quantities.dual_energy import Aorta
from her2node.quantities.quantity import Quantity
from her2node.reading.comparing import SURE_MM, doubts, told
from her2node.reading.dual_energy import part_of_aorta
from her2node.reading.vessels import Reference, Vessels
from her2node.reading.viewing import followed_by
from her2node.rois.landmarks import Tube
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from tests.quantities import made


def region(spacing: tuple[float, float, float] = (2.0, 1.0, 1.0)) -> Roi:
    """On slices 40 to 49 of 100."""
    volume = made.volume(np.zeros((100, 8, 8)), spacing=spacing)
    mask = np.zeros((100, 8, 8), np.bool_)
    mask[40:50, 3:5, 3:5] = True
    return made.roi(mask, volume)


def upright(low_mm: float, high_mm: float, radius_mm: float = 6.0) -> Reference:
    """A vessel along the slices, a point every 2 mm."""
    return Reference(tube=Tube(tuple((4.0, 4.0, z) for z in np.arange(low_mm, high_mm + 1, 2.0).tolist()), radius_mm))


def test_the_part_of_the_aorta_on_a_region_s_slices_is_its_reference() -> None:
    found = Vessels(upright(0, 198)).beside(region()).aorta.tube
    assert found is not None
    along = [z for _, _, z in found.line_mm]
    assert (min(along), max(along)) == (80.0 - 12.0, 98.0 + 12.0)
    assert found.radius_mm == 6.0


def test_where_that_part_is_short_or_holds_few_voxels_the_whole_vessel_is() -> None:
    beyond, coarse = upright(150, 198), upright(0, 198, radius_mm=3.0)
    assert Vessels(beyond).beside(region()).aorta == beyond
    assert Vessels(coarse).beside(region((2.0, 8.0, 8.0))).aorta == coarse


def test_a_point_and_a_given_region_stay_as_they_are() -> None:
    point, drawn = Reference(tube=Tube(((4.0, 4.0, 90.0),), 3.5)), Reference(roi=region())
    vessels = Vessels(drawn, point)
    assert vessels.beside(region()) == vessels


@pytest.mark.parametrize(("error_mm", "flagged"), [(SURE_MM, False), (0.4, True)])
def test_a_displacement_that_is_not_well_known_is_flagged(error_mm: float, flagged: bool) -> None:
    said = told(Displacement((3.0, 0.0, 4.0), 0.9, error_mm), region(), Role.PLAIN, "1.2", moved=True)
    assert isinstance(said, Quantity)
    assert said.value == 5.0
    assert bool(said.flags) is flagged
    assert not flagged or "within 1.2 mm" in said.flags[0]


@pytest.mark.parametrize(
    ("return_mm", "words"), [(0.9, ()), (5.0, ("5.0 mm elsewhere",)), (float("inf"), ("nowhere for sure",))]
)
def test_a_displacement_whose_way_back_leads_elsewhere_is_flagged(return_mm: float, words: tuple[str, ...]) -> None:
    said = told(Displacement((3.0, 0.0, 4.0), 0.9, 0.1, return_mm), region(), Role.PLAIN, "1.2", moved=True)
    assert isinstance(said, Quantity)
    assert said.flags == tuple(f"looked for the other way round the region lies {one}" for one in words)


@pytest.mark.parametrize(
    ("error_mm", "return_mm", "count"), [(0.1, 0.2, 0), (0.4, 0.2, 1), (0.1, 5.0, 1), (0.4, float("inf"), 2)]
)
def test_what_is_unsure_of_a_displacement_is_unsure_of_the_crop_that_follows_it(
    error_mm: float, return_mm: float, count: int
) -> None:
    found = Displacement((3.0, 0.0, 4.0), 0.9, error_mm, return_mm)
    assert len(doubts(found)) == count
    assert followed_by(found, moved=True) == (
        "followed by 5.0 mm",
        tuple(f"the displacement: {doubt}" for doubt in doubts(found)),
    )


def test_iodine_is_compared_with_the_part_of_the_aorta_beside_its_region() -> None:
    volume = made.volume(np.zeros((100, 8, 8)), spacing=(2.0, 1.0, 1.0))
    found = part_of_aorta(upright(0, 198), volume, region())
    assert isinstance(found, Aorta)
    assert found.found
    slices = np.flatnonzero(found.mask.any(axis=(1, 2)))
    assert (slices.min(), slices.max()) == (31, 58)
    given = part_of_aorta(Reference(roi=region()), volume, region())
    assert isinstance(given, Aorta)
    assert not given.found
    assert np.array_equal(given.mask, region().mask)
