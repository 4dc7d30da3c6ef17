"""Plans as nnU-Net writes them, and networks that need no training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RESAMPLING = {
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}


def configuration(**more: Any) -> dict[str, Any]:
    return {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [16, 16, 16],
        "spacing": [2.0, 2.0, 2.0],
        "normalization_schemes": ["NoNormalization"],
        "use_mask_for_norm": [False],
        **RESAMPLING,
        **more,
    }


def plans(configurations: dict[str, dict[str, Any]] | None = None, **more: Any) -> bytes:
    return json.dumps(
        {
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "configurations": configurations or {"3d_fullres": configuration()},
            "foreground_intensity_properties_per_channel": {
                "0": {"mean": 40.0, "std": 20.0, "percentile_00_5": -10.0, "percentile_99_5": 120.0}
            },
            **more,
        }
    ).encode()


def dataset(labels: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps({"labels": labels or {"background": 0, "tumour": 1}, **more}).encode()


def thresholding(*levels: float) -> Any:
    """A network whose output of label k is the image minus ``levels[k - 1]``, the background's 0."""

    def network(patches: Floats) -> Floats:
        outputs = [np.zeros_like(patches[:, 0]), *(patches[:, 0] - np.float32(level) for level in levels)]
        return np.stack(outputs, axis=1)

    return network
