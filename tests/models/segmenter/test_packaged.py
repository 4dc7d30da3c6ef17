"""Segmenter packages: what loads, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from her2node.errors import PackageRefused, ProviderMissing, TooLarge, WorkedCaseFailed
from her2node.models.needs import needs
from her2node.models.package import load, load_packages
from her2node.models.segmenter import ensemble
from her2node.models.session import Engine
from tests.models.making import Keys, make_keys, rewritten
from tests.models.segmenter.made import configuration, dataset, plans
from tests.models.segmenter.packaged import (
    LEVEL,
    MANIFEST,
    PATCH,
    SEED,
    bright,
    cases,
    files_of,
    thresholding_graph,
    write,
)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


def test_a_signed_segmenter_loads_and_draws_what_its_network_says(tmp_path: Path) -> None:
    package = bright(tmp_path)
    assert package.ensemble is not None
    rng = np.random.default_rng(3)
    image = rng.uniform(0, 300, size=(10, 40, 50)).astype(np.float32)
    found = package.ensemble.tumour(image[None], (5.0, 2.0, 2.0), batch=3)
    clear = np.abs(image - LEVEL) > 0.2  # logits are added up in half precision
    assert np.array_equal(found[clear], (image > LEVEL)[clear])


def test_of_several_folds_the_mean_decides(tmp_path: Path) -> None:
    more = {"fold-1.onnx": thresholding_graph(LEVEL + 100), "cases.json": cases(LEVEL + 50)}
    two = bright(tmp_path, lambda m: m.replace('["fold-0.onnx"]', '["fold-0.onnx", "fold-1.onnx"]'), **more)
    assert two.ensemble is not None
    image = np.full((1, *PATCH), LEVEL + 49, dtype=np.float32)
    assert not two.ensemble.tumour(image, (5.0, 2.0, 2.0)).any()
    assert two.ensemble.tumour(image + 2, (5.0, 2.0, 2.0)).all()


def test_a_region_within_the_tumour_belongs_to_it(tmp_path: Path) -> None:
    """The first output is the sum's excess over one level, the last over another: the tumour, and the core within."""
    said = dataset({"background": 0, "tumour": [1, 2], "necrosis": 2}, regions_class_order=[1, 2])
    model = load_model_from_string(thresholding_graph())
    weights, bias = np.ones((2, 1, 1, 1, 1), np.float32), np.array([-50, -LEVEL], np.float32)
    del model.graph.initializer[:]
    model.graph.initializer.extend([numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")])
    noise = float(np.random.RandomState(SEED).standard_normal((1, 1, *PATCH))[0, 0, 0, 0, 0])
    judged = cases(places=[(0, 0, 0, 0)], logits=[noise - 50])
    more = {"fold-0.onnx": model.SerializeToString(), "dataset.json": said, "cases.json": judged}
    image = np.zeros((1, *PATCH), dtype=np.float32)
    image[0, :, 4:20], image[0, :, 8:12] = 100, 200

    def drawn(name: str) -> npt.NDArray[np.bool_]:
        change = MANIFEST.replace('tumour = "tumour"', f'tumour = "{name}"')
        package = bright(tmp_path / name, lambda _: change, **more)
        assert package.ensemble is not None
        return package.ensemble.tumour(image, (5.0, 2.0, 2.0))

    assert np.array_equal(drawn("tumour"), image[0] > 50)
    assert np.array_equal(drawn("necrosis"), image[0] > LEVEL)


def test_a_fold_that_misses_its_worked_case_is_not_loaded(tmp_path: Path, keys: Keys) -> None:
    files = files_of(**{"fold-0.onnx": thresholding_graph(LEVEL + 0.001)})
    path = write(tmp_path, keys, files)
    with pytest.raises(WorkedCaseFailed, match=r"of seed 11, -15\d\.\d+ expected"):
        load(path, keys.trust)
    assert isinstance(load_packages(["bright"], [tmp_path], [keys.public]).refused[0][1], WorkedCaseFailed)


def test_one_changed_byte_of_any_file_is_refused(tmp_path: Path, keys: Keys) -> None:
    path = write(tmp_path, keys, files_of())
    for name in files_of():
        whole = (path / name).read_bytes()
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 1
        (path / name).write_bytes(bytes(changed))
        with pytest.raises(PackageRefused, match=f"{name} was changed"):
            load(path, keys.trust)
        (path / name).write_bytes(whole)
    load(path, keys.trust)


def test_without_a_signature_a_segmenter_is_refused(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(PackageRefused, match="neither shipped nor signed"):
        load(write(tmp_path, None, files_of()), keys.trust)


@pytest.mark.parametrize("name", ["fold-0.onnx", "plans.json", "dataset.json", "cases.json", "CARD.md"])
def test_a_segmenter_that_lacks_a_file_is_refused(tmp_path: Path, keys: Keys, name: str) -> None:
    files = {file: content for file, content in files_of().items() if file != name}
    with pytest.raises(PackageRefused, match=f"lacks {name}"):
        write(tmp_path, keys, files)


def test_a_segmenter_that_holds_a_scalar_model_too_is_refused(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(PackageRefused, match="holds a model all the same"):
        write(tmp_path, keys, files_of(**{"model.onnx": b""}))


def outside(model: bytes) -> bytes:
    """The same network with its weights in another file."""
    proto = load_model_from_string(model)
    tensor = proto.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret.bin"
    return bytes(proto.SerializeToString())


def huge(model: bytes) -> bytes:
    """The same network that claims a stored tensor of 2^40 numbers."""
    proto = load_model_from_string(model)
    tensor = numpy_helper.from_array(np.zeros(1, dtype=np.float32), "more")
    tensor.dims[:] = [1 << 20, 1 << 20]
    proto.graph.initializer.append(tensor)
    return bytes(proto.SerializeToString())


def endless(model: bytes) -> bytes:
    """The same network with a loop that nothing reads, which is there all the same."""
    proto = load_model_from_string(model)
    body = helper.make_graph([], "body", [], [])
    proto.graph.node.append(helper.make_node("Loop", ["", ""], ["turns"], body=body))
    return bytes(proto.SerializeToString())


def identity(kind: int) -> bytes:
    port = ("n", 1, *PATCH)
    ports = [helper.make_tensor_value_info(name, kind, port) for name in ("patches", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["patches"], ["logits"])], "g", ports[:1], ports[1:])
    return bytes(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (outside(thresholding_graph()), r"fold-0\.onnx: .*external data"),
        (huge(thresholding_graph()), r"fold-0\.onnx: .*stored numbers"),
        (thresholding_graph(domain="com.microsoft"), r"fold-0\.onnx: .*com\.microsoft"),
        (endless(thresholding_graph()), r"fold-0\.onnx: .*uses Loop; those of networks stand in her2node"),
        (b"no network", r"fold-0\.onnx: .*no ONNX file"),
        (identity(TensorProto.DOUBLE), "one float input"),
        (identity(TensorProto.FLOAT), r"logits is \[None, 1, 8, 32, 32\], not \[None, 2, 8, 32, 32\]"),
        (thresholding_graph(shape=("n", 1, 8, 32, 16)), r"patches is \[None, 1, 8, 32, 16\]"),
        (thresholding_graph(shape=(1, 1, *PATCH)), r"patches is \[1, 1, 8, 32, 32\]"),
        (thresholding_graph(channels=2, shape=("n", 2, *PATCH)), r"patches is \[None, 2"),
        (thresholding_graph(outputs=3), "logits is"),
    ],
)
def test_a_network_that_is_not_what_the_plans_say_is_refused(
    tmp_path: Path, keys: Keys, model: bytes, match: str
) -> None:
    path = rewritten(write(tmp_path, keys, files_of()), "fold-0.onnx", model, keys)
    with pytest.raises(PackageRefused, match=match):
        load(path, keys.trust)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"[]", "must hold cases"),
        (b"{", "cannot be read"),
        (cases(tolerance=1.0), "tolerance"),
        (cases(logits=[0.0]), "a logit for every place"),
        (cases(places=[(0, 1, 2, 3), (1, 1, 2, 3), (1, 8, 0, 0)]), "each within"),
        (cases(places=[(0, 1, 2), (1, 1, 2), (1, 8, 0)]), "each within"),
        (cases(surprise=1), "surprise"),
    ],
)
def test_worked_cases_that_cannot_be_meant_are_refused(tmp_path: Path, keys: Keys, content: bytes, match: str) -> None:
    path = write(tmp_path, keys, files_of(**{"cases.json": content}))
    with pytest.raises(PackageRefused, match=match):
        load(path, keys.trust)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.replace('channels = ["portal"]', 'channels = ["arterial"]'), "other roles than"),
        (lambda m: m.replace('"portal"', '"pet"'), "contrast phases of CT"),
        (lambda m: m.replace('role = "portal"', 'role = "portal"\nmodality = "MR"'), "contrast phases of CT"),
        (lambda m: m.replace("mirror = [0, 2]", "mirror = [0, 0]"), "twice"),
        (lambda m: m.replace("mirror = [0, 2]", "mirror = [3]"), "mirror"),
        (lambda m: m + 'orientation = "LLS"\n', "left or right"),
        (lambda m: m + "step = 0\n", "step"),
        (lambda m: m.replace('["fold-0.onnx"]', '["model.onnx"]'), "folds"),
        (lambda m: m.replace('level = "site-trained"', 'level = "measured-only"'), "do not go together"),
    ],
)
def test_a_segmenter_manifest_that_cannot_be_meant_is_refused(
    tmp_path: Path, keys: Keys, change: Callable[[str], str], match: str
) -> None:
    with pytest.raises(PackageRefused, match=match):
        write(tmp_path, keys, files_of(), change(MANIFEST))


