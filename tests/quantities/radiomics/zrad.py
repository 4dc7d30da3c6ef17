"""z-rad, an independent implementation of IBSI 1, installed without its window toolkit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from her2node.quantities.radiomics.configuration import Configuration
from her2node.quantities.radiomics.discretisation import FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.texture import Aggregation
from tests.conftest import NO_TOOL

AGGREGATIONS = {
    Aggregation.SLICE_AVERAGED: ("2D", "AVER"),
    Aggregation.SLICE_MERGED: ("2D", "SLICE_MERG"),
    Aggregation.DIRECTION_MERGED: ("2.5D", "DIR_MERG"),
    Aggregation.MERGED_IN_PLANE: ("2.5D", "MERG"),
    Aggregation.VOLUME_AVERAGED: ("3D", "AVER"),
    Aggregation.VOLUME_MERGED: ("3D", "MERG"),
}


def features(
    voxels: np.ndarray, mask: np.ndarray, spacing: tuple[float, float, float], configuration: Configuration
) -> dict[str, float]:
    """What z-rad makes of the same arrays by the same configuration, by IBSI's tag."""
    try:
        from zrad.radiomics import Radiomics
    except ImportError:
        pytest.skip(f"z-rad {NO_TOOL}: run `bash tests/run`, which installs it")
    prepared = _prepared(voxels, mask, spacing, configuration)
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for aggregation in configuration.aggregations:
            extent, method = AGGREGATIONS[aggregation]
            found |= Radiomics(aggr_dim=extent, aggr_method=method).extract_features(prepared)
    return {tag: float(value) for tag, value in found.items()}


def _prepared(voxels: np.ndarray, mask: np.ndarray, spacing: tuple[float, float, float], how: Configuration) -> object:
    from zrad import preprocessing as steps
    from zrad.image import Image

    place = {
        "origin": (0.0, 0.0, 0.0),
        "spacing": tuple(map(float, spacing[::-1])),
        "direction": tuple(np.eye(3).ravel()),
        "shape": np.array(voxels.shape[::-1]),
    }
    data = steps.RoiData(
        image=Image(array=voxels.astype(np.float64), **place),
        morphological_mask=Image(array=mask.astype(np.int16), **place),
    )
    if (new := how.interpolation) is not None:
        resolution = (new.in_plane_mm, new.in_plane_mm, new.slice_mm or spacing[0])
        method = {1: "linear", 3: "bspline"}[new.order]
        rounding = "nearest_integer" if new.rounds else None
        data = steps.ImageResampler(resolution, method, rounding).apply(data)
        mask_at = steps.MaskResampler(resolution, "linear", new.mask_threshold)
        data.morphological_mask.array = data.morphological_mask.array.astype(np.float64)
        data = mask_at.apply(data)
    data = steps.IntensityMaskBuilder().apply(data)
    limits = how.resegmentation
    span = None if limits.lowest is None else (limits.lowest, np.inf if limits.highest is None else limits.highest)
    data = steps.Resegmenter(span, limits.outliers_sigma).apply(data)
    data = steps.TextureDiscretizer(**_bins(how.discretisation)).apply(data)
    ivh = how.volume_histogram
    kind = {type(None): "direct", FixedBinSize: "fixed_bin_size", FixedBinNumber: "fixed_bin_number"}[type(ivh)]
    return steps.IVHIntensityDiscretizer(kind, **({} if ivh is None else _bins(ivh))).apply(data)


def _bins(how: FixedBinSize | FixedBinNumber) -> dict[str, float]:
    return {"number_of_bins": how.bins} if isinstance(how, FixedBinNumber) else {"bin_size": how.size}
