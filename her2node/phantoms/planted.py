"""The declared relation between a phantom's tumour and its HER-2 'label'.

It is invented, so that a cohort of phantoms has an effect to find, and says nothing about patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Planted:
    """logit p = intercept + portal_slope·(portal − 90) + arterial_slope·(arterial − 70), attenuations in HU."""

    intercept: float
    portal_slope: float
    arterial_slope: float

    def probability(self, portal_hu: float, arterial_hu: float) -> float:
        """The probability of a positive label, in (0, 1)."""
        logit = self.intercept + self.portal_slope * (portal_hu - 90) + self.arterial_slope * (arterial_hu - 70)
        return 1 / (1 + math.exp(-logit))

    def draw(self, probability: float, seed: int) -> bool:
        """The label of the phantom of this seed."""
        return bool(np.random.default_rng(np.random.SeedSequence([seed, 2])).uniform() < probability)


PLANTED = Planted(intercept=-1.0, portal_slope=0.12, arterial_slope=-0.05)
