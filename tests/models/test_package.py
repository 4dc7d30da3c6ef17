from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from her2node.errors import PackageRefused, WorkedCaseFailed
from her2node.models import manifest as manifests
from her2node.models.building import logistic_graph, seal, sign_package
from her2node.models.manifest import Logistic, Scalar
from her2node.models.package import PINNED, SHIPPED, load, load_packages, shipped_trust
from her2node.models.prediction import Level
from her2node.models.trust import Trust, keygen, read_key, sign
from tests.models.making import CASES, MANIFEST, MODEL, Keys, case_json, endless, make_keys, rewritten, small, write

LEE = "lee2017-portal-liver"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


def refuses(path: Path, trust: Trust, match: str) -> None:
    with pytest.raises(PackageRefused, match=match):
        load(path, trust)


# --- what ships ------------------------------------------------------------------------------------------------


def test_every_package_that_ships_loads_by_its_pinned_hash() -> None:
    names = json.loads(PINNED.read_text())
    loaded = load_packages(list(names))
    assert not loaded.refused
    assert [package.manifest.name for package in loaded.packages] == list(names)
    assert {package.trusted_by for package in loaded.packages} == {"shipped"}
    assert set(names) == {path.name for path in SHIPPED.iterdir() if path.is_dir()}


def test_a_shipped_package_changed_by_one_byte_is_refused(tmp_path: Path) -> None:
    for name in ("package.toml", "model.onnx", "cases.json", "CARD.md"):
        copy = shutil.copytree(SHIPPED / "lee2017-portal-liver", tmp_path / name / "lee2017-portal-liver")
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(bytes(content))
        refuses(copy, shipped_trust(), "neither shipped nor signed" if name == "package.toml" else "was changed")


def test_a_package_that_does_not_exist_is_refused_and_the_others_run() -> None:
    loaded = load_packages(["nowhere", "lee2017-portal-liver", "lee2017-portal-liver@9.9.9"])
    assert [package.manifest.name for package in loaded.packages] == ["lee2017-portal-liver"]
    assert [name for name, _ in loaded.refused] == ["nowhere", "lee2017-portal-liver@9.9.9"]
    assert "there is no package nowhere" in str(loaded.refused[0][1])


def test_a_reference_names_the_doi_and_the_hash() -> None:
    package = load_packages(["lee2017-portal-liver@1.1.0"]).packages[0]
    assert package.ref.citation.endswith("doi:10.3348/kjr.2017.18.5.809")
    assert package.ref.level is Level.PUBLISHED_RECONSTRUCTED
    assert len(package.ref.sha256) == 64


# --- trust -----------------------------------------------------------------------------------------------------


