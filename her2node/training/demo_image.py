"""The package `synthetic-demo-image`: a small 3-D network over arterial and portal crops, trained on digital phantoms.

``python -m her2node.training.demo_image`` makes two cohorts of phantoms, takes the crops as the node takes them, trains
on one (torch, extra ``nnunet``), measures on the other, and writes the package to where packages ship. What it learns
is the invented relation of ``phantoms.planted``: nothing about patients.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Unit
from her2node.models.building import pin, write_package
from her2node.models.image.classifier import noise
from her2node.models.image.stated import Channel, CropStated, Saliency
from her2node.models.image.view import View, stacked, view
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.odds import expit
from her2node.models.package import SHIPPED
from her2node.phantoms import PhantomOptions, PhantomStudy, Phase, cohort, ct
from her2node.phantoms.classic import values_at
from her2node.phantoms.rendering import RESCALE_INTERCEPT
from her2node.phantoms.rendering import mask as tumour_mask
from her2node.phantoms.study import PlannedSeries
from her2node.rois.moving import narrowed
from her2node.rois.roi import Roi, RoiOrigin
from her2node.selection.roles import Role
from her2node.training.arrays import Bools, Doubles
from her2node.training.discrimination import Interval, delong
from her2node.volumes.volume import Floats, Geometry, SliceSource, Volume

NAME = "synthetic-demo-image"
FITTED, TESTED = (600, 31), (300, 32)
"""Phantoms and seed of the two cohorts. Patients' seeds are drawn from 32 bits: the demonstration's is in neither."""
TEMPLATE = PhantomOptions(
    rois=(),
    phases=(Phase.ARTERIAL, Phase.PORTAL),
    rows=96,
    columns=96,
    slices=24,
    slice_spacing_mm=5.0,
)
SEED, EPOCHS, BATCH, RATE, DECAY = 7, 15, 16, 1e-2, 1e-3
FILTERS = 8
LEAST_MASK = 1e-3
"""Added to the number of the region's voxels, so that an empty mask divides by something."""
OPSET, IR_VERSION = 17, 8
WORKED_SEEDS = (1, 2, 3)
Weights = dict[str, npt.NDArray[np.float32]]

