"""What is told of an analysis: its summary in the ledger, and the line that tells the study's story in the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from her2node.delivery.outbox import remedy_for
from her2node.errors import ModalityAbsent
from her2node.ledger.records import Claim, NewDelivery, NewResult
from her2node.log import Event, emit
from her2node.models.prediction import NotPredicted, Observation, Prediction, Segmented
from her2node.reading import Reading


class Seconds:
    """How long each step took, in the order of the steps."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Measure the block, whether it ends well or not."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[step] = round(time.perf_counter() - began, 3)


def summary_of(reading: Reading, number: int, objects: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """What ``status`` shows of a reading: ``reason`` is a sentence, the rest is for programs. No patient attributes."""
    return {
        "reason": _reason(reading),
        "edition": number,
        "seconds": dict(seconds),
        "objects": objects,
        "series": len(reading.study.series),
        "roles": {a.series_instance_uid: a.role.value for a in reading.assignments if a.role is not None},
        "rois": len(reading.rois),
        "drawn_by": _name(reading.segmented) if reading.segmented else None,
        "quantities": len(reading.quantities),
        "not_measured": dict(Counter(item.refused.reason for item in reading.not_measured)),
        "estimates": [_estimate(prediction) for prediction in reading.predictions],
        "observations": [_name(observation) for observation in reading.observations],
        "not_predicted": [_refusal(refusal) for refusal in reading.not_predicted],
        "flags": dict(Counter(flag.kind for said in _told(reading) for flag in said.flags)),
        "flagged": _flagged((*_told(reading), *reading.shadows)),
        "shadows": [_shadow(said) for said in reading.shadows],
    }


def _flagged(told: Sequence[Prediction | Observation | Segmented | NotPredicted]) -> dict[str, list[str]]:
    """The kinds of flags by package, of every package that answered: how often each fires is counted from them."""
    return {
        _name(said): sorted({flag.kind for flag in said.flags}) for said in told if not isinstance(said, NotPredicted)
    }


def _told(reading: Reading) -> tuple[Prediction | Observation | Segmented, ...]:
    return (*reading.predictions, *reading.observations, *([reading.segmented] if reading.segmented else []))


def _name(said: Prediction | Observation | Segmented) -> str:
    return f"{said.package.name}@{said.package.version}"


def tell_outcome(
    claim: Claim,
    how: str,
    summary: Mapping[str, Any],
    results: Sequence[NewResult],
) -> None:
    """One line for the edition."""
    emit(
        Event.EDITION_READ,
        study=claim.study_instance_uid,
        edition=summary["edition"],
        outcome=how,
        attempts=claim.attempts,
        objects=summary.get("objects"),
        series=summary.get("series"),
        rois=summary.get("rois"),
        quantities=summary.get("quantities"),
        estimates=len(summary.get("estimates", ())),
        flags=sum(summary.get("flags", {}).values()),
        shadows=len(summary.get("shadows", ())),
        results=len(results),
        reason=summary["reason"],
        **{f"{step}_s": spent for step, spent in summary["seconds"].items()},
    )


def held_for(deliveries: Sequence[NewDelivery]) -> tuple[str, ...]:
    """The AE titles that results are held for."""
    return tuple(sorted({delivery.ae_title for delivery in deliveries if delivery.destination is None}))


def tell_held(study: str, ae_titles: Sequence[str], addresses: Mapping[str, str]) -> None:
    """One line for each AE title that results are held for, with the lines to add. ``addresses``: by AE title."""
    for ae_title in ae_titles:
        remedy = remedy_for(ae_title, addresses.get(ae_title, ""))
        emit(Event.RESULT_HELD, study=study, ae_title=ae_title, remedy=remedy)


def _reason(reading: Reading) -> str:
    """Why the edition is read or refused, in a sentence."""
    if reading.predictions:
        return f"{len(reading.predictions)} estimates, {len(reading.quantities)} quantities"
    refusals = [item.refused for item in reading.not_predicted] + [item.refused for item in reading.not_measured]
    refusals.sort(key=lambda refused: isinstance(refused, ModalityAbsent))
    why = f": {refusals[0]}" if refusals else ""
    if reading.quantities:
        return f"{len(reading.quantities)} quantities, no estimate{why}"
    return f"nothing could run{why}"


def _estimate(prediction: Prediction) -> dict[str, Any]:
    return {
        "package": _name(prediction),
        "open_inputs": list(prediction.open_inputs),
        "answers": [
            {
                "assumed": {i.name: i.value for i in answer.inputs if i.source == "assumed"},
                "probability": answer.probability,
                "interval": answer.interval,
                "interval_kind": answer.interval_kind.value if answer.interval else None,
                "category": answer.category.value,
            }
            for answer in prediction.answers
        ],
    }


def _shadow(said: Prediction | Observation | NotPredicted) -> dict[str, Any]:
    """What a package in shadow says: kept for whoever compares it, told nobody."""
    if isinstance(said, NotPredicted):
        return _refusal(said)
    if isinstance(said, Prediction):
        return _estimate(said)
    return {"package": _name(said), "remarks": list(said.remarks)}


def _refusal(refusal: NotPredicted) -> dict[str, str]:
    package = f"{refusal.package.name}@{refusal.package.version}"
    return {"package": package, "refused": refusal.refused.reason, "detail": str(refusal.refused)}