def test_a_signed_package_loads_for_who_trusts_the_key(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    package = load(path, keys.trust)
    assert package.probabilities([CASES[0]["inputs"]]) == pytest.approx([0.8175744761936437])
    assert len(package.trusted_by) == 16


def test_without_a_signature_it_is_refused(tmp_path: Path, keys: Keys) -> None:
    refuses(write(tmp_path, None), keys.trust, "neither shipped nor signed")


def test_trusted_keys_are_empty_by_default(tmp_path: Path, keys: Keys) -> None:
    refuses(write(tmp_path, keys), shipped_trust(), "none of the 0 trusted keys")
    assert load_packages(["small"], [tmp_path]).refused


def test_a_signature_by_another_key_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    (path / "package.toml.sig").write_bytes(sign((path / "package.toml").read_bytes(), keygen().private_pem))
    refuses(path, keys.trust, "none of the 1 trusted keys")


@pytest.mark.parametrize("signature", [b"", b"!!!!", b"AAAA", b"\xff\xfe"])
def test_a_mangled_signature_is_refused(tmp_path: Path, keys: Keys, signature: bytes) -> None:
    path = write(tmp_path, keys)
    (path / "package.toml.sig").write_bytes(signature)
    refuses(path, keys.trust, "signature of small")


def test_a_manifest_changed_after_signing_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    changed = (path / "package.toml").read_text().replace("likely = 0.5", "likely = 0.1")
    (path / "package.toml").write_text(changed)
    refuses(path, keys.trust, "package.toml was changed")


def test_what_is_no_key_is_refused_by_name(tmp_path: Path, keys: Keys) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    with pytest.raises(PackageRefused, match=r"bad\.pem"):
        read_key(bad)
    with pytest.raises(PackageRefused, match=r"missing\.pem"):
        read_key(tmp_path / "missing.pem")
    with pytest.raises(PackageRefused, match="private key"):
        sign(b"x", b"no key")
    with pytest.raises(PackageRefused, match="private key"):
        sign(b"x", keys.pair.public_pem)


def test_a_key_that_cannot_be_read_does_not_keep_what_ships_from_running(tmp_path: Path) -> None:
    loaded = load_packages(["lee2017-portal-liver"], keys=[tmp_path / "missing.pem"])
    assert len(loaded.packages) == 1
    assert loaded.refused[0][0].endswith("missing.pem")


def test_signing_refuses_a_package_that_is_not_whole(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, None)
    (path / "CARD.md").write_text("changed")
    with pytest.raises(PackageRefused, match=r"CARD\.md was changed"):
        sign_package(path, keys.pair.private_pem)


def test_sealing_anew_removes_a_signature_that_no_longer_holds(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    seal(path)
    assert not (path / "package.toml.sig").exists()


# --- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.onnx", "cases.json", "CARD.md"])
def test_a_tampered_file_is_refused(tmp_path: Path, keys: Keys, name: str) -> None:
    path = write(tmp_path, keys)
    (path / name).write_bytes((path / name).read_bytes() + b" ")
    refuses(path, keys.trust, f"{name} was changed")


@pytest.mark.parametrize("name", ["model.onnx", "cases.json", "CARD.md"])
def test_a_missing_file_is_refused(tmp_path: Path, keys: Keys, name: str) -> None:
    path = write(tmp_path, keys)
    (path / name).unlink()
    refuses(path, keys.trust, f"lacks {name}")


def test_an_extra_file_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    (path / "weights.bin").write_bytes(b"x")
    refuses(path, keys.trust, r"weights\.bin")


def test_a_subfolder_or_a_link_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    (path / "more").mkdir()
    refuses(path, keys.trust, "no ordinary file")
    (path / "more").rmdir()
    content = (path / "CARD.md").read_bytes()
    (tmp_path / "outside.md").write_bytes(content)
    (path / "CARD.md").unlink()
    (path / "CARD.md").symlink_to(tmp_path / "outside.md")
    refuses(path, keys.trust, "no ordinary file")


@pytest.mark.parametrize("name", ["../CARD.md", "/etc/passwd", "sub/x.md", "..", "a\\\\b.md"])
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, keys: Keys, name: str) -> None:
    path = write(tmp_path, keys)
    manifest = (path / "package.toml").read_text() + f'"{name}" = "{"0" * 64}"\n'
    (path / "package.toml").write_text(manifest)
    (path / "package.toml.sig").write_bytes(sign(manifest.encode(), keys.pair.private_pem))
    refuses(path, keys.trust, "package.toml: files")


def test_an_empty_or_absent_folder_is_refused(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "small").mkdir()
    refuses(tmp_path / "small", keys.trust, r"has no package\.toml")
    refuses(tmp_path / "nothing", keys.trust, "cannot be read")


def test_a_folder_of_another_name_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys)
    refuses(path.rename(tmp_path / "large"), keys.trust, r"the folder large holds small@1\.0\.0")
    refuses((tmp_path / "large").rename(tmp_path / "small@2.0.0"), keys.trust, "holds small")


def test_versions_live_side_by_side_and_are_enabled_by_number(tmp_path: Path, keys: Keys) -> None:
    old = write(tmp_path, keys).rename(tmp_path / "small@1.0.0")
    new = write(tmp_path, keys, manifest=MANIFEST.replace("1.0.0", "2.0.0")).rename(tmp_path / "small@2.0.0")
    chosen = load_packages(["small@2.0.0"], [tmp_path], [keys.public])
    assert [package.manifest.version for package in chosen.packages] == ["2.0.0"]
    both = load_packages(["small"], [old, new], [keys.public])
    assert "2 packages fit small" in str(both.refused[0][1])