SHAPE = CropStated(
    channels=(Channel(Role.ARTERIAL, (-1024.0, 3071.0), 0.0, 1.0), Channel(Role.PORTAL, (-1024.0, 3071.0), 0.0, 1.0)),
    size=(14, 18, 18),
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
    room = np.multiply(SHAPE.size, SHAPE.spacing_mm) / 2 - SHAPE.margin_mm
    for case in cohort.cohort(count, seed, TEMPLATE):
        views = views_of(ct.make(case.options))
        if (np.array(views[0].reaches_mm) <= room).all():
            crops.append(stacked(views))
            labels.append(case.her2_positive)
            planted.append(case.her2_probability)
    return Cohort(np.stack(crops), np.array(labels), np.array(planted), count - len(crops))


def views_of(study: PhantomStudy) -> list[View]:
    """The phantom's tumour in each channel's phase, by the code by which the node crops a study that it received.

    The pixels are those of the phantom's images, the region that of its SEG, without the way through files.
    """
    drawn = study.roi_series
    mask = np.stack([tumour_mask(study.anatomy.tumour.shape, planned.plane) for planned in drawn.slices])
    roi = Roi(mask, _grid(study, drawn), "Tumour", NAME, NAME, RoiOrigin.SEGMENTATION, "", "", 1)
    return [view(SHAPE, roi, _volume(study, study.series_of(Phase(role.value))), role) for role in SHAPE.roles]


def _volume(study: PhantomStudy, series: PlannedSeries) -> Volume:
    stored = np.stack([values_at(study, series, planned) for planned in series.slices])
    hu = (stored + RESCALE_INTERCEPT).astype(np.float32)
    sources = tuple(SliceSource("", planned.sop_instance_uid) for planned in series.slices)
    seen = np.ones(hu.shape, dtype=np.bool_)
    return Volume(_grid(study, series), hu, seen, Unit.HU, series.series_instance_uid, sources)


def _grid(study: PhantomStudy, series: PlannedSeries) -> Geometry:
    """Of a phantom's slices, which ascend from foot to head."""
    plane, options = series.slices[0].plane, study.options
    shape, spacing = (options.slices, *plane.size), (options.slice_spacing_mm, *plane.spacing_mm)
    return Geometry(shape, spacing, plane.origin_mm, (plane.normal, plane.column, plane.row), NAME)


def normalisation(crops: Floats) -> CropStated:
    """The crop with nnU-Net's normalisation of CT: percentiles 0.5 and 99.5, mean and SD of all regions' voxels; of
    regions narrowed by a voxel, for the rim mixes with gas."""
    inside = np.stack([narrowed(mask > 0) for mask in crops[:, -1]])
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
        found[:, place] = channel.told(crops[:, place])
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


def _network(torch: Any, channels: int) -> Any:
    return torch.nn.ModuleDict(
        {
            "first": torch.nn.Conv3d(channels, FILTERS, 3, padding=1),
            "second": torch.nn.Conv3d(FILTERS, FILTERS, 3, padding=1),
            "last": torch.nn.Linear(FILTERS, 1),
        }
    )


def _logits(network: Any, crops: Any) -> Any:
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
    padded = np.pad(channels, ((0, 0), (1, 1), (1, 1), (1, 1)))
    slices, rows, columns = channels.shape[1:]
    found = np.zeros((len(kernels), slices, rows, columns)) + bias.astype(np.float64)[:, None, None, None]
    for a, b, c in np.ndindex(3, 3, 3):
        shifted = padded[:, a : a + slices, b : b + rows, c : c + columns]
        found += np.tensordot(kernels[:, :, a, b, c].astype(np.float64), shifted, axes=1)
    return np.asarray(found)


def graph(weights: Weights, shape: tuple[int, ...]) -> bytes:
    """ONNX bytes of the network: crops in, log odds out."""
    from onnx import TensorProto, checker, helper, numpy_helper  # extra `nnunet`

    pads: dict[str, Any] = {"pads": [1, 1, 1, 1, 1, 1]}
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


@dataclass(frozen=True)
class Told:
    """What was measured on phantoms that the network had not seen: its area under the ROC curve, and that of the very
    probabilities that the labels were drawn with, which no model can surpass but by chance."""

    network: Interval
    planted: Interval


def told(weights: Weights, stated: CropStated, tested: Cohort) -> Told:
    """Measure on another cohort."""
    scores = np.array([evaluated(weights, crop) for crop in normalised(tested.crops, stated)])
    patients = [str(place) for place in range(len(scores))]
    return Told(delong(scores, tested.labels, patients), delong(tested.planted, tested.labels, patients))


def write_demo(folder: Path, fitting: Cohort, tested: Cohort) -> Told:
    """Train on one cohort, measure on the other, and write the package into ``folder``."""
    stated = normalisation(fitting.crops)
    weights = fitted(normalised(fitting.crops, stated), fitting.labels)
    measured = told(weights, stated, tested)
    cases = [
        {
            "seed": seed,
            "probability": expit(evaluated(weights, noise(stated, seed))),
            "tolerance": 1e-4,
            "source": "the layers evaluated one by one with numpy in double precision",
        }
        for seed in WORKED_SEEDS
    ]
    positives = int(fitting.labels.sum())
    shown = {
        "name": NAME,
        "count": len(fitting.labels),
        "made": FITTED[0],
        "seed": FITTED[1],
        "positives": positives,
        "negatives": len(fitting.labels) - positives,
        "channels": "\n".join(_channel(channel) for channel in stated.channels),
    }
    write_package(
        folder, _MANIFEST.format(**shown), graph(weights, stated.shape), cases, _card(shown, weights, tested, measured)
    )
    return measured


def _channel(channel: Channel) -> str:
    low, high = channel.clip_hu
    how = f"clip_hu = [{low}, {high}], mean_hu = {channel.mean_hu}, sd_hu = {channel.sd_hu}"
    return f'    {{ role = "{channel.role}", {how} }},'


def _card(shown: dict[str, Any], weights: Weights, tested: Cohort, measured: Told) -> str:
    numbers = sum(value.size for value in weights.values())
    positives = int(tested.labels.sum())
    return model_card(
        f"{NAME} 1.0.0",
        {
            "Model details": "A small network over crops of the arterial and the portal phase, trained on digital "
            "phantoms, so that the way from CT to an estimate of a network and its saliency map can be shown. Level "
            "`synthetic-demo`.\n\n"
            f"Two convolutions of 3 x 3 x 3 with {FILTERS} filters each, the mean of the second over the region, a "
            f"linear layer: {numbers} numbers. Made by `python -m her2node.training.demo_image`: AdamW, learning rate "
            f"{RATE} falling by a cosine, weight decay {DECAY}, {EPOCHS} epochs in batches of {BATCH}, crops mirrored "
            f"at random, torch's seed {SEED}, one core.",
            "Intended use": "Demonstration of the software. It says nothing about patients and runs in demonstration "
            "mode only (`demonstration = true`); elsewhere the node refuses it.",
            "Factors": "It looks at 14 x 18 x 18 voxels of 5 x 4 x 4 mm along the patient's axes about the centroid of "
            "the region, of each phase, and at the region itself as a third channel. Attenuation is clipped to "
            "percentiles 0.5 and 99.5 of the cohort's regions narrowed by a voxel, less their mean, over their SD. A "
            "region that comes nearer to the crop's faces than 4 mm is refused.",
            "Metrics": "Area under the ROC curve. Categories: likely from 0.5, unlikely below 0.2, chosen for the "
            f"demonstration. Prior {shown['positives']} of {shown['count']}; another prior shifts the log odds.\n\n"
            "Saliency: blocks of 4 x 4 x 4 voxels, every 2 voxels, hidden by the cohort's mean attenuation of the "
            "regions.",
            "Evaluation data": f"{len(tested.labels)} phantoms that it had not seen (seed {TESTED[1]}, {positives} "
            f"positive, {tested.lacking} left out because the crop does not hold their region).",
            "Training data": f"{shown['made']} phantoms (`her2node.phantoms.cohort`, seed {shown['seed']}) with "
            "arterial and portal phase, images of 96 x 96 and 24 slices of 5 mm, of which "
            f"{shown['count']} regions fit the crop and {shown['positives']} bear the label 'positive'.",
            "Quantitative analyses": f"Area under the ROC curve {_interval(measured.network)}. The probabilities that "
            f"the labels were drawn with have {_interval(measured.planted)} on the same phantoms: no model can do "
            "better but by chance.",
            "Ethical considerations": f"{RESEARCH} It was trained on nobody's images.",
            "Caveats and recommendations": "The label is drawn from an invented relation between portal and arterial "
            "attenuation (`her2node.phantoms.planted`). No setting was chosen by how well it did: one training went "
            "before on the same phantoms, with crops of 12 slices (area 0.814 on the unseen ones); they were made "
            "higher because they did not hold the region of one phantom in eight.",
        },
    )


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} (95 % interval {found.low:.3f} to {found.high:.3f})"


