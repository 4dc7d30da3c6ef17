from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.quantities import relaxation
from tests.quantities.dce_made import TR_MS, echo
from tests.quantities.osipi import array, rows

ANGLES = np.array([2.0, 5.0, 10.0, 20.0])


@given(t1=st.floats(0.05, 5.0), m0=st.floats(1.0, 1e7))
def test_flip_angles_give_t1_and_m0_back(t1: float, m0: float) -> None:
    signal = np.stack([echo(np.zeros(1), t1, angle, m0) for angle in ANGLES])
    found = relaxation.by_flip_angles(signal, ANGLES, TR_MS / 1000)
    assert 1 / found.r1[0] == pytest.approx(t1, rel=1e-5)
    assert found.m0[0] == pytest.approx(m0, rel=1e-5)


@pytest.mark.parametrize("signal", [[0.0, 0, 0, 0], [np.nan, 1, 2, 3], [1e-9, 1, 1e6, 1e12], [-1.0, -2, -3, -4]])
def test_signals_that_no_t1_gives_have_none(signal: list[float]) -> None:
    found = relaxation.by_flip_angles(np.array(signal)[:, np.newaxis], ANGLES, 0.005)
    assert np.isnan(found.r1[0])
    assert np.isnan(found.m0[0])


def test_every_voxel_may_have_angles_of_its_own() -> None:
    shares = np.array([0.9, 1.1])
    signal = np.stack([[echo(0.0, 1.2, angle * share) for share in shares] for angle in ANGLES])
    found = relaxation.by_flip_angles(signal, np.outer(ANGLES, shares), TR_MS / 1000)
    assert 1 / found.r1 == pytest.approx(1.2, rel=1e-5)


@given(contrast=st.floats(-0.1, 20.0), t1=st.floats(0.2, 3.0))
def test_contrast_comes_back_out_of_its_signal(contrast: float, t1: float) -> None:
    signal = echo(np.array([[0.0, contrast]]), t1)
    found = relaxation.concentration(signal, signal[:, 0], np.array([1 / t1]), 20.0, TR_MS / 1000, 4.5)
    assert found[0] == pytest.approx([0.0, contrast], abs=1e-7)


def test_a_signal_beyond_the_sequence_has_no_concentration() -> None:
    signal = np.array([[10.0, 1e6, -1e6, 10.0]])
    found = relaxation.concentration(signal, np.array([10.0]), np.array([1.0]), 20.0, 0.005, 4.5)[0]
    assert np.isnan(found[1])
    assert found[[0, 3]] == pytest.approx(0.0, abs=1e-9)


def test_a_voxel_without_signal_has_no_concentration() -> None:
    found = relaxation.concentration(np.zeros((1, 3)), np.zeros(1), np.ones(1), 20.0, 0.005, 4.5)
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("agent", "field", "value", "assumed"),
    [
        ("GADOVIST 1.0 mmol/ml", 1.5, 4.6, False),
        ("Dotarem", 1.5, 3.9, False),
        ("ProHance", 3.0, 3.5, False),
        ("Primovist (Gd-EOB-DTPA)", 3.0, 5.5, False),
        ("Multihance", 1.5, 6.2, False),
        ("Omniscan Gd-DTPA-BMA", 1.5, 4.5, False),
        ("Gd-DTPA-BMEA", 3.0, 4.2, False),
        ("Magnevist", 2.89, 3.8, False),
        ("water", 1.5, 4.5, True),
        ("", 3.0, 4.5, True),
        ("Gadovist", 7.0, 4.5, True),
        ("Gadovist", None, 4.5, True),
    ],
)
def test_relaxivity_goes_by_agent_and_field_and_is_assumed_aloud_otherwise(
    agent: str, field: float | None, value: float, assumed: bool
) -> None:
    found = relaxation.relaxivity_of(agent, field)
    assert found.value == value
    assert ("assumed" in found.words) == assumed


def test_the_t1_of_blood_goes_by_field() -> None:
    assert relaxation.blood_t1_of(1.5).value == 1.44
    assert relaxation.blood_t1_of(3.0).value == 1.66
    assert "assumed" in relaxation.blood_t1_of(None).words


@pytest.mark.truth
def test_osipi_t1_cases_are_all_within_tolerance(shared: Path) -> None:
    """171 cases; those of the prostate once more with their B1."""
    count = 0
    for name, per_s, seconds in (("brain", 1.0, 1.0), ("quiba", 1e3, 1.0), ("prostate", 1.0, 1e-3)):
        for row in rows(shared, f"T1_mapping/t1_{name}_data.csv"):
            count += 1
            repetition = array(row["TR"])[0] * seconds
            pairs = [(array(row["FA"]), per_s * float(row["R1"]) if "R1" in row else 1e3 / float(row[" T1 nonlinear"]))]
            if "B1" in row:
                scaled = array(row["FA"]) * float(row["B1"]) / 100
                pairs.append((scaled, 1e3 / float(row[" T1 nonlinear B1cor"])))
            for angles, truth in pairs:
                r1 = relaxation.by_flip_angles(array(row["s"])[:, np.newaxis], angles, repetition).r1[0]
                assert abs(r1 - truth) <= 0.05 + 0.05 * truth, row["label"]
    assert count == 171


@pytest.mark.truth
def test_osipi_signals_turn_into_their_concentrations(shared: Path) -> None:
    """OSIPI's baseline leaves the first sample out: it is the mean of the second to the n-th."""
    cases = rows(shared, "SI_to_Conc/SI2Conc_data.csv")
    assert len(cases) == 5
    for row in cases:
        signal = array(row["s"])[np.newaxis]
        before = signal[:, 1 : int(row["numbaselinepts"])].mean(axis=1)
        r1 = np.array([1 / float(row["T1base"])])
        found = relaxation.concentration(signal, before, r1, float(row["FA"]), float(row["TR"]), float(row["r1"]))
        assert found[0] == pytest.approx(array(row["conc"]), abs=1e-5)