def stray(folder: Path, name: str) -> Path:
    """A folder called as a package, which is none."""
    (folder / name).mkdir(parents=True)
    (folder / name / "package.toml").write_text("x = 1")
    return folder / name


def test_a_stray_folder_of_its_name_does_not_keep_a_package_from_running(tmp_path: Path) -> None:
    place = stray(tmp_path, f"{LEE}@2.0.0")
    for wanted in (LEE, f"{LEE}@1.1.0"):
        loaded = load_packages([wanted], [tmp_path])
        assert ([package.manifest.version for package in loaded.packages], loaded.refused) == (["1.1.0"], ())
    ((folder, why),) = load_packages([LEE], [tmp_path]).passed_over
    assert (folder, "neither shipped nor signed" in str(why)) == (str(place), True)


def test_where_no_folder_of_a_name_can_be_used_the_reason_is_told(tmp_path: Path) -> None:
    stray(tmp_path, f"{LEE}@2.0.0")
    stray(tmp_path, "other")
    loaded = load_packages([f"{LEE}@2.0.0", "other"], [tmp_path])
    assert (loaded.packages, [name for name, _ in loaded.refused]) == ((), [f"{LEE}@2.0.0", "other"])
    assert all("neither shipped nor signed" in str(why) for _, why in loaded.refused)


# --- the manifest ----------------------------------------------------------------------------------------------


STATED = "[logistic]\nintercept = -1.0\ncoefficients = { metastasis = 1.5, portal_mean = 0.02 }\n"
RULE = """[threshold]
input = "portal_mean"
cut_off = 1.0
positive_if = ">="
sensitivity = 0.5
specificity = 0.5
true_positives = 10
true_negatives = 40
"""


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m + "surprise = 1\n", "surprise"),
        (lambda m: m.replace("format = 1", "format = 2"), "format"),
        (lambda m: m.replace('kind = "scalar"', 'kind = "video"'), "kind"),
        (lambda m: m.replace('level = "site-trained"', 'level = "excellent"'), "level"),
        (lambda m: m.replace('name = "small"', 'name = "../small"'), "name"),
        (lambda m: m.replace('unit = "[hnsf\'U]"', 'unit = "furlong"'), "furlong"),
        (lambda m: m.replace('name = "portal_mean"', 'name = "metastasis"'), "twice"),
        (lambda m: m.replace("unlikely = 0.2", "unlikely = 0.9"), "unlikely"),
        (lambda m: m.replace('roi = "needed"', 'roi = "none"'), "does not need an ROI"),
        (lambda m: m.replace('role = "portal"\ncode', 'role = "arterial"\ncode'), "does not require"),
        (lambda m: m.replace("positives = 20", "positives = 0"), "positives"),
        (lambda m: m.replace("likely = 0.5", "likely = nan"), "likely"),
        (lambda m: m.replace("[output]", "[output"), "cannot be read"),
        (lambda m: m + "[logistic]\nintercept = 1.0\ncoefficients = { other = 1.0 }\n", "differ"),
        (lambda m: m.replace('level = "site-trained"', 'level = "measured-only"'), "do not go together"),
        (lambda m: m.replace('level = "site-trained"', 'level = "published-threshold"'), "states no threshold"),
        (lambda m: f"{m}{STATED}covariance = [[1.0]]\n", "no covariance"),
        (lambda m: m.replace("hard = [-200.0, 400.0]", "hard = [400.0, -200.0]"), r"\[400\.0, -200\.0\] has its upper"),
        (lambda m: m.replace("usual = [100.0, 140.0]", "usual = [140.0, 100.0]"), r"kvp\.usual: .* has its upper end"),
        (
            lambda m: m.replace("A small package", r"A small\u0000package"),
            r"control character in 'A small\\x00package'",
        ),
        (lambda m: m.replace("Made for tests.", r"Made \u001b[2J"), r"control character in 'Made \\x1b\[2J'"),
        (lambda m: m + '"a\\u0085" = 1\n', r"control character in 'a\\x85'"),
        (lambda m: f"{m}{RULE}", "other inputs than that of its threshold"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(
    tmp_path: Path, keys: Keys, change: Callable[[str], str], match: str
) -> None:
    path = write(tmp_path, keys)
    manifest, files = (path / "package.toml").read_text().split("[files]")
    content = (change(manifest) + "[files]" + files).encode()
    (path / "package.toml").write_bytes(content)
    (path / "package.toml.sig").write_bytes(sign(content, keys.pair.private_pem))
    refuses(path, keys.trust, match)


@pytest.mark.parametrize(
    "content",
    [b"a = " + b"[" * 5000, b"a = " + b"{ a = " * 3000, b"a = " + b"1" * 5000, b"\xff", b"a = 1979-99-99"],
    ids=["lists", "tables", "digits", "no text", "no date"],
)
def test_what_no_parser_gets_to_the_end_of_is_refused(content: bytes) -> None:
    with pytest.raises(PackageRefused, match="cannot be read"):
        manifests.parse(content)


def test_texts_of_several_lines_and_limits_of_one_value_are_meant(tmp_path: Path) -> None:
    said = MANIFEST.replace('"Tests."', '"""Tests,\n\tand more."""').replace("[100.0, 140.0]", "[120.0, 120.0]")
    assert small(tmp_path, lambda _: said).manifest.intended_use == "Tests,\n\tand more."


def test_an_expression_too_deep_to_compile_is_refused(tmp_path: Path, keys: Keys) -> None:
    for expression in ("(" * 5000, "a{99999999999999999999}"):
        with pytest.raises(PackageRefused, match="no regular expression"):
            small(tmp_path, lambda m, e=expression: m.replace("kvp =", f'usual_kernel = "{e}"\nkvp ='))  # type: ignore[misc]


def test_a_features_file_too_deep_to_read_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, None)
    said = (path / "package.toml").read_text().replace("roi =", 'features = "features.toml"\nroi =')
    (path / "package.toml").write_text(said)
    refuses(rewritten(path, "features.toml", b"a = " + b"[" * 5000, keys), keys.trust, "recursion")