_MANIFEST = """\
# Made by `python -m her2node.training.demo_image`: trained on digital phantoms, says nothing about patients.
format = 1
kind = "image"
name = "{name}"
version = "1.0.0"
level = "synthetic-demo"
title = "Demonstration on digital phantoms: a network that looks at arterial and portal crops"
citation = "None: trained on digital phantoms (a cohort of {made}, seed {seed}) with an invented relation."
intended_use = "Demonstration of the software on digital phantoms. Its numbers say nothing about patients."
reference_test = "None: labels are drawn for phantoms from an invented relation; no tissue was tested."
cautions = ["Synthetic weights, trained on digital phantoms: this says nothing about a patient."]

[[requires]]
role = "arterial"
slice_thickness_mm = {{ usual = [0.0, 5.0] }}
kvp = {{ usual = [100.0, 140.0] }}

[[requires]]
role = "portal"
slice_thickness_mm = {{ usual = [0.0, 5.0] }}
kvp = {{ usual = [100.0, 140.0] }}

[crop]
size = [14, 18, 18]
spacing_mm = [5.0, 4.0, 4.0]
margin_mm = 4.0
mask = true
answer = "logit"
outside_hu = -1024.0
least_seen = 0.5
saliency = {{ block = [4, 4, 4], step = [2, 2, 2] }}
channels = [
{channels}
]

[output]
likely = 0.5
unlikely = 0.2
explanation = "Chosen for the demonstration, so that all three categories occur among the phantoms."

[prior]
positives = {positives}
negatives = {negatives}
source = "digital phantoms, a cohort of {made}, seed {seed}"
"""

if __name__ == "__main__":
    figures = write_demo(SHIPPED / NAME, crops_of(*FITTED), crops_of(*TESTED))
    pin(SHIPPED / NAME)
    print(f"area under the curve on unseen phantoms {_interval(figures.network)}", file=sys.stderr)  # noqa: T201
