"""The whole way from series to predictions, on one page."""

from __future__ import annotations

from dataclasses import dataclass

from her2node.models.prediction import NotPredicted, Prediction
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.selection.study import Study
from her2node.volumes.volume import Volume


@dataclass(frozen=True)
class Measured:
    """A series that was made a volume, and its role (None: no role is known)."""

    volume: Volume
    role: Role | None


@dataclass(frozen=True)
class Reading:
    """Everything that the node found in a study. Pure values: written by ``reports``, summarised in the ledger."""

    study: Study
    volumes: tuple[Measured, ...]
    rois: tuple[tuple[str, Roi], ...]
    """(series_instance_uid of the volume it lies on, ROI)."""
    quantities: tuple[Quantity, ...]
    not_measured: tuple[NotMeasured, ...]
    predictions: tuple[Prediction, ...]
    not_predicted: tuple[NotPredicted, ...]