# --- the model -------------------------------------------------------------------------------------------------


def graph(
    inputs: dict[str, tuple[int, list[object]]], output: tuple[str, int] = ("probability", TensorProto.DOUBLE)
) -> bytes:
    """A graph with these inputs that casts the first to the output."""
    first = next(iter(inputs))
    node = helper.make_node("Cast", [first], [output[0]], to=output[1])
    made = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(output[0], output[1], next(iter(inputs.values()))[1])],
    )
    return bytes(helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


VECTOR = (TensorProto.DOUBLE, ["n"])


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (graph({"metastasis": VECTOR}), "takes metastasis"),
        (graph({"metastasis": VECTOR, "portal_hu": VECTOR}), "portal_hu"),
        (graph({"metastasis": VECTOR, "portal_mean": VECTOR, "more": VECTOR}), "more"),
        (graph({"metastasis": VECTOR, "portal_mean": (TensorProto.FLOAT, ["n"])}), r"tensor\(float\)"),
        (graph({"metastasis": VECTOR, "portal_mean": (TensorProto.DOUBLE, ["n", 2])}), r"\[None, 2\]"),
        (graph({"metastasis": VECTOR, "portal_mean": (TensorProto.DOUBLE, [])}), r"tensor\(double\)\[\]"),
        (graph({"metastasis": VECTOR, "portal_mean": VECTOR}, ("answer", TensorProto.DOUBLE)), "gives answer"),
        (graph({"metastasis": VECTOR, "portal_mean": VECTOR}, ("probability", TensorProto.FLOAT)), "gives probability"),
        (b"no model", "no ONNX file"),
    ],
)
def test_a_model_with_other_inputs_or_outputs_is_refused(tmp_path: Path, keys: Keys, model: bytes, match: str) -> None:
    refuses(write(tmp_path, keys, model=model), keys.trust, match)


