from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydicom.dataset import Dataset

from her2node.volumes.contrast import Contrast, contrast_of

BEGUN = datetime(2025, 3, 5, 10, 20, 0)


def header(**attributes: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def test_a_header_that_says_nothing_gives_nothing() -> None:
    found, notes = contrast_of(Dataset(), BEGUN)
    assert (found, notes) == (Contrast(), ())
    assert found.words == ("contrast agent not stated in the header",)


@pytest.mark.parametrize("volume", ["0", "-3", "", "unknown"])
def test_a_volume_that_is_none_is_not_invented(volume: str) -> None:
    ds = header(ContrastBolusAgent="Gadovist")
    ds.add_new("ContrastBolusVolume", "LO" if volume == "unknown" else "DS", volume)
    assert contrast_of(ds, BEGUN)[0] == Contrast(agent="Gadovist")


@pytest.mark.parametrize(("start", "seconds"), [("102030.5", 30.5), ("101945", -15.0), ("10:20:05", 5.0)])
def test_the_start_of_the_injection_counts_from_the_first_time_point(start: str, seconds: float) -> None:
    found, notes = contrast_of(header(ContrastBolusStartTime=start), BEGUN)
    assert found.start_s == pytest.approx(seconds)
    assert notes == ()
    assert f"{abs(seconds):.1f} s {'after' if seconds > 0 else 'before'} the first time point" in found.words[0]


def test_without_a_time_of_the_images_the_start_says_nothing() -> None:
    assert contrast_of(header(ContrastBolusStartTime="102030"), None)[0].start_s is None


def test_an_enhanced_object_tells_agent_route_and_profile_in_items() -> None:
    profile = header(ContrastBolusVolume="9", ContrastFlowRate="1.5", ContrastBolusStartTime="102010")
    route = header(CodeValue="47625008", CodingSchemeDesignator="SCT", CodeMeaning="Intravenous route")
    agent = header(
        CodeMeaning="Gadoterate",
        ContrastBolusIngredientConcentration=376.9,
        ContrastBolusAdministrationRouteSequence=[route],
        ContrastAdministrationProfileSequence=[profile],
    )
    found, _ = contrast_of(header(ContrastBolusAgentSequence=[agent]), BEGUN)
    assert found == Contrast("Gadoterate", "Intravenous route", 9.0, None, 376.9, 1.5, 10.0)
