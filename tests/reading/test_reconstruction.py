"""A phase that was reconstructed twice: what is measured for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.models.package import SHIPPED, Package, Trust, load
from her2node.phantoms import PhantomOptions, Phase
from her2node.quantities import signature
from her2node.quantities.quantity import Quantity
from her2node.reading import Methods, Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study

OPTIONS = PhantomOptions(seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=(Phase.PLAIN, Phase.PORTAL))
TEXTURE = 'kernel = "^B70"\nphases = ["portal"]\nname = "x"\n[discretisation]\nmethod = "fixed-bin-size"\nsize = 10\n'
SOFT, SHARP = "B30f", "B70f"


def again(kernel: str) -> Callable[[Dataset], Dataset]:
    """Another reconstruction of the same acquisition, 30 HU brighter so that one is told from the other."""

    def change(ds: Dataset) -> Dataset:
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID[:50]}.7"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID[:50]}.{ds.InstanceNumber}"
        ds.ConvolutionKernel = kernel
        ds.RescaleIntercept = ds.RescaleIntercept + 30
        return ds

    return change
