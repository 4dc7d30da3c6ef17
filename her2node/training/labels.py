"""From tissue results to a label: HER2 immunohistochemistry (IHC) and in situ hybridisation (ISH, FISH).

The rule is, unless another is chosen, that of the CAP/ASCP/ASCO guideline for gastroesophageal cancer: 0 and 1+ are
negative, 3+ is positive, 2+ is what ISH says, and 2+ without ISH is no label. Papers differ, so that others can be
followed; which one it was stands in the package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from her2node.errors import LabelRefused


class Rule(StrEnum):
    """Which tissue results make a positive label."""

    GUIDELINE = "guideline"
    """IHC 3+, or 2+ with ISH."""
    IHC_3 = "ihc-3"
    """IHC 3+ alone, whatever ISH says."""
    IHC_2_3 = "ihc-2-3"
    """IHC 2+ and 3+ alike, whatever ISH says."""

    @property
    def definition(self) -> str:
        """In words, as reports and packages have them."""
        return _DEFINITIONS[self]


_DEFINITIONS = {
    Rule.GUIDELINE: "positive: IHC 3+, or IHC 2+ with ISH positive (HER2/CEP17 ratio of at least 2.0); "
    "negative: IHC 0 or 1+, or IHC 2+ with ISH negative; excluded: IHC 2+ without ISH",
    Rule.IHC_3: "positive: IHC 3+; negative: IHC 0, 1+ or 2+; ISH does not count (not the guideline's definition)",
    Rule.IHC_2_3: "positive: IHC 2+ or 3+; negative: IHC 0 or 1+; ISH does not count (not the guideline's definition)",
}
OF_PHANTOMS = "drawn for phantoms, which have no tissue, from an invented relation"
"""The definition where phantoms are among the cases."""
POSITIVE_RATIO = 2.0
"""HER2/CEP17."""

_SCORES = {"0": 0, "1": 1, "1+": 1, "2": 2, "2+": 2, "3": 3, "3+": 3}
_SAID = {
    **dict.fromkeys(("positive", "pos", "+", "amplified", "yes"), True),
    **dict.fromkeys(("negative", "neg", "-", "not amplified", "no"), False),
}


@dataclass(frozen=True)
class Tissue:
    """What pathology said. ``score`` is that of IHC, ``amplified`` the answer of ISH, None where it was not done."""

    score: int
    amplified: bool | None
    rule: Rule = Rule.GUIDELINE

    @property
    def label(self) -> bool | None:
        """Positive, negative, or None: by the guideline 2+ without ISH."""
        if self.score == 2:
            return self.amplified if self.rule is Rule.GUIDELINE else self.rule is Rule.IHC_2_3
        return self.score == 3

    @property
    def discordant(self) -> bool:
        """IHC and ISH contradict each other; the rule goes by IHC."""
        return self.amplified is not None and self.score != 2 and self.amplified is not (self.score == 3)


def tissue(ihc: str, ish: str = "", ratio: str = "", rule: Rule = Rule.GUIDELINE) -> Tissue:
    """Read the results as a table has them: ``ihc`` 0, 1+, 2+, 3+; ``ish`` positive or negative; ``ratio`` HER2/CEP17.
    The label goes by ``rule``.

    Raises LabelRefused for what cannot be read, and for an answer of ISH that its ratio contradicts.
    """
    if ihc.strip() not in _SCORES:
        raise LabelRefused(f"IHC '{ihc}'", remedy="0, 1+, 2+ or 3+")
    said = _said(ish)
    counted = _counted(ratio)
    if said is not None and counted is not None and said is not counted:
        raise LabelRefused(f"ISH '{ish}' and the HER2/CEP17 ratio {ratio} contradict each other")
    return Tissue(_SCORES[ihc.strip()], said if said is not None else counted, rule)


def _said(ish: str) -> bool | None:
    word = ish.strip().lower()
    if not word:
        return None
    if word not in _SAID:
        raise LabelRefused(f"ISH '{ish}'", remedy="positive, negative, or empty")
    return _SAID[word]


def _counted(ratio: str) -> bool | None:
    if not ratio.strip():
        return None
    try:
        value = float(ratio)
    except ValueError as error:
        raise LabelRefused(f"HER2/CEP17 ratio '{ratio}' is no number") from error
    if not (math.isfinite(value) and value > 0):
        raise LabelRefused(f"HER2/CEP17 ratio '{ratio}' cannot be")
    return value >= POSITIVE_RATIO
