"""What the voxels of a CT series testify about its contrast phase: attenuations in, a judgement out.

The likelihood of each phase is a product of normal densities of ratios between organs, which a dose of contrast, a
body weight or a tube voltage does not change, and of the enhancement of the aorta, which is brought to 120 kVp. Means
and spreads are the usual textbook figures (aorta 250 to 350 HU in the arterial, 120 to 180 in the portal, 90 to 125 in
the equilibrium phase), declared here; two real scans and the phantoms were looked at when they were set, no cohort. A
late arterial scan, in which liver and spleen take up contrast already while the aorta is still far brighter, counts as
arterial.

The judge is silent rather than wrong: where no phase is likely enough, where the likeliest does not fit, where there
is too little enhancement to tell veins from arteries, and where too few organs are seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from her2node.selection.roles import Role
from her2node.selection.witnesses import SILENT, Testimony

LEAST_CONFIDENCE = 0.8
"""A phase that is less likely than this among all is not named."""
FARTHEST = 2.5
"""A phase whose usual figure lies so many spreads away from a measured one does not fit."""
WEAKEST_BOLUS_HU = 50.0
"""Enhancement of the aorta at 120 kVp below which portal and equilibrium phase are not told apart."""
UNENHANCED_HU = 80.0
"""No vessel, liver or muscle without contrast reaches this; blood of 40 HU and noise stay well below."""

_BLOOD, _LIVER, _SPLEEN, _KIDNEY = 40.0, 58.0, 48.0, 32.0
"""Usual attenuations before contrast."""
_BRIGHTER_BY = {70: 1.95, 80: 1.67, 90: 1.43, 100: 1.27, 110: 1.12, 120: 1.0, 130: 0.93, 140: 0.87}
"""Enhancement by iodine at a tube voltage (kVp) over that at 120 kVp."""


@dataclass(frozen=True)
class Enhancement:
    """Attenuations in HU of one series, None for what was not found. ``ceiling``: how bright an unseen vessel could be.

    ``kvp``: the tube voltage, None where the headers do not tell.
    """

    aorta: float | None = None
    ceiling: float | None = None
    liver: float | None = None
    spleen: float | None = None
    cortex: float | None = None
    medulla: float | None = None
    portal_vein: float | None = None
    kvp: float | None = None


@dataclass(frozen=True)
class Judgement:
    """What the images say. ``likely``: the probability of each phase, empty where nothing could be weighed."""

    testimony: Testimony
    likely: Mapping[Role, float]

    def allows(self, role: Role, *, named_twice: bool) -> bool:
        """Whether the images bear out ``role``: they name it, or hold it likelier than all others together where two
        other witnesses name it."""
        unsure = not self.testimony.phases and self.likely.get(role, 0.0) >= 0.5
        return self.testimony.phases == {role} or (named_twice and unsure)


@dataclass(frozen=True)
class _Look:
    """How a phase looks: mean and spread of each feature."""

    role: Role
    aorta: tuple[float, float]
    liver: tuple[float, float]
    spleen: tuple[float, float]
    cortex: tuple[float, float]
    medulla: tuple[float, float]
    portal_vein: tuple[float, float]


_LOOKS = (
    _Look(Role.ARTERIAL, (5.56, 0.30), (0.06, 0.08), (0.27, 0.15), (0.50, 0.25), (0.35, 0.25), (0.20, 0.20)),
    _Look(Role.ARTERIAL, (5.19, 0.22), (0.30, 0.12), (0.60, 0.15), (0.85, 0.30), (0.45, 0.20), (0.60, 0.20)),
    _Look(Role.PORTAL, (4.68, 0.20), (0.53, 0.13), (0.68, 0.12), (1.60, 0.35), (0.75, 0.15), (1.12, 0.18)),
    _Look(Role.EQUILIBRIUM, (4.22, 0.20), (0.58, 0.15), (0.70, 0.14), (1.95, 0.40), (0.95, 0.08), (1.02, 0.12)),
)
"""``aorta``: the logarithm of its enhancement at 120 kVp; ``medulla``: its enhancement over that of the cortex; all
others: enhancement over that of the aorta. The two arterial looks are the early and the late one."""


def judge(seen: Enhancement) -> Judgement:
    """What the attenuations of one series say of its phase, with the measured figures as its words."""
    if seen.aorta is None or seen.aorta < UNENHANCED_HU:
        return _without_contrast(seen)
    judged = [_weighed(seen, factor) for factor in _factors(seen.kvp)]
    words = _words(seen)
    first = judged[0]
    roles = {role for role, _, _ in judged}
    if len(roles) > 1 or min(likely for _, likely, _ in judged) < LEAST_CONFIDENCE:
        return _unsure(first[2], words, "are between phases")
    role, likely, shares = first
    if role is None:
        return _unsure({}, words, "fit no phase")
    said = Testimony(frozenset({role}), True, f"{words}: {role} phase, confidence {likely:.2f}")
    return Judgement(said, shares)


def _without_contrast(seen: Enhancement) -> Judgement:
    """Plain where no vessel before the spine is bright, and aorta, spleen or kidneys are seen to be dark."""
    told = (("aorta", seen.aorta, 75.0), ("spleen", seen.spleen, 70.0), ("renal cortex", seen.cortex, 60.0))
    organs = [(name, hu, hu <= highest) for name, hu, highest in told if hu is not None]
    liver_dark = seen.liver is None or seen.liver < UNENHANCED_HU + 10
    vessels_dark = seen.ceiling is not None and seen.ceiling < UNENHANCED_HU
    if not vessels_dark or not liver_dark or not organs or not all(dark for _, _, dark in organs):
        return Judgement(SILENT, {})
    words = f"images: nothing before the spine above {seen.ceiling:.0f} HU, {_listed((n, hu) for n, hu, _ in organs)}"
    return Judgement(Testimony(frozenset({Role.PLAIN}), False, f"{words}: no contrast"), {Role.PLAIN: 1.0})


def _factors(kvp: float | None) -> tuple[float, ...]:
    """By how much iodine is brighter than at 120 kVp; where the voltage is untold every usual factor is tried."""
    if kvp is None or not 60 <= kvp <= 150:
        return (1.0, 1.27, 1.67)
    nearest = min(_BRIGHTER_BY, key=lambda known: abs(known - kvp))
    return (_BRIGHTER_BY[nearest],)


def _weighed(seen: Enhancement, factor: float) -> tuple[Role | None, float, dict[Role, float]]:
    """The likeliest phase (None: it does not fit), its probability, and that of each phase."""
    features = _features(seen, factor)
    if features["aorta"] is None or len([value for value in features.values() if value is not None]) < 2:
        return None, 0.0, {}
    scores = [(sum(_log_density(look, features)), look) for look in _LOOKS]
    best, look = max(scores, key=lambda item: item[0])
    total = math.fsum(math.exp(score - best) for score, _ in scores)
    shares: dict[Role, float] = {}
    for score, other in scores:
        shares[other.role] = shares.get(other.role, 0.0) + math.exp(score - best) / total
    if max(_distances(look, features)) > FARTHEST:
        return None, 1.0, {}
    too_weak = math.exp(features["aorta"]) < WEAKEST_BOLUS_HU and look.role is not Role.ARTERIAL
    return look.role, 0.0 if too_weak else shares[look.role], {} if too_weak else shares


def _features(seen: Enhancement, factor: float) -> dict[str, float | None]:
    aorta = (seen.aorta or _BLOOD) - _BLOOD
    if aorta < 15.0:
        return dict.fromkeys(("aorta", "liver", "spleen", "cortex", "medulla", "portal_vein"))
    cortex = None if seen.cortex is None else seen.cortex - _KIDNEY

    def share(hu: float | None, before: float) -> float | None:
        return None if hu is None else (hu - before) / aorta

    return {
        "aorta": math.log(aorta / factor),
        "liver": share(seen.liver, _LIVER),
        "spleen": share(seen.spleen, _SPLEEN),
        "cortex": share(seen.cortex, _KIDNEY),
        "medulla": None if not cortex or cortex < 30 or seen.medulla is None else (seen.medulla - _KIDNEY) / cortex,
        "portal_vein": share(seen.portal_vein, _BLOOD),
    }


def _log_density(look: _Look, features: Mapping[str, float | None]) -> Iterable[float]:
    for name, value in features.items():
        if value is not None:
            mean, spread = getattr(look, name)
            yield -0.5 * ((value - mean) / spread) ** 2 - math.log(spread)


def _distances(look: _Look, features: Mapping[str, float | None]) -> Iterable[float]:
    for name, value in features.items():
        if value is not None:
            mean, spread = getattr(look, name)
            yield abs(value - mean) / spread


def _unsure(shares: Mapping[Role, float], words: str, why: str) -> Judgement:
    return Judgement(Testimony(frozenset(), True, f"{words}: they {why}"), shares)


def _words(seen: Enhancement) -> str:
    names = ("aorta", "portal vein", "liver", "spleen", "renal cortex", "renal medulla")
    values = (seen.aorta, seen.portal_vein, seen.liver, seen.spleen, seen.cortex, seen.medulla)
    return f"images: {_listed((name, hu) for name, hu in zip(names, values, strict=True) if hu is not None)}"


def _listed(found: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {hu:.0f} HU" for name, hu in found)
