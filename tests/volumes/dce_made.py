"""Studies of dynamic MR, written once for each set of options; changes are made to copies of their headers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.identity import identify
from her2node.phantoms.dce import DceOptions, make
from her2node.selection.study import Instance, Study, group, open_study

Change = Callable[[Dataset], object]


class Studies:
    """Callable: the study of some options, its headers changed where a change is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[DceOptions, Study] = {}

    def __call__(self, options: DceOptions, change: Change | None = None) -> Study:
        if options not in self._written:
            folder = self._folder / str(len(self._written))
            self._written[options] = open_study(phantoms.write(make(options), folder))
        study = self._written[options]
        return study if change is None else _changed(study, change)


def of_dynamic(change: Change) -> Change:
    """A change of the time points alone."""
    return lambda ds: change(ds) if ds.SeriesDescription == "DCE dynamic" else None


def of_angles(change: Change) -> Change:
    """A change of the flip angles alone."""
    return lambda ds: change(ds) if ds.SeriesDescription.startswith("VFA") else None


def lacking(*keywords: str) -> Change:
    def change(ds: Dataset) -> None:
        for keyword in keywords:
            if keyword in ds:
                delattr(ds, keyword)

    return change


timeless = lacking("AcquisitionTime", "ContentTime", "TemporalPositionIdentifier", "AcquisitionNumber")
"""Nothing but InstanceNumber orders the images of one place then."""


def _changed(study: Study, change: Change) -> Study:
    instances = []
    for instance in study.instances:
        header = deepcopy(instance.header)
        change(header)
        instances.append(Instance(instance.path, identify(header), header))
    return group(instances)
