"""What a package says about a study, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from her2node.errors import Refused


class Level(StrEnum):
    """Where a package's numbers come from; printed in every report."""

    PUBLISHED_COMPLETE = "published-complete"
    """The paper prints the whole model, or a network's weights are published."""
    PUBLISHED_RECONSTRUCTED = "published-reconstructed"
    """The model is recovered from printed figures."""
    PUBLISHED_THRESHOLD = "published-threshold"
    """A printed cut-off with sensitivity and specificity."""
    SITE_TRAINED = "site-trained"
    """Fitted on a site's own cases."""
    SYNTHETIC_DEMO = "synthetic-demo"
    """Fitted on digital phantoms: says nothing about patients, refused outside demonstration mode."""
    MEASURED_ONLY = "measured-only"
    """A quantity without a rule."""


class Category(StrEnum):
    """The three words of an estimate."""

    LIKELY = "likely"
    INDETERMINATE = "indeterminate"
    UNLIKELY = "unlikely"


class IntervalKind(StrEnum):
    """What an interval of a probability is; the words stand before it in every report."""

    CONFIDENCE = "95 % interval"
    """Of the model's own probability: it covers what more cases of the kind that it was made of would make of it in 95
    of 100 cohorts."""
    VENN_ABERS = "Venn-Abers interval"
    """Of the share of positives among cases with this score, without a level of confidence (``venn_abers``)."""


@dataclass(frozen=True)
class InputUsed:
    """One input as it went into the model. ``source``: ``measured``, ``entered``, ``header`` or ``assumed`` (an
    alternative); ``method``: how it was measured, '' where that needs no name; of a scanner its name."""

    name: str
    value: float
    unit: str
    source: str
    series_uids: tuple[str, ...] = ()
    method: str = ""


@dataclass(frozen=True)
class Flag:
    """Something about the study that the package was not made for. ``kind`` is for counting, ``said`` for people."""

    kind: str
    said: str

    def __str__(self) -> str:
        return self.said


@dataclass(frozen=True)
class Answer:
    """Probability in [0, 1] and its category for one set of inputs; its interval where the package has one.

    A Venn-Abers interval may lie beside the probability: it says what came of cases with this score.
    """

    inputs: tuple[InputUsed, ...]
    probability: float
    category: Category
    interval: tuple[float, float] | None = None
    interval_kind: IntervalKind = IntervalKind.CONFIDENCE


@dataclass(frozen=True)
class Stability:
    """Whether the answer holds when the region is drawn a little otherwise.

    ``held`` of ``tried`` other regions gave the same categories. ``change`` is the largest difference in probability
    from the region itself, ``moved`` names those that gave another category or none, in words.
    """

    tried: int
    held: int
    change: float
    moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackageRef:
    """Which package: printed in full in every report."""

    name: str
    version: str
    level: Level
    title: str
    citation: str
    intended_use: str
    sha256: str
    """SHA-256 of package.toml, which holds the hashes of all other files."""
    reference_test: str


@dataclass(frozen=True)
class Prediction:
    """A package's answer. One answer when every input is known, else one for each possible value of what a reader
    has not entered (``open_inputs`` names them).

    ``flags`` are applicability warnings, ``cautions`` what the node cannot check. ``conflicts`` are statements on
    contradicting literature. ``categories`` says how the categories are told, ``remarks`` how the rule decided and how
    intervals were had. ``roi`` is the tracking id or None. ``stability`` is None where it was not tried. ``looked_at``:
    the series that a network looked at itself, in the order of its channels.
    """

    package: PackageRef
    answers: tuple[Answer, ...]
    open_inputs: tuple[str, ...]
    prior: float
    prior_source: str
    flags: tuple[Flag, ...] = ()
    conflicts: tuple[str, ...] = ()
    roi: str | None = None
    cautions: tuple[str, ...] = ()
    categories: str = ""
    remarks: tuple[str, ...] = ()
    stability: Stability | None = None
    looked_at: tuple[str, ...] = ()

    @property
    def series_uids(self) -> tuple[str, ...]:
        """The series that the answers rest on."""
        measured = (uid for answer in self.answers for used in answer.inputs for uid in used.series_uids)
        return tuple(dict.fromkeys((*measured, *self.looked_at)))


@dataclass(frozen=True)
class Segmented:
    """Which package drew the tumour, with its applicability warnings and what the node cannot check."""

    package: PackageRef
    flags: tuple[Flag, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What a measured-only package says: quantities beside printed cut-offs, and no estimate."""

    package: PackageRef
    inputs: tuple[InputUsed, ...]
    remarks: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    conflicts: tuple[str, ...] = ()
    roi: str | None = None
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotPredicted:
    """A package that did not run, and why."""

    package: PackageRef
    refused: Refused