@pytest.mark.parametrize(
    ("change", "files", "match"),
    [
        (("3d_fullres", "2d"), {}, "no configuration 2d"),
        (('tumour = "tumour"', 'tumour = "lesion"'), {}, "no label lesion"),
        (("", ""), {"plans.json": b"{}"}, "cannot be used"),
        (("", ""), {"dataset.json": dataset({"background": 0, "wall": 1})}, "no label tumour"),
        (
            ("", ""),
            {"plans.json": plans({"3d_fullres": configuration(normalization_schemes=["NoNormalization"] * 2,
                                                              use_mask_for_norm=[False] * 2)})},
            "2 channels",
        ),
    ],
)  # fmt: skip
def test_plans_and_manifest_that_disagree_are_refused(
    tmp_path: Path, keys: Keys, change: tuple[str, str], files: dict[str, bytes], match: str
) -> None:
    path = write(tmp_path, keys, files_of(**files), MANIFEST.replace(*change))
    with pytest.raises(PackageRefused, match=match):
        load(path, keys.trust)


def test_hardware_that_is_not_there_is_named_and_the_other_packages_run(tmp_path: Path, keys: Keys) -> None:
    write(tmp_path, keys, files_of())
    engine = Engine(providers=("NoSuchProvider",))
    loaded = load_packages(["bright", "lee2017-portal-liver"], [tmp_path], [keys.public], engine)
    assert [package.manifest.name for package in loaded.packages] == ["lee2017-portal-liver"]
    (name, error) = loaded.refused[0]
    assert name == "bright"
    assert isinstance(error, ProviderMissing)
    assert "NoSuchProvider" in str(error)


