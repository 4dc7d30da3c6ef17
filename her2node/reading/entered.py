"""What the node itself asks readers for, whatever package runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from her2node.errors import InputRefused, OutsideIntendedUse
from her2node.models.applicability import check
from her2node.models.inputs import entered_value
from her2node.models.manifest import Limits, ReaderInput
from her2node.quantities.preparation import Preparation

GLUCOSE = ReaderInput(
    "reader", "glucose_mg_dl", "Blood glucose before the injection of FDG", limits=Limits(hard=(36, 600)), unit="mg/dl"
)
SIGNET_RING = ReaderInput("reader", "signet_ring", "Whether the tumour has signet-ring cells", values=(0.0, 1.0))
MUCINOUS = ReaderInput("reader", "mucinous", "Whether the tumour is mucinous", values=(0.0, 1.0))
INPUTS = (GLUCOSE, SIGNET_RING, MUCINOUS)


def value_of(given: ReaderInput, said: str) -> float:
    """What was entered, as a number within its limits. Raises InputRefused."""
    value = entered_value(given, said)
    try:
        for _ in check("input-range", given.name, value, given.unit, given.limits):
            pass  # an unusual value is flagged where it is used
    except OutsideIntendedUse as error:
        raise InputRefused(error.detail, remedy=f"{given.meaning}, in {given.unit}") from error
    return value


def preparation_of(entered: Mapping[str, str], uptake: timedelta | None) -> Preparation:
    """The patient's preparation for PET. Raises InputRefused."""
    glucose, signet_ring, mucinous = (
        value_of(given, entered[given.name]) if entered.get(given.name) else None for given in INPUTS
    )
    return Preparation(
        uptake=uptake,
        glucose_mg_dl=glucose,
        signet_ring=None if signet_ring is None else bool(signet_ring),
        mucinous=None if mucinous is None else bool(mucinous),
    )
