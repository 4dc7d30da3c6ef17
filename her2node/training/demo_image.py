"""The package `synthetic-demo-image`: a small 3-D network over arterial and portal crops, trained on digital phantoms.

``python -m her2node.training.demo_image`` makes two cohorts of phantoms, takes the crops as the node takes them, trains
on one (torch, extra ``nnunet``), measures on the other, and writes the package to where packages ship. What it learns
is the invented relation of ``phantoms.planted``: nothing about patients.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.models.building import pin, write_package
from her2node.models.image.classifier import noise
from her2node.models.image.stated import Channel, CropStated, Saliency
from her2node.models.image.view import View, stacked
from her2node.models.odds import expit
from her2node.models.package import SHIPPED
from her2node.phantoms import Phase, PhantomOptions, RoiForm, cohort, ct, write
from her2node.reading.phases import read_phases
from her2node.reading.reading import Scene
from her2node.rois import given
from her2node.rois.tumour import tumour_of
from her2node.selection.choice import select
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.training.arrays import Bools, Doubles
from her2node.training.discrimination import Interval
from her2node.volumes.volume import Floats

NAME = "synthetic-demo-image"
FITTED, TESTED = (240, 31), (120, 32)
"""Phantoms and seed of the two cohorts. Patients' seeds are drawn from 32 bits: the demonstration's is in neither."""
TEMPLATE = PhantomOptions(
    rois=(RoiForm.BINARY,),
    phases=(Phase.ARTERIAL, Phase.PORTAL),
    rows=96,
    columns=96,
    slices=24,
    slice_spacing_mm=5.0,
)
SEED, EPOCHS, BATCH, RATE, DECAY = 7, 40, 16, 3e-3, 1e-3
FILTERS = 8
LEAST_MASK = 1e-3
"""Added to the number of the region's voxels, so that an empty mask divides by something."""
OPSET, IR_VERSION = 17, 8
WORKED_SEEDS = (1, 2, 3)
Weights = dict[str, npt.NDArray[np.float32]]

SHAPE = CropStated(
    channels=(Channel(Role.ARTERIAL, (-1024.0, 3071.0), 0.0, 1.0), Channel(Role.PORTAL, (-1024.0, 3071.0), 0.0, 1.0)),
    size=(16, 24, 24),
    spacing_mm=(5.0, 4.0, 4.0),
    margin_mm=4.0,
    mask=True,
    answer="logit",
    saliency=Saliency((4, 4, 4), (2, 2, 2)),
)
"""The crop, its channels as attenuation: normalisation is fitted."""


@dataclass(frozen=True)
class Cohort:
    """Crops (n, channels, slices, rows, columns) in HU with the mask last, labels (n,), and the probabilities (n,) that
    these were drawn with; ``lacking``: phantoms whose region the crop does not hold."""

    crops: Floats
    labels: Bools
    planted: Doubles
    lacking: int


def crops_of(count: int, seed: int) -> Cohort:
    """A cohort of phantoms as the node's crops. A region that the crop does not hold is left out, as the node would."""
    crops, labels, planted = [], [], []
    for case in cohort.cohort(count, seed, TEMPLATE):
        with tempfile.TemporaryDirectory() as folder:
            views = _views(open_study(write(ct.make(case.options), Path(folder))))
        room = np.multiply(SHAPE.size, SHAPE.spacing_mm) / 2 - SHAPE.margin_mm
        if (np.array(views[0].reaches_mm) <= room).all():
            crops.append(stacked(views))
            labels.append(case.her2_positive)
            planted.append(case.her2_probability)
    return Cohort(np.stack(crops), np.array(labels), np.array(planted), count - len(crops))


def _views(study: Study) -> list[View]:
    """Of the tumour in each channel's phase, in their order."""
    tumour, selection = tumour_of(given(study)), select(study, (), {})
    found = read_phases(Scene(study, selection, (tumour,), (tumour,), crops=(SHAPE,))).views
    return [next(view for view in found if view.role is role) for role in SHAPE.roles]


def normalisation(crops: Floats) -> CropStated:
    """The crop with nnU-Net's normalisation of CT: percentiles 0.5 and 99.5, mean and SD of all regions' voxels."""
    inside = crops[:, -1] > 0
    channels = []
    for place, channel in enumerate(SHAPE.channels):
        values = crops[:, place][inside].astype(np.float64)
        low, high = (round(float(value), 1) for value in np.percentile(values, (0.5, 99.5)))
        clipped = np.clip(values, low, high)
        mean, sd = round(float(clipped.mean()), 2), round(float(clipped.std()), 2)
        channels.append(Channel(channel.role, (low, high), mean, sd))
    return replace(SHAPE, channels=tuple(channels))


