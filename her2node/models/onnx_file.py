"""What an ONNX file contains, read from its bytes before anything runs it.

onnxruntime checks that a model is well formed, but it follows external data wherever the file points, allocates what
the dimensions claim, loads operators of any registered domain, and runs what never ends. The ``onnx`` package could
tell, but is needed for building and testing only; what must be known is had by walking the protobuf wire format (the
field numbers are those of onnx.proto, IR version 3 to 13), which tests compare with the ``onnx`` package. Unknown
fields are passed over as protobuf demands; a file that is no protobuf is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from her2node.errors import PackageRefused

STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})

_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {4: "operator", 5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor", 3: "dims"},
    "function": {7: "node", 9: "opset", 10: "domain", 11: "attribute"},
    "tensor": {1: "dims", 2: "type", 13: "external", 14: "data_location"},
    "opset": {1: "domain"},
    "training": {1: "graph", 2: "graph"},
}
"""Fields of onnx.proto that lead to what is looked for: message -> field number -> what is there."""
ARITHMETIC = frozenset({
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Cos", "Div", "Equal", "Erf", "Exp", "Floor", "Gather", "Greater",
    "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mul", "Neg", "Not", "Or",
    "Pow", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Round", "Sigmoid", "Sign", "Sin",
    "Softplus", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor",
})  # fmt: skip
"""Operators whose answer, of numbers and lists, is a number or a list no longer than what went in."""
NETWORK = ARITHMETIC | frozenset({
    # layers
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Einsum", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization", "MatMul",
    "MaxPool", "MeanVarianceNormalization",
    # activations
    "Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Mish", "PRelu", "Selu", "Softmax",
    "Softsign", "ThresholdedRelu",
    # sizes, places and shapes
    "CastLike", "Concat", "Constant", "ConstantOfShape", "CumSum", "DepthToSpace", "Expand", "Flatten",
    "GatherElements", "GatherND", "Pad", "Range", "Reshape", "Resize", "ScatterElements", "ScatterND", "Shape", "Size",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", "Upsample",
    # arithmetic
    "ArgMax", "ArgMin", "Mod", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd",
    "ReduceSumSquare",
})  # fmt: skip
"""Operators of convolutional networks and transformers, among them all that torch's exporters make of nnU-Net's.

