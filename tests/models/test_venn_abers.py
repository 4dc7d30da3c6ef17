from __future__ import annotations

from dataclasses import replace

import pytest

from her2node.models.literature import published
from her2node.models.manifest import Scalar
from her2node.models.prediction import IntervalKind
from her2node.models.uncertainty import interval_kind, interval_of, remarks_of
from her2node.models.venn_abers import VennAbers, flaws

STEPS = VennAbers((0.1, 0.3), (0.4, 0.8, 1.0), "the scores of 9 cases", (0.5,), (-1.0, 2.0))
LEE: Scalar = published.LEE.manifest  # type: ignore[assignment]
STEPPED: Scalar = replace(LEE, logistic=None, venn_abers=STEPS)
CASE = {"portal_hyperattenuation": 1.0, "hepatic_metastasis": 0.0}


@pytest.mark.parametrize(
    ("score", "ends"),
    [
        (-9.0, (0.1, 0.4)),
        (-1.0, (0.1, 0.8)),
        (0.5, (0.1, 0.8)),
        (0.6, (0.3, 0.8)),
        (2.0, (0.3, 1.0)),
        (9.0, (0.3, 1.0)),
    ],
)
def test_on_the_edge_of_a_step_the_further_end_counts(score: float, ends: tuple[float, float]) -> None:
    assert STEPS.of(score) == ends


def test_a_package_with_steps_has_an_interval_of_its_own_kind_and_says_what_it_promises() -> None:
    assert interval_of(STEPPED, CASE, 0.5) == (0.1, 0.8)
    assert interval_kind(STEPPED) is IntervalKind.VENN_ABERS
    (said,) = remarks_of(STEPPED, [CASE])
    assert "by the scores of 9 cases" in said
    assert "no level of confidence" in said


def test_another_prior_moves_the_ends_with_the_probability_and_looks_up_the_score_without_it() -> None:
    assert interval_of(STEPPED, CASE, 0.8, shift=1.3862943611198906) == pytest.approx((4 / 13, 16 / 17))


def test_certainty_has_an_interval_all_the_same() -> None:
    assert interval_of(STEPPED, CASE, 1.0) == (0.3, 1.0)
    assert interval_of(STEPPED, CASE, 0.0) == (0.1, 0.4)


@pytest.mark.parametrize(
    ("steps", "flaw"),
    [
        (replace(STEPS, low=(0.1,)), "one more than their edges"),
        (replace(STEPS, high=(0.4, 0.3, 1.0)), "do not ascend"),
        (replace(STEPS, high_from=(2.0, 2.0)), "do not ascend"),
        (replace(STEPS, low=(0.1, 0.9)), "above the upper"),
        (replace(STEPS, low=(0.5, 0.6)), "above the upper"),
    ],
)
def test_steps_that_are_none_are_named(steps: VennAbers, flaw: str) -> None:
    assert flaw in "".join(flaws(steps))
    assert not list(flaws(STEPS))
