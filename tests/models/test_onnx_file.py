from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, checker, helper, numpy_helper

from her2node.errors import PackageRefused
from her2node.models.building import logistic_graph
from her2node.models.onnx_file import (
    ARITHMETIC,
    LONGEST_LIST,
    MOST_OPERATORS,
    NETWORK,
    check_arithmetic,
    check_network,
    contents,
)
from tests.models.making import MODEL

Judge = Callable[[bytes, int], None]
GRAPH = logistic_graph(MODEL, ("metastasis", "portal_mean"))


def model(*nodes: object, initializers: tuple[TensorProto, ...] = (), opsets: tuple[str, ...] = ("",)) -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n"])
    out = helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n"])
    graph = helper.make_graph(list(nodes), "g", [value], [out], list(initializers))
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid(name, 17) for name in opsets])
    return bytes(proto.SerializeToString())


def test_a_plain_graph_holds_only_its_own_numbers() -> None:
    found = contents(GRAPH)
    assert (found.domains <= {"", "ai.onnx"}, found.external, found.elements) == (True, False, 3)


def test_external_data_is_refused() -> None:
    tensor = numpy_helper.from_array(np.zeros(3), "w")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    with pytest.raises(PackageRefused, match="external data"):
        check_network(model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=(tensor,)), 100)


def test_external_data_inside_an_attribute_of_a_subgraph_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[1], data_location=TensorProto.EXTERNAL)
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.append(AttributeProto(name="value", type=AttributeProto.TENSOR, t=tensor))
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.DOUBLE, [1])])
    with pytest.raises(PackageRefused, match="external data"):
        check_network(model(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)), 100)


@pytest.mark.parametrize("opsets", [("",), ("", "com.example")])
def test_a_custom_operator_domain_is_refused(opsets: tuple[str, ...]) -> None:
    with pytest.raises(PackageRefused, match=r"com\.example"):
        check_network(model(helper.make_node("Evil", ["x"], ["y"], domain="com.example"), opsets=opsets), 100)


def test_an_operator_set_that_is_only_imported_is_refused_too() -> None:
    with pytest.raises(PackageRefused, match=r"com\.microsoft"):
        check_network(model(helper.make_node("Identity", ["x"], ["y"]), opsets=("", "com.microsoft")), 100)


JUDGES = pytest.mark.parametrize("judge", [check_arithmetic, check_network])