None runs a graph of its own, so that each runs once and the network ends (no Loop, Scan, If, SequenceMap); none draws
at random, so that the same image gives the same answer. What memory they take nothing bounds here: some make a tensor
as large as a number in the file says, and who signs the package answers for it.
"""
LONGEST_LIST = 1024
LARGEST_BYTES = 4 * 2**20
MOST_OPERATORS = 16384
"""With lists of ``LONGEST_LIST`` that is 128 MiB if nothing is ever let go, and a fraction of a second."""
_DEEPEST = 64
_FLOATING = frozenset({1, 10, 11, 16})
"""TensorProto.DataType FLOAT, FLOAT16, DOUBLE, BFLOAT16."""
_EXTERNAL = 1
"""TensorProto.DataLocation EXTERNAL."""


@dataclass
class Contents:
    """What was found: operators and their domains, whether any tensor lies outside the file, the types of stored
    tensors (TensorProto.DataType), the elements of all, of the largest, and its most dimensions."""

    domains: set[str] = field(default_factory=set)
    operators: Counter[str] = field(default_factory=Counter)
    operator_sets: int = 0
    functions: int = 0
    external: bool = False
    types: set[int] = field(default_factory=set)
    elements: int = 0
    largest: int = 0
    dimensions: int = 0


def contents(model: bytes) -> Contents:
    """Walk the whole model, subgraphs and functions included. Raises PackageRefused when it is no ONNX protobuf."""
    found = Contents()
    try:
        _walk("model", memoryview(model), found, depth=0)
    except (IndexError, ValueError) as error:
        raise PackageRefused(f"model.onnx is no ONNX file: {error}") from error
    if not found.operator_sets:
        raise PackageRefused("model.onnx is no ONNX file: it names no operator set")
    return found


def check_network(model: bytes, largest_elements: int) -> None:
    """Refuse external data, operators beyond the standard domains and ``NETWORK``, too many of them, and stored tensors
    of more than ``largest_elements`` in all (as their dimensions claim). Raises PackageRefused."""
    _checked(model, largest_elements, NETWORK, f"those of networks stand in {__name__}.NETWORK")


def check_arithmetic(model: bytes, largest_elements: int) -> None:
    """Refuse what ``check_network`` does, and what is no bounded arithmetic, whatever it is given: numbers and lists by
    operators of ``ARITHMETIC``, none of which makes a longer list or a table, or takes its size from a value.

    Raises PackageRefused.
    """
    if len(model) > LARGEST_BYTES:
        raise PackageRefused(f"model.onnx has {len(model)} bytes, {LARGEST_BYTES} are allowed")
    found = _checked(model, largest_elements, ARITHMETIC, f"allowed are {', '.join(sorted(ARITHMETIC))}")
    if {"Div", "ReduceMean"} & found.operators.keys() and ("Cast" in found.operators or found.types - _FLOATING):
        raise PackageRefused("model.onnx may divide whole numbers, on which some processors end the whole process")
    if found.dimensions > 1 or found.largest > LONGEST_LIST:
        said = f"{found.dimensions} dimensions" if found.dimensions > 1 else f"{found.largest} numbers"
        raise PackageRefused(
            f"model.onnx stores a tensor of {said}; allowed are numbers, and lists of up to {LONGEST_LIST}"
        )


def _checked(model: bytes, largest_elements: int, operators: frozenset[str], others: str) -> Contents:
    """What the model holds, once it is judged by what both kinds of graphs may hold; ``others``: what else to use."""
    found = contents(model)
    custom = found.domains - STANDARD_DOMAINS
    if found.external:
        raise PackageRefused("model.onnx keeps tensors outside the file (external data)")
    if custom:
        raise PackageRefused(f"model.onnx uses operators of the domain {', '.join(sorted(custom))}")
    if found.elements > largest_elements:
        raise PackageRefused(f"model.onnx claims {found.elements} stored numbers, {largest_elements} are allowed")
    beyond = found.operators.keys() - operators
    if beyond or found.functions:
        raise PackageRefused(f"model.onnx uses {', '.join(sorted(beyond)) or 'functions of its own'}; {others}")
    if found.operators.total() > MOST_OPERATORS:
        raise PackageRefused(f"model.onnx has {found.operators.total()} operators, {MOST_OPERATORS} are allowed")
    return found


def _walk(message: str, data: memoryview, found: Contents, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("graphs are nested too deeply")
    dims: list[int] = []
    wanted = _FIELDS[message]
    for number, value in _fields(data):
        name = wanted.get(number)
        if name is None:
            continue
        if name == "dims":
            dims += [value] if isinstance(value, int) else _packed(value)
        elif name == "external" or (name == "data_location" and value == _EXTERNAL):
            found.external = True
        elif name == "type" and isinstance(value, int):
            found.types.add(value)
        elif name == "domain":
            found.domains.add(bytes(_bytes(value)).decode())
        elif name == "operator":
            found.operators[bytes(_bytes(value)).decode()] += 1
        elif name in _FIELDS:
            found.operator_sets += name == "opset"
            found.functions += name == "function"
            _walk(name, _bytes(value), found, depth + 1)
    if message in ("tensor", "sparse"):
        found.elements += _product(dims)
        found.largest = max(found.largest, _product(dims))
        found.dimensions = max(found.dimensions, len(dims))


def _product(dims: list[int]) -> int:
    if any(size < 0 or size >= 1 << 63 for size in dims):
        raise ValueError("a tensor has a negative dimension")
    return math.prod(dims)


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")  # noqa: TRY004
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one message (protobuf encoding: varint key, then varint, 8, n or 4 bytes)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == 2:
            length, at = _varint(data, at)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if number == 0 or at + length > len(data):
            raise ValueError("a field runs beyond its message")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a number is too long")


def _packed(data: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values
