"""What a whole CT costs in memory, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from her2node.models.building import seal, sign_package
from tests.models.making import make_keys
from tests.models.segmenter import peak
from tests.models.segmenter.made import configuration, dataset, plans
from tests.models.segmenter.packaged import MANIFEST, SEED

CLASSES = 4
PATCH = (128, 128, 128)
FEATURES = (32, 64)
"""At full and at half resolution, as in nnU-Net's networks: there lies what they need to remember."""
BOUND = 6 * 2**30


class Layers:
    """A graph of random weights, layer by layer."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(1)
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], shapes: Sequence[tuple[int, ...]] = (), **more: Any) -> str:
        """A node with random weights of these shapes; the name of its output."""
        names = [f"{kind}-{len(self.stored) + number}" for number in range(len(shapes))]
        for name, shape in zip(names, shapes, strict=True):
            weights = self._rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[1:]))), shape).astype(np.float32)
            self.stored.append(numpy_helper.from_array(weights, name))
        output = f"out-{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs, *names], [output], **more))
        return output

    def block(self, one: str, ins: int, outs: int) -> str:
        """A convolution (of single voxels: a wider one would cost the same memory), normalised, activated."""
        one = self.add("Conv", [one], [(outs, ins, 1, 1, 1), (outs,)])
        one = self.add("InstanceNormalization", [one], [(outs,), (outs,)])
        return self.add("LeakyRelu", [one], alpha=0.01)


def unet(outputs: int) -> bytes:
    """ONNX bytes of a U-Net of two levels with random weights."""
    layers, (top, low) = Layers(), FEATURES
    beside = layers.block("patches", 1, top)
    pooled = layers.add("MaxPool", [beside], kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    deep = layers.block(pooled, top, low)
    up = layers.add("ConvTranspose", [deep], [(low, top, 2, 2, 2), (top,)], strides=[2, 2, 2])
    joined = layers.add("Concat", [up, beside], axis=1)
    last = layers.add("Conv", [layers.block(joined, 2 * top, top)], [(outputs, top, 1, 1, 1), (outputs,)])
    layers.nodes.append(helper.make_node("Identity", [last], ["logits"]))
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, *PATCH])
        for name, count in (("patches", 1), ("logits", outputs))
    ]
    graph = helper.make_graph(layers.nodes, "unet", ports[:1], ports[1:], layers.stored)
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(made.SerializeToString())


def package(folder: Path, classes: int) -> tuple[Path, Path]:
    """A signed segmenter of 0.8 mm with that network, patches side by side, and the key that it is trusted by."""
    keys = make_keys(folder)
    model = unet(classes + 1)
    noise = np.random.RandomState(SEED).standard_normal((1, 1, *PATCH)).astype(np.float32)
    answer = onnxruntime.InferenceSession(model).run(None, {"patches": noise})[0][0]
    place = (0, 5, 6, 7)
    case = {"seed": SEED, "places": [place], "logits": [float(answer[place])], "tolerance": 0.01, "source": "itself"}
    how = configuration(spacing=[0.8] * 3, patch_size=list(PATCH), normalization_schemes=["CTNormalization"])
    labels = {"background": 0, **{f"organ {number}": number for number in range(1, classes + 1)}}
    often = int(np.argmax(np.bincount(answer.argmax(axis=0).ravel(), minlength=classes + 1)[1:])) + 1
    said = MANIFEST.replace("mirror = [0, 2]", "step = 1.0").replace('tumour = "tumour"', f'tumour = "organ {often}"')
    path = folder / "bright"
    path.mkdir()
    for name, content in {
        "fold-0.onnx": model,
        "plans.json": plans({"3d_fullres": how}),
        "dataset.json": dataset(labels),
        "cases.json": json.dumps([case]).encode(),
        "CARD.md": b"# random\n",
        "package.toml": said.encode(),
    }.items():
        (path / name).write_bytes(content)
    seal(path)
    sign_package(path, keys.pair.private_pem)
    return path, keys.public


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_ct_of_512_x_512_x_200_with_four_classes_at_08_mm_needs_less_than_6_gib(tmp_path: Path) -> None:
    """Its slices, 2.5 mm apart, are 625 at the network's spacing: more would go by blocks."""
    path, key = package(tmp_path, CLASSES)
    image = np.random.default_rng(2).normal(40, 60, size=(200, 512, 512)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    del image
    most = peak.told(path, key, tmp_path / "image.npy", (2.5, 0.8, 0.8), tmp_path / "mask.npy", 1700)
    print(f"{most / 2**30:.2f} GiB")
    mask: npt.NDArray[np.bool_] = np.load(tmp_path / "mask.npy")
    assert mask.shape == (200, 512, 512)
    assert mask.any()
    assert most < BOUND