@JUDGES
def test_the_operator_set_of_classical_machine_learning_may_be_named_and_not_used(judge: Judge) -> None:
    judge(model(helper.make_node("Identity", ["x"], ["y"]), opsets=("", "ai.onnx.ml")), 100)
    with pytest.raises(PackageRefused, match="uses Normalizer"):
        judge(model(helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml"), opsets=("", "ai.onnx.ml")), 100)


def stored(*sizes: int, name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.zeros(sizes), name)


@pytest.mark.parametrize("operator", ["Loop", "If", "Scan", "ConstantOfShape", "Expand", "Tile", "Range", "Concat"])
def test_arithmetic_knows_no_operator_that_loops_or_makes_something_longer(operator: str) -> None:
    with pytest.raises(PackageRefused, match=f"uses {operator}; allowed are Abs, Add"):
        check_arithmetic(model(helper.make_node(operator, ["x"], ["y"])), 100)


@pytest.mark.parametrize("operator", ["Loop", "Scan", "If", "SequenceMap", "Dropout", "RandomNormal", "Optional"])
def test_a_network_knows_no_operator_that_loops_branches_or_draws_at_random(operator: str) -> None:
    with pytest.raises(PackageRefused, match=rf"uses {operator}; those of networks stand in her2node.*NETWORK"):
        check_network(model(helper.make_node(operator, ["x"], ["y"])), 100)


@pytest.mark.parametrize("operator", sorted(NETWORK))
def test_no_operator_of_networks_runs_a_graph_of_its_own_or_answers_otherwise_the_next_time(operator: str) -> None:
    schema = onnx.defs.get_schema(operator)
    kinds = {attribute.type.name for attribute in schema.attributes.values()}
    assert not kinds & {"GRAPH", "GRAPHS"}
    assert schema.node_determinism.name != "NonDeterministic"


EXPORTED = {
    "nnU-Net": "Add AveragePool Concat Conv ConvTranspose Identity InstanceNormalization LeakyRelu PRelu",
    "trilinear": "Add AveragePool Cast Concat Constant ConstantOfShape Conv Gather InstanceNormalization Mul Pad"
    " Reshape Resize Shape Sigmoid Slice Transpose Unsqueeze",
    "classifier": "Constant Conv DepthToSpace Flatten Gemm GlobalAveragePool HardSwish MaxPool Mul ReduceMax ReduceMean"
    " Relu Sigmoid Unsqueeze",
    "transformer": "Add Cast Concat Constant ConstantOfShape Conv ConvTranspose Div Einsum Equal Expand Gather Gelu"
    " Gemm Identity LayerNormalization MatMul Mod Mul Not Reshape Shape Slice Softmax Split Sqrt Squeeze Transpose"
    " Unsqueeze Where",
}
"""What torch 2.13 and 2.14 make of such networks, by the old exporter and the new: nnU-Net's PlainConvUNet,
ResidualEncoderUNet and ResidualUNet in two and three dimensions, with instance and batch normalisation; upsampling by
interpolation with group normalisation; squeeze and excitation; attention as torch and as MONAI write it, in windows."""


@pytest.mark.parametrize("kind", EXPORTED)
def test_what_exporters_make_of_networks_is_allowed(kind: str) -> None:
    check_network(model(*(helper.make_node(operator, ["x"], ["y"]) for operator in EXPORTED[kind].split())), 100)


@JUDGES
def test_an_operator_within_a_function_or_an_attribute_is_seen_too(judge: Judge) -> None:
    loop = helper.make_node("Loop", ["x"], ["y"])
    body = helper.make_graph([loop], "b", [], [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [1])])
    hidden = helper.make_node("Add", ["x", "x"], ["y"], body=body)
    with pytest.raises(PackageRefused, match="uses Loop"):
        judge(model(hidden), 100)
    function = helper.make_function("", "Add", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [])
    graph = onnx.load_from_string(model(helper.make_node("Add", ["x", "x"], ["y"])))
    graph.functions.append(function)
    with pytest.raises(PackageRefused, match="functions of its own"):
        judge(graph.SerializeToString(), 100)


def test_arithmetic_stores_numbers_and_short_lists() -> None:
    add = helper.make_node("Add", ["x", "w"], ["y"])
    check_arithmetic(model(add, initializers=(stored(LONGEST_LIST),)), 1 << 20)
    check_arithmetic(model(add, initializers=(stored(),)), 1 << 20)
    with pytest.raises(PackageRefused, match="a tensor of 2 dimensions"):
        check_arithmetic(model(add, initializers=(stored(2, 1),)), 1 << 20)
    with pytest.raises(PackageRefused, match=f"a tensor of {LONGEST_LIST + 1} numbers"):
        check_arithmetic(model(add, initializers=(stored(LONGEST_LIST + 1),)), 1 << 20)


WHOLE = numpy_helper.from_array(np.array([-1], dtype=np.int64), "w")


@pytest.mark.parametrize("operator", ["Div", "ReduceMean"])
@pytest.mark.parametrize(
    ("nodes", "initializers"),
    [([], (WHOLE,)), ([helper.make_node("Cast", ["x"], ["z"], to=TensorProto.INT64)], ())],
    ids=["stored", "cast"],
)
def test_whole_numbers_are_not_divided_for_that_may_end_the_process(
    operator: str, nodes: list[object], initializers: tuple[TensorProto, ...]
) -> None:
    """-2**63 by -1 is a trap of the processor, not an error of the runtime."""
    divide = helper.make_node(operator, ["x", "x"] if operator == "Div" else ["x"], ["y"])
    with pytest.raises(PackageRefused, match="divide whole numbers"):
        check_arithmetic(model(*nodes, divide, initializers=initializers), 100)
    check_arithmetic(model(divide, initializers=(stored(1),)), 100)


@JUDGES
def test_a_sparse_tensor_counts_by_what_it_becomes(judge: Judge) -> None:
    values, places = stored(1), numpy_helper.from_array(np.zeros(1, dtype=np.int64), "places")
    graph = onnx.load_from_string(model(helper.make_node("Add", ["x", "w"], ["y"])))
    graph.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1 << 40]))
    with pytest.raises(PackageRefused, match="stored numbers"):
        judge(graph.SerializeToString(), 1 << 23)