def arithmetic(*nodes: onnx.NodeProto, stored: tuple[TensorProto, ...] = ()) -> bytes:
    """A graph of these nodes over the small package's inputs."""
    vectors = [helper.make_tensor_value_info(n, *VECTOR) for n in ("metastasis", "portal_mean", "probability")]
    made = helper.make_graph(list(nodes), "g", vectors[:2], vectors[2:], list(stored))
    return bytes(helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


def test_a_model_that_onnxruntime_refuses_is_refused(tmp_path: Path, keys: Keys) -> None:
    node = helper.make_node("Add", ["metastasis", "portal_mean", "metastasis"], ["probability"])
    refuses(write(tmp_path, keys, model=arithmetic(node)), keys.trust, "onnxruntime refuses")


def test_a_graph_that_would_never_end_is_refused_before_it_runs(tmp_path: Path, keys: Keys) -> None:
    refuses(write(tmp_path, keys, model=endless()), keys.trust, "uses Loop")


def test_a_graph_that_makes_what_no_file_holds_is_refused_before_it_runs(tmp_path: Path, keys: Keys) -> None:
    shape = numpy_helper.from_array(np.array([3 << 28], dtype=np.int64), "shape")
    nodes = (
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["none"]),
        helper.make_node("Cast", ["none"], ["nothing"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["metastasis", "nothing"], ["a"]),
        helper.make_node("Add", ["a", "portal_mean"], ["probability"]),
    )
    model = arithmetic(*nodes, stored=(shape,))
    refuses(write(tmp_path, keys, model=model), keys.trust, "uses ConstantOfShape")


def test_an_answer_that_is_no_probability_is_refused(tmp_path: Path, keys: Keys) -> None:
    model = graph({"portal_mean": VECTOR, "metastasis": VECTOR})
    refuses(write(tmp_path, keys, model=model), keys.trust, "no probability")


# --- worked cases ----------------------------------------------------------------------------------------------


def test_a_package_that_misses_its_worked_case_is_not_loaded(tmp_path: Path, keys: Keys) -> None:
    path = rewritten(write(tmp_path, keys), "cases.json", case_json(probability=0.8175), keys)
    with pytest.raises(WorkedCaseFailed, match=r"0\.817574"):
        load(path, keys.trust)
    assert isinstance(load_packages(["small"], [tmp_path], [keys.public]).refused[0][1], WorkedCaseFailed)


def test_a_graph_that_is_not_what_its_manifest_states_is_not_loaded(tmp_path: Path, keys: Keys) -> None:
    assert load(write(tmp_path / "same", keys, manifest=MANIFEST + STATED), keys.trust).session is not None
    other = MANIFEST + STATED.replace("0.02", "0.020001")
    with pytest.raises(WorkedCaseFailed, match=r"by the numbers in package\.toml it is 0\.8175819"):
        load(write(tmp_path / "other", keys, manifest=other), keys.trust)


@pytest.mark.parametrize(
    ("slopes", "value"), [(("1.7e308", "1.7e308"), 1.0), (("1e308", "-1e308"), 50.0)], ids=["overflow", "both signs"]
)
def test_stated_coefficients_too_large_to_be_added_are_a_worked_case_that_fails(
    tmp_path: Path, keys: Keys, slopes: tuple[str, str], value: float
) -> None:
    linear = MODEL.intercept + value * sum(MODEL.coefficients.values())
    case = {**CASES[0], "inputs": dict.fromkeys(MODEL.coefficients, value), "probability": 1 / (1 + np.exp(-linear))}
    stated = STATED.replace("1.5", slopes[0]).replace("0.02", slopes[1])
    write(tmp_path, keys, manifest=MANIFEST + stated, cases=[case])
    ((name, why),) = load_packages(["small"], [tmp_path], [keys.public]).refused
    assert (name, type(why)) == ("small", WorkedCaseFailed)
    assert "too large to be added" in str(why)


def test_a_form_that_holds_a_model_is_refused(tmp_path: Path, keys: Keys) -> None:
    copy = shutil.copytree(SHIPPED / "he2015-adc", tmp_path / "he2015-adc")
    (copy / "model.onnx").write_bytes(logistic_graph(MODEL, ("metastasis", "portal_mean")))
    with pytest.raises(PackageRefused, match="holds a model all the same"):
        seal(copy)


@pytest.mark.parametrize(
    "cases",
    [
        b"[]",
        b"{}",
        b"not json",
        b"[" * 200_000,
        b"[" + b"1" * 5000 + b"]",
        case_json(inputs={"metastasis": 1.0}),
        case_json(tolerance=0.5),
        case_json(note="x"),
        b"[" + b",".join([case_json()[1:-1]] * 1001) + b"]",
    ],
    ids=lambda cases: str(len(cases)),
)
def test_worked_cases_that_prove_nothing_are_refused(tmp_path: Path, keys: Keys, cases: bytes) -> None:
    refuses(rewritten(write(tmp_path, keys), "cases.json", cases, keys), keys.trust, r"cases\.json")


# --- the graph is the formula ----------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
MODELS = {
    package.manifest.name: package
    for package in load_packages(list(json.loads(PINNED.read_text()))).packages
    if isinstance(package.manifest, Scalar)
}


def by_stored_numbers(manifest: Scalar, row: dict[str, float]) -> float:
    """Study 20's classifiers, with numpy, from the numbers that the graph stores, by their names."""
    model = onnx.load(SHIPPED / manifest.name / "model.onnx")
    stored = {one.name: float(numpy_helper.to_array(one)) for one in model.graph.initializer}
    names = [given.name for given in manifest.inputs]
    scaled = np.array([(row[name] - stored[f"centre_{name}"]) / stored[f"scale_{name}"] for name in names])

    def summed(prefix: str, of: list[str], values: npt.NDArray[np.float64]) -> float:
        return float(stored[f"{prefix}bias"] + values @ np.array([stored[f"{prefix}weight_{name}"] for name in of]))

    if "below" in stored:
        crossed = sum(value < summed("", names, scaled) for name, value in stored.items() if name.startswith("bound_"))
        return stored["above" if crossed % 2 else "below"]
    units = [name.removeprefix("out_weight_") for name in stored if name.startswith("out_weight_")]
    hidden = np.tanh([summed(f"{unit}_", names, scaled) for unit in units])
    return float(1 / (1 + np.exp(-summed("out_", units, hidden))))


def by_formula(manifest: Scalar, row: dict[str, float]) -> float:
    """The probability at the cohort's prior, with numpy, from what the manifest states."""
    if manifest.threshold is not None:
        rule, share = manifest.threshold, manifest.prior.prevalence
        positive = (row[rule.input] >= rule.cut_off) == (rule.positive_if == ">=")
        right, wrong = np.array([rule.sensitivity, 1 - rule.specificity]) if positive else np.array(
            [1 - rule.sensitivity, rule.specificity]
        )  # fmt: skip
        return float(right * share / (right * share + wrong * (1 - share)))
    if manifest.logistic is None:
        return by_stored_numbers(manifest, row)
    linear = manifest.logistic.intercept + sum(b * row[n] for n, b in manifest.logistic.coefficients.items())
    with np.errstate(over="ignore"):
        return float(1 / (1 + np.exp(-np.float64(linear))))


@pytest.mark.parametrize("name", MODELS)
@settings(deadline=None)
@given(data=st.data())
def test_a_shipped_graph_equals_the_formula_that_its_manifest_states(name: str, data: st.DataObject) -> None:
    package = MODELS[name]
    edges = [package.manifest.threshold.cut_off] if package.manifest.threshold else []
    values = st.floats(-1e4, 1e4) | st.sampled_from([0.0, 1.0, *edges])
    row = {given.name: data.draw(values) for given in package.manifest.inputs}
    assert package.probabilities([row])[0] == pytest.approx(by_formula(package.manifest, row), rel=1e-12, abs=1e-12)


def test_every_package_that_predicts_is_held_against_its_formula() -> None:
    assert set(MODELS) == {
        "bai-suvmax-demo",
        "chen2016-suvmax-demo",
        "he2015-adc-demo",
        "huang-perfusion-demo",
        "ji2017-adc",
        "ji2017-d",
        "lee2017-portal-liver",
        "mi-uptake-volume-demo",
        "pan-venous-serosa-demo",
        "park-suvmax-demo",
        "synthetic-demo-ct",
        "wangna2020-attenuation-demo",
        "wangshuxing2021-radscore-demo",
        "wangy-radiomics-demo",
        "wangzheng2019-dce-adc-demo",
        "zhangjn2016-suvmax",
        "zhangxiao-texture-lda-demo",
        "zhangxiao-texture-nda-demo",
        "zhangxiao2021-dce-demo",
        "zhaoh-iodine-demo",
        "zhaojin2020-attenuation-demo",
        "zheng-portal-node",
    }


def test_an_answer_does_not_depend_on_what_else_is_asked(tmp_path: Path) -> None:
    package = small(tmp_path)
    cases = [{"metastasis": float(m), "portal_mean": float(p)} for m in (0, 1) for p in (-5, 0, 70)]
    assert package.probabilities(cases) == tuple(package.probabilities([case])[0] for case in cases)


def test_the_same_coefficients_give_the_same_bytes() -> None:
    names = ("metastasis", "portal_mean")
    assert logistic_graph(MODEL, names) == logistic_graph(Logistic(-1.0, dict(MODEL.coefficients)), names)


@pytest.mark.truth
@pytest.mark.parametrize("name", ["lee2017-portal-liver", "zheng-portal-node"])
def test_the_published_vectors_come_out_to_four_digits(name: str, shared: Path) -> None:
    published = json.loads((shared / "reference/published-models.json").read_text())["models"]
    paper = next(model for model in published if model["id"] == name)
    package = MODELS[name]
    names = [given["name"] for given in paper["inputs"]]
    for *values, probability in paper["test_vectors"]:
        (answer,) = package.probabilities([dict(zip(names, map(float, values), strict=True))])
        assert answer == pytest.approx(probability, abs=1e-4)
    assert package.manifest.prior.positives == paper["cohort"]["pos"]
    assert package.manifest.prior.negatives == paper["cohort"]["neg"]
    logistic = package.manifest.logistic
    assert logistic is not None
    coefficients = list(logistic.coefficients.values())
    assert coefficients == paper["coefficients"]
    assert coefficients == pytest.approx(np.log(paper["odds_ratios"]), abs=1e-4)


# --- features that it wants measured ---------------------------------------------------------------------------------

FEATURES = """
name = "site"
title = "of a site"
[discretisation]
method = "fixed-bin-number"
bins = 8
[texture]
aggregations = ["3D_comb"]
"""
BY_METHOD = 'method = { value = "RAD-00000000", scheme = "99HER2NODE", meaning = "x" }\nunit = "[hnsf\'U]"'


def with_features(tmp_path: Path, keys: Keys, text: str, change: Callable[[str], str] = lambda said: said) -> Path:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "features.toml").write_text(text)
    return write(tmp_path, keys, manifest=change(MANIFEST).replace("roi = ", 'features = "features.toml"\nroi = '))