@pytest.mark.parametrize(
    ("spacing", "most", "said"),
    [
        ((10.0, 2.0, 2.0), 20 * 40 * 40, "32000 voxels at the network's spacing"),
        ((5.0, 1.0, 1.0), 10 * 40 * 40, "16000 voxels at its own spacing"),
    ],
)
def test_an_image_too_large_at_either_spacing_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spacing: tuple[float, float, float], most: int, said: str
) -> None:
    package = bright(tmp_path)
    assert package.ensemble is not None
    image = np.ones((1, 10, 40, 40), dtype=np.float32)
    monkeypatch.setattr(ensemble, "LARGEST_IMAGE", most)
    package.ensemble.tumour(image, spacing)
    monkeypatch.setattr(ensemble, "LARGEST_IMAGE", most - 1)
    with pytest.raises(TooLarge, match=said):
        package.ensemble.tumour(image, spacing)


def test_without_an_engine_a_segmenter_says_what_it_needs_and_its_network_stays_unread(
    tmp_path: Path, keys: Keys
) -> None:
    path = write(tmp_path, keys, files_of(**{"fold-0.onnx": b"no network"}))
    package = load(path, keys.trust, engine=None)
    assert package.ensemble is None
    assert needs([package]) == needs([bright(tmp_path / "read")])
    (path / "fold-0.onnx").write_bytes(b"another")
    with pytest.raises(PackageRefused, match="was changed"):
        load(path, keys.trust, engine=None)
