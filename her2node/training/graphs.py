"""The graphs of models that are not linear, of scalars and elementwise operators: numpy agrees to the last digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from her2node.models.building import vector_graph
from her2node.models.package import OUTPUT
from her2node.training.arrays import Doubles
from her2node.training.discriminants import Nearest, Network, Scaled

if TYPE_CHECKING:
    from onnx import NodeProto


def nearest_graph(model: Nearest, names: Sequence[str]) -> bytes:
    """ONNX bytes: the place on the line, and at every bound below it the other class. ``names`` are all inputs, those
    among them that the model does not use."""
    from onnx import helper  # extra `train`

    kept = [names[place] for place in model.kept]
    stored = _of_scaled(model.features, kept) | _weights("", kept, 0.0, model.weights)
    stored |= {f"bound_{j}": float(bound) for j, bound in enumerate(model.bounds)}
    below, above = (float(expit(model.odds[called])) for called in (model.lowest, not model.lowest))
    stored |= {"below": below, "above": above}
    nodes = [*_scaled(kept), *_sum("", kept)]
    nodes += [helper.make_node("Less", [f"bound_{j}", "sum_"], [f"past_{j}"]) for j in range(len(model.bounds))]
    called = "past_0"
    for j in range(1, len(model.bounds)):
        nodes.append(helper.make_node("Xor", [called, f"past_{j}"], [f"called_{j}"]))
        called = f"called_{j}"
    nodes.append(helper.make_node("Where", [called, "above", "below"], [OUTPUT]))
    return vector_graph("nearest neighbour on a line", names, stored, nodes)


def network_graph(model: Network, names: Sequence[str]) -> bytes:
    """ONNX bytes: each hidden unit a sum and its tanh, their sum, the sigmoid. ``names`` as of ``nearest_graph``."""
    from onnx import helper  # extra `train`

    kept = [names[place] for place in model.kept]
    units = [f"unit{u}" for u in range(len(model.output))]
    stored, nodes = _of_scaled(model.features, kept), [*_scaled(kept)]
    for u, unit in enumerate(units):
        stored |= _weights(f"{unit}_", kept, float(model.hidden_bias[u]), model.hidden[:, u])
        nodes += _sum(f"{unit}_", kept)
        nodes.append(helper.make_node("Tanh", [f"{unit}_sum_"], [f"scaled_{unit}"]))
    stored |= _weights("out_", units, model.bias, model.output)
    nodes += [*_sum("out_", units), helper.make_node("Sigmoid", ["out_sum_"], [OUTPUT])]
    return vector_graph("network of one hidden layer", names, stored, nodes)


def _of_scaled(features: Scaled, names: Sequence[str]) -> dict[str, float]:
    centres = zip(names, features.centre.tolist(), strict=True)
    scales = zip(names, features.scale.tolist(), strict=True)
    return {f"centre_{name}": value for name, value in centres} | {f"scale_{name}": value for name, value in scales}


def _scaled(names: Sequence[str]) -> Iterator[NodeProto]:
    from onnx import helper

    for name in names:
        yield helper.make_node("Sub", [name, f"centre_{name}"], [f"from_centre_{name}"])
        yield helper.make_node("Div", [f"from_centre_{name}", f"scale_{name}"], [f"scaled_{name}"])


def _weights(prefix: str, names: Sequence[str], bias: float, weights: Doubles) -> dict[str, float]:
    named = zip(names, np.asarray(weights).tolist(), strict=True)
    return {f"{prefix}bias": bias} | {f"{prefix}weight_{name}": value for name, value in named}


def _sum(prefix: str, names: Sequence[str]) -> Iterator[NodeProto]:
    """``PREFIXsum_`` = bias + sum of weight times scaled value, in the order of ``names``."""
    from onnx import helper

    total = f"{prefix}bias"
    for place, name in enumerate(names):
        after = f"{prefix}sum_" if place == len(names) - 1 else f"{prefix}sum_{name}"
        yield helper.make_node("Mul", [f"scaled_{name}", f"{prefix}weight_{name}"], [f"{prefix}term_{name}"])
        yield helper.make_node("Add", [total, f"{prefix}term_{name}"], [after])
        total = after