def normalised(crops: Floats, stated: CropStated) -> Floats:
    """Crops in HU as the network takes them."""
    found = crops.copy()
    for place, channel in enumerate(stated.channels):
        found[:, place] = (np.clip(crops[:, place], *channel.clip_hu) - channel.mean_hu) / channel.sd_hu
    return found


def fitted(crops: Floats, labels: Bools) -> Weights:
    """Train on one core: Adam, cross-entropy, crops mirrored at random, for as many epochs as were set beforehand."""
    import torch  # extra `nnunet`
    from torch.nn import functional

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = _network(torch, crops.shape[1])
    wanted = torch.from_numpy(labels.astype(np.float32))
    given_ = torch.from_numpy(crops)
    steps = EPOCHS * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))
        for first in range(0, len(labels) - BATCH + 1, BATCH):
            chosen = order[first : first + BATCH]
            axes = [axis for axis in (2, 3, 4) if torch.rand(()) < 0.5]
            batch = torch.flip(given_[chosen], axes) if axes else given_[chosen]
            loss = functional.binary_cross_entropy_with_logits(_logits(network, batch), wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return {name: value.detach().numpy().copy() for name, value in network.named_parameters()}


def _network(torch, channels):  # type: ignore[no-untyped-def]  # torch is no dependency, and has no types here
    return torch.nn.ModuleDict(
        {
            "first": torch.nn.Conv3d(channels, FILTERS, 3, padding=1),
            "second": torch.nn.Conv3d(FILTERS, FILTERS, 3, padding=1),
            "last": torch.nn.Linear(FILTERS, 1),
        }
    )


def _logits(network, crops):  # type: ignore[no-untyped-def]
    """Two convolutions, the mean of the second over the region, and a linear layer."""
    features = network["second"](network["first"](crops).relu()).relu()
    mask = crops[:, -1:]
    pooled = (features * mask).sum((2, 3, 4)) / (mask.sum((2, 3, 4)) + LEAST_MASK)
    return network["last"](pooled)[:, 0]


def evaluated(weights: Weights, crop: Floats) -> float:
    """The network's log odds for one crop, in double precision and without any framework."""
    features = np.asarray(crop, dtype=np.float64)
    for layer in ("first", "second"):
        features = np.maximum(_convolved(features, weights[f"{layer}.weight"], weights[f"{layer}.bias"]), 0)
    mask = np.asarray(crop[-1], dtype=np.float64)
    pooled = (features * mask).sum(axis=(1, 2, 3)) / (mask.sum() + LEAST_MASK)
    return float(pooled @ weights["last.weight"][0] + weights["last.bias"][0])


def _convolved(channels: Doubles, kernels: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> Doubles:
    """Correlation with kernels (out, in, 3, 3, 3), zeros beyond the crop."""
    return np.stack(
        [
            sum(ndimage.correlate(c, k.astype(np.float64), mode="constant") for c, k in zip(channels, one, strict=True))
            + offset
            for one, offset in zip(kernels, bias.astype(np.float64), strict=True)
        ]
    )


def graph(weights: Weights, shape: tuple[int, ...]) -> bytes:
    """ONNX bytes of the network: crops in, log odds out."""
    from onnx import TensorProto, checker, helper, numpy_helper  # extra `nnunet`

    pads = {"pads": [1, 1, 1, 1, 1, 1]}
    node = helper.make_node
    nodes = [
        node("Conv", ["crop", "first.weight", "first.bias"], ["first"], **pads),
        node("Relu", ["first"], ["first_relu"]),
        node("Conv", ["first_relu", "second.weight", "second.bias"], ["second"], **pads),
        node("Relu", ["second"], ["second_relu"]),
        node("Slice", ["crop", "mask_first", "mask_end", "mask_axis"], ["mask"]),
        node("Mul", ["second_relu", "mask"], ["inside"]),
        node("ReduceSum", ["inside", "space"], ["total"], keepdims=0),
        node("ReduceSum", ["mask", "space"], ["count"], keepdims=0),
        node("Add", ["count", "least"], ["divisor"]),
        node("Div", ["total", "divisor"], ["pooled"]),
        node("Gemm", ["pooled", "last.weight", "last.bias"], ["logit"], transB=1),
    ]
    stored = {
        **weights,
        "mask_first": np.array([shape[0] - 1]),
        "mask_end": np.array([shape[0]]),
        "mask_axis": np.array([1]),
        "space": np.array([2, 3, 4]),
        "least": np.array(LEAST_MASK, dtype=np.float32),
    }
    made = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("crop", TensorProto.FLOAT, ["crops", *shape])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["crops", 1])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(made, producer_name="her2node", ir_version=IR_VERSION, opset_imports=opset)
    checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))