def test_a_graph_of_very_many_operators_or_bytes_is_refused() -> None:
    many = model(*[helper.make_node("Add", ["x", "x"], ["y"])] * (MOST_OPERATORS + 1))
    for judge in (check_arithmetic, check_network):
        with pytest.raises(PackageRefused, match=f"has {MOST_OPERATORS + 1} operators"):
            judge(many, 100)
    with pytest.raises(PackageRefused, match="bytes"):
        check_arithmetic(bytes(5 * 2**20), 100)


@pytest.mark.parametrize("operator", sorted(ARITHMETIC - {"Gather", "Where", "Cast", "Clip"}))
def test_no_operator_of_arithmetic_makes_a_list_longer_or_a_table(operator: str) -> None:
    schema = onnx.defs.get_schema(operator, 17)
    count = max(schema.min_input, 2 if operator in ("Max", "Mean", "Min", "Sum") else 0)
    kind = TensorProto.BOOL if operator in ("And", "Not", "Or", "Xor") else TensorProto.FLOAT
    names = [f"x{place}" for place in range(count)]
    inputs = [helper.make_tensor_value_info(name, kind, [7 if name == "x0" else 1]) for name in names]
    graph = helper.make_graph([helper.make_node(operator, names, ["y"])], "g", inputs, [onnx.ValueInfoProto(name="y")])
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    dtype = np.bool_ if kind == TensorProto.BOOL else np.float32
    (answer,) = session.run(None, {one.name: np.ones(7 if one.name == "x0" else 1, dtype) for one in inputs})
    assert answer.shape in ((7,), (1,))


def test_a_huge_initializer_is_refused_by_what_its_dimensions_claim() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[1 << 20, 1 << 20])
    with pytest.raises(PackageRefused, match="1099511627776 stored numbers"):
        check_network(model(helper.make_node("Identity", ["x"], ["y"]), initializers=(tensor,)), 1 << 23)


def test_a_negative_dimension_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[-1])
    with pytest.raises(PackageRefused, match="negative"):
        contents(model(helper.make_node("Identity", ["x"], ["y"]), initializers=(tensor,)))


@pytest.mark.parametrize("junk", [b"", b"\x00", b"not a protobuf at all", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 20])
def test_what_is_no_onnx_file_is_refused(junk: bytes) -> None:
    with pytest.raises(PackageRefused, match="no ONNX file"):
        contents(junk)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_the_walk(junk: bytes) -> None:
    try:
        contents(junk)
    except PackageRefused:
        return


@given(st.integers(0, len(GRAPH) - 1), st.integers(0, 255))
def test_a_changed_byte_breaks_nothing_but_the_file(at: int, value: int) -> None:
    changed = GRAPH[:at] + bytes([value]) + GRAPH[at + 1 :]
    try:
        contents(changed)
    except PackageRefused:
        return


def test_a_bomb_of_nested_graphs_is_refused() -> None:
    bomb = b""
    for _ in range(200):  # graph -> node -> attribute -> graph
        for key in (b"\x32", b"\x2a", b"\x0a"):  # attribute.g = 6, node.attribute = 5, graph.node = 1
            length = len(bomb)
            size = bytearray()
            while length >= 0x80:
                size.append(length & 0x7F | 0x80)
                length >>= 7
            size.append(length)
            bomb = key + bytes(size) + bomb
    head = bytearray()
    length = len(bomb)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    with pytest.raises(PackageRefused, match="nested too deeply"):
        contents(b"\x3a" + bytes(head) + bomb)


@given(
    st.lists(st.integers(0, 50), max_size=3),
    st.sampled_from(["", "ai.onnx.ml", "com.example", "org.pytorch.aten"]),
    st.booleans(),
)
def test_the_walk_sees_what_the_onnx_package_sees(dims: list[int], domain: str, external: bool) -> None:
    location = TensorProto.EXTERNAL if external else TensorProto.DEFAULT
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=dims, data_location=location)
    found = contents(model(helper.make_node("Op", ["x"], ["y"], domain=domain), initializers=(tensor,)))
    assert found.elements == np.prod(dims, dtype=int)
    assert found.external is external
    assert found.domains == {domain} - ({""} if domain == "" else set()) or found.domains == {"", domain}


def test_the_graph_that_is_built_passes_onnxs_own_checker() -> None:
    from onnx import load_from_string

    checker.check_model(load_from_string(GRAPH), full_check=True)