def test_a_package_may_carry_the_features_that_it_wants(tmp_path: Path, keys: Keys) -> None:
    package = load(with_features(tmp_path, keys, FEATURES), keys.trust)
    assert package.features is not None
    assert package.features.radiomics is not None


def test_features_that_cannot_be_used_refuse_the_package(tmp_path: Path, keys: Keys) -> None:
    refuses(with_features(tmp_path, keys, FEATURES.replace("bins = 8", "bins = 0")), keys.trust, "bins is 0")


def test_an_input_by_a_configuration_that_the_package_does_not_carry_is_refused(tmp_path: Path, keys: Keys) -> None:
    def by_method(said: str) -> str:
        return said.replace('unit = "[hnsf\'U]"', BY_METHOD)

    refuses(with_features(tmp_path, keys, FEATURES, by_method), keys.trust, "RAD-00000000, but features has RAD-")


@pytest.mark.parametrize("count", ["positives", "negatives"])
def test_a_cohort_so_large_that_its_prevalence_rounds_to_a_certainty_is_refused(count: str) -> None:
    content = re.sub(rf"\b{count} = \d+", f"{count} = {10**18}", MANIFEST)
    assert content != MANIFEST
    with pytest.raises(PackageRefused, match=rf"prior\.{count}: .*less than or equal"):
        manifests.parse(content.encode())
