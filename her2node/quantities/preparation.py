"""What FDG uptake depends on besides the tumour: blood glucose, the time since injection, and histology.

Published cut-offs hold for patients prepared alike: fasting, glucose below 140 mg/dl, scanned about an hour after
injection (Chen 2016; EANM guideline 2.0: 55 to 75 minutes). Signet-ring cells and mucin take up little FDG whatever the
HER-2 status (Arslan: 9.7 against 12.9), and the published rules leave such tumours out. No header of PET images tells
glucose or histology: both are entered by a reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from her2node.dicom.codes import Answer, Code, Uptake
from her2node.errors import InputMissing, InvalidAttribute, MissingAttribute, OutsideProtocol, Refused

_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Preparation:
    """What is known: the time from injection to the first acquisition as headers tell it, the rest as entered; None
    where nothing tells."""

    uptake: timedelta | None = None
    glucose_mg_dl: float | None = None
    signet_ring: bool | None = None
    mucinous: bool | None = None

    @property
    def uptake_min(self) -> float:
        """Raises MissingAttribute, InvalidAttribute."""
        if self.uptake is None:
            raise MissingAttribute("RadiopharmaceuticalStartDateTime, or AcquisitionDate and AcquisitionTime")
        minutes = self.uptake.total_seconds() / 60
        if not timedelta(0) < self.uptake < _A_DAY:
            raise InvalidAttribute(f"RadiopharmaceuticalStartDateTime lies {minutes:.0f} min before the acquisition")
        return minutes

    @property
    def glucose(self) -> float:
        """mg/dl. Raises InputMissing."""
        if self.glucose_mg_dl is None:
            raise InputMissing("blood glucose", remedy="enter glucose_mg_dl=VALUE")
        return self.glucose_mg_dl

    @property
    def histology(self) -> tuple[tuple[Code, Code], ...]:
        """What was entered of the histology, as coded concept and answer."""
        said = ((Uptake.SIGNET_RING, self.signet_ring), (Uptake.MUCINOUS, self.mucinous))
        return tuple((concept, Answer.YES if held else Answer.NO) for concept, held in said if held is not None)


UNKNOWN = Preparation()
"""Nothing is known of the patient's preparation."""


@dataclass(frozen=True)
class Gates:
    """Between which limits uptake may be compared with published values; sites differ, so they are set and printed.

    ``strict``: uptake outside them, or of unknown preparation, is refused; else it bears a flag.
    """

    glucose_below_mg_dl: float = 140.0
    uptake_minutes: tuple[float, float] = (55.0, 75.0)
    strict: bool = False

    def words(self) -> tuple[str, ...]:
        """As a report prints them."""
        first, last = self.uptake_minutes
        return (
            f"comparable with glucose below {self.glucose_below_mg_dl:g} mg/dl and scanned {first:g} to {last:g} min "
            "after injection",
        )

    def refusal(self, preparation: Preparation) -> Refused | None:
        """Why uptake may not be told at all, where the gates are strict."""
        said = (*self.outside(preparation), *self.unknown(preparation))
        return OutsideProtocol("; ".join(said)) if self.strict and said else None

    def outside(self, preparation: Preparation) -> tuple[str, ...]:
        """What is known and not as it should be."""
        return tuple(self._outside(preparation))

    def _outside(self, preparation: Preparation) -> Iterator[str]:
        first, last = self.uptake_minutes
        glucose = preparation.glucose_mg_dl
        if glucose is not None and not glucose < self.glucose_below_mg_dl:
            yield f"blood glucose {glucose:g} mg/dl is not below {self.glucose_below_mg_dl:g}: uptake reads low"
        try:
            minutes = preparation.uptake_min
        except Refused:
            return
        if not first <= minutes <= last:
            reads = "low" if minutes < first else "high"
            yield f"scanned {minutes:.0f} min after injection, not {first:g} to {last:g}: uptake reads {reads}"

    def unknown(self, preparation: Preparation) -> tuple[str, ...]:
        """What would have to be known to compare."""
        said = () if preparation.glucose_mg_dl is not None else ("blood glucose was not entered",)
        try:
            _ = preparation.uptake_min
        except Refused as error:
            return (*said, f"the time since injection is not known ({error})")
        return said


GATES = Gates()
"""What holds where a site sets nothing."""


def flags(preparation: Preparation, gates: Gates) -> tuple[str, ...]:
    """Everything that a reader must know before comparing uptake."""
    said = [*gates.outside(preparation), *gates.unknown(preparation)]
    held = [
        words
        for words, holds in (
            ("signet-ring cell carcinoma", preparation.signet_ring),
            ("mucinous adenocarcinoma", preparation.mucinous),
        )
        if holds
    ]
    if held:
        said.append(f"{' and '.join(held)}: takes up little FDG, and the published rules leave it out")
    elif preparation.signet_ring is None or preparation.mucinous is None:
        said.append("signet-ring or mucinous histology, which takes up little FDG, was not ruled out by a reader")
    return tuple(said)
