"""The node's segmenter beside nnU-Net's own predictor, on networks of nnU-Net with random weights.

``bash tests/parity/run`` makes the environment (torch, nnunetv2) and runs this. For each of several plans and seeds a
network is made, exported to ONNX, and both predictors segment the same smooth random image. Printed, and required:

- voxels that agree: at least 99.7 %;
- of those whose two highest logits differ by more than 1e-3: at least 99.99 %;
- logits of a single patch: within 2.5e-5.

Both times are printed; nnU-Net's includes the probabilities, without which their margin is not known.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy.ndimage import gaussian_filter

from her2node.models.onnx_file import check_network
from her2node.models.segmenter.ensemble import LARGEST_ELEMENTS
from her2node.models.segmenter.plans import parse
from her2node.models.segmenter.segmenting import How, segmented
from her2node.models.session import Engine, Network

KINDS: dict[str, dict[str, Any]] = {
    "isotropic": {"spacing": [1.5, 1.5, 1.5], "patch": [32, 32, 32], "image": (1.2, 0.9, 0.9), "turn": [0, 1, 2]},
    "anisotropic": {"spacing": [5.0, 0.8, 0.8], "patch": [16, 48, 48], "image": (4.0, 0.7, 0.7), "turn": [0, 1, 2]},
    "thick slices, fine network": {
        "spacing": [1.2, 1.2, 1.2],
        "patch": [32, 32, 32],
        "image": (6.0, 0.8, 0.8),
        "turn": [1, 0, 2],
        "slices": 12,  # each becomes five
    },
    "single slices": {"spacing": [0.9, 0.9], "patch": [48, 48], "image": (5.0, 0.75, 0.75), "turn": [0, 1, 2]},
}
MIRROR = {3: (0, 1, 2), 2: (0, 1)}
LABELS = {"background": 0, "stomach": 1, "tumour": 2}
SHAPE = (24, 60, 56)
"""But where a plan names its slices."""


def plans_of(kind: dict[str, Any], name: str = "parity") -> dict[str, Any]:
    """Plans of a small PlainConvUNet, as a configuration of this name."""
    dimensions, stages = len(kind["patch"]), 3
    how = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "parity",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": kind["patch"],
        "spacing": kind["spacing"],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": how,
        "resampling_fn_seg_kwargs": {**how, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**how, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": [8, 16, 32],
                "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
                "kernel_sizes": [[3] * dimensions] * stages,
                "strides": [[1] * dimensions, *[[2] * dimensions] * (stages - 1)],
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    turn = kind["turn"]
    intensities = {"mean": 60.0, "std": 40.0, "percentile_00_5": -80.0, "percentile_99_5": 200.0}
    return {
        "dataset_name": "parity",
        "plans_name": "parity",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": turn,
        "transpose_backward": [turn.index(axis) for axis in range(3)],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {**intensities, "min": -1000, "max": 1000, "median": 60}},
        "configurations": {name: configuration},
    }


DATASET = {
    "channel_names": {"0": "CT"},
    "labels": LABELS,
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def image_of(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, Any]:
    """Smooth structures on two scales, in HU, some of it -1000."""
    rng = np.random.default_rng(seed)
    coarse, fine = (gaussian_filter(rng.normal(size=shape), sigma) for sigma in (5, 1.2))
    image = 60 + 45 * coarse / coarse.std() + 15 * fine / fine.std()
    image[:, :4] = -1000
    return image.astype(np.float32)


def network_of(said: dict[str, Any]) -> tuple[torch.nn.Module, PlansManager, Any]:
    """The network of these plans with weights as torch draws them, and what nnU-Net's predictor asks for beside it."""
    manager = PlansManager(said)
    configuration = manager.get_configuration("parity")
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        len(LABELS),
        deep_supervision=False,
    ).eval()
    return network, manager, configuration


def predictor_of(
    network: torch.nn.Module,
    manager: PlansManager,
    configuration: Any,
    weights: dict[str, Any],
    mirror: tuple[int, ...] | None,
) -> nnUNetPredictor:
    """nnU-Net's own, on the CPU."""
    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=mirror is not None,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.manual_initialization(network, manager, configuration, [weights], DATASET, "parity", mirror)
    return predictor


def compared(name: str, seed: int) -> tuple[float, float, float, float]:
    """Share of voxels that agree, the same where the answer is clear, the worst logit of a patch, node's time / its."""
    kind = KINDS[name]
    said = plans_of(kind)
    torch.manual_seed(seed)
    network, manager, configuration = network_of(said)
    mirror = MIRROR[len(kind["patch"])]
    predictor = predictor_of(network, manager, configuration, network.state_dict(), mirror)
    image = image_of(seed, (kind.get("slices", SHAPE[0]), *SHAPE[1:]))
    began = time.perf_counter()
    theirs, probabilities = predictor.predict_single_npy_array(
        image[None].copy(), {"spacing": list(kind["image"])}, None, None, True
    )
    their_time = time.perf_counter() - began

    model = exported(network, kind["patch"])
    check_network(model, LARGEST_ELEMENTS)
    session = Network(model, Engine(threads=torch.get_num_threads()))
    plans = parse(json.dumps(said).encode(), json.dumps(DATASET).encode(), "parity")
    began = time.perf_counter()
    ours = segmented(image[None], kind["image"], plans, [session], How(mirror=mirror))
    our_time = time.perf_counter() - began

    # Differences of logits are those of the logarithms of probabilities.
    ranked = np.sort(np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), 1e-30)), axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-3
    same = ours == theirs
    patch = np.random.default_rng(seed).normal(size=(1, 1, *kind["patch"])).astype(np.float32)
    with torch.inference_mode():
        worst = float(np.abs(network(torch.from_numpy(patch)).numpy() - session(patch)).max())
    return float(same.mean()), float(same[clear].mean()), worst, our_time / their_time


def exported(network: torch.nn.Module, patch: list[int]) -> bytes:
    """The network as ONNX with a free number of patches."""
    target = io.BytesIO()
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, *patch),),
        target,
        input_names=["patches"],
        output_names=["logits"],
        dynamic_axes={"patches": {0: "n"}, "logits": {0: "n"}},
        dynamo=False,
    )
    return target.getvalue()


def main(seeds: int) -> int:
    """Compare all, a network a core at a time; the exit status."""
    failed = 0
    print(f"{'plans':28} seed  agree     clear     patch    node / nnU-Net time")
    cases = list(product(KINDS, range(seeds)))
    own = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), own, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for (name, seed), found in zip(cases, pool.map(compared, *zip(*cases, strict=True)), strict=True):
            agree, clear, worst, ratio = found
            right = agree >= 0.997 and clear >= 0.9999 and worst <= 2.5e-5
            failed += not right
            missed = "" if right else "  MISSED"
            print(f"{name:28} {seed:4}  {agree:.5f}  {clear:.6f}  {worst:.1e}  {ratio:.2f}{missed}", flush=True)
    return 1 if failed else 0
