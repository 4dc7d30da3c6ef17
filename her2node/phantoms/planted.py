"""The declared relations between a phantom's tumour and its HER-2 'label'.

They are invented, so that a cohort of phantoms has an effect to find, and say nothing about patients.
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
        return drawn(probability, seed)


@dataclass(frozen=True)
class PlantedLine:
    """logit p = intercept + slope·(x − centre) of one figure x of the tumour."""

    intercept: float
    slope: float
    centre: float

    def logit(self, figure: float) -> float:
        return self.intercept + self.slope * (figure - self.centre)

    def label(self, figure: float, seed: int) -> Label:
        """That of the phantom of this seed."""
        return labelled(self.logit(figure), seed)


@dataclass(frozen=True)
class Label:
    """Whether a phantom is 'positive', and the probability with which that was drawn."""

    her2_probability: float
    her2_positive: bool


def labelled(logit: float, seed: int) -> Label:
    """The label of the phantom of this seed."""
    probability = 1 / (1 + math.exp(-logit))
    return Label(probability, drawn(probability, seed))


def drawn(probability: float, seed: int) -> bool:
    """The label of the phantom of this seed."""
    return bool(np.random.default_rng(np.random.SeedSequence([seed, 2])).uniform() < probability)


PLANTED = Planted(intercept=-1.0, portal_slope=0.12, arterial_slope=-0.05)
PLANTED_KTRANS = PlantedLine(intercept=-0.5, slope=25.0, centre=0.18)
"""Of DCE-MRI: by the mean Ktrans of the tumour, 1/min."""
PLANTED_SUVMAX = PlantedLine(intercept=-0.5, slope=0.4, centre=11.0)
"""Of PET: by the highest SUVbw of the primary tumour."""
PLANTED_D = PlantedLine(intercept=-0.5, slope=0.01, centre=1050.0)
"""Of diffusion-weighted MR: by the mean D of the tumour, um2/s."""
PLANTED_VOLUME = PlantedLine(intercept=-0.5, slope=90.0, centre=0.09)
"""Of CT perfusion: by the vascular share of the tumour."""
