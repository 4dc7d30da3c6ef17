"""A folder of nnU-Net 2 (``plans.json``, ``dataset.json``, ``fold_*/checkpoint_final.pth``) becomes a package.

Every fold is exported to ONNX and must answer a patch of noise as torch does. Checkpoints are read as data alone, and
networks are built of ``dynamic_network_architectures`` and ``torch.nn`` alone: a folder of others runs no code of its
own. The package is sealed, not signed.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

import numpy as np

from her2node.errors import PackageRefused, Refused
from her2node.models import manifest as manifests
from her2node.models.building import seal
from her2node.models.manifest import Segmenter
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.package import CARD, CASES, MANIFEST
from her2node.models.prediction import Level
from her2node.models.segmenter import ensemble
from her2node.models.segmenter import plans as planned
from her2node.models.segmenter.ensemble import DATASET, PLANS
from her2node.training.toml_text import inline
from her2node.volumes.volume import Floats

CHECKPOINT = "checkpoint_final.pth"
SEED, PLACES = 1, 12
TOLERANCE = 0.01
"""Of logits, between torch and onnxruntime, and later between machines."""


@dataclass(frozen=True)
class Said:
    """What no file of nnU-Net says. ``channels``: the roles of the series, in the order of the network's inputs."""

    name: str
    title: str
    citation: str
    intended_use: str
    reference_test: str
    channels: tuple[str, ...]
    tumour: str = "tumour"
    configuration: str = ""
    orientation: str = "LPS"
    level: str = Level.SITE_TRAINED


def import_nnunet(model: Path, out: Path, said: Said) -> Path:
    """Write the package ``out``/NAME and return its folder.

    ``said.configuration`` is by default the last part of the folder's name, as nnU-Net gives it. Raises Refused without
    torch, and PackageRefused for what is no such folder, cannot be built or exported, or answers otherwise as ONNX.
    """
    torch = torch_of_the_extra()
    said_configuration = said.configuration or model.resolve().name.split("__")[-1]
    files = {name: _read(model / name) for name in (PLANS, DATASET)}
    plans = planned.parse(files[PLANS], files[DATASET], said_configuration)
    checkpoints = sorted(model.glob(f"fold_*/{CHECKPOINT}"))
    if not checkpoints:
        raise PackageRefused(f"{model} has no fold_*/{CHECKPOINT}")
    shape = (1, len(plans.channels), *plans.patch)
    noise = torch.from_numpy(noise_of(shape))
    answers, mirrors, folds = [], set(), []
    for checkpoint in checkpoints:
        stored = _checkpoint(torch, checkpoint)
        network = _network(torch, files[PLANS], said_configuration, plans, stored["network_weights"])
        mirrors.add(tuple(stored.get("inference_allowed_mirroring_axes") or ()))
        folds.append(f"{checkpoint.parent.name.replace('_', '-')}.onnx")
        files[folds[-1]] = exported(torch, network, noise)
        with torch.no_grad():
            answers.append(network(noise).numpy()[0])
    if len(mirrors) != 1:
        raise PackageRefused(f"the folds were trained with different mirror axes: {sorted(mirrors)}")
    text = manifest_of(said, said_configuration, folds, mirrors.pop())
    return written(out / said.name, text, files, np.mean(answers, axis=0))


def torch_of_the_extra() -> Any:
    """The module torch. Raises Refused where what exports networks is not installed."""
    try:
        import dynamic_network_architectures  # noqa: F401 - its classes are looked up by name
        import onnx  # noqa: F401 - torch exports through it
        import torch
    except ImportError as error:
        raise Refused(
            f"{error.name} is not installed: networks of nnU-Net are exported by torch",
            remedy="pip install 'her2node[nnunet]'",
        ) from error
    return torch


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageRefused(f"{path} cannot be read: {error.strerror}") from error


def _checkpoint(torch: Any, path: Path) -> dict[str, Any]:
    """What a checkpoint holds, as data: figures of its training log are numpy's."""
    scalar = np.float64(0).__reduce__()[0]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [np.dtype, *names, *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?"))]
    try:
        with torch.serialization.safe_globals(kinds):
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise PackageRefused(f"{path.parent.name}/{path.name} cannot be read as data alone: {error}") from error
    if "network_weights" not in found:
        raise PackageRefused(f"{path.parent.name}/{path.name} holds no network_weights")
    return found


def _network(
    torch: Any, plans_json: bytes, configuration: str, plans: planned.Plans, weights: Mapping[str, Any]
) -> Any:
    chosen = planned.inherited(json.loads(plans_json)["configurations"], configuration)
    architecture = chosen.get("architecture")
    if not architecture:
        raise PackageRefused("plans.json names no architecture: it was written by nnU-Net before 2.3")
    built, arguments = _architecture(torch, architecture)
    try:
        plain = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in weights.items()}
        network = built(len(plans.channels), num_classes=plans.labels.outputs, deep_supervision=False, **arguments)
        network.load_state_dict(plain)
    except MemoryError:
        raise
    except Exception as error:  # whatever a network's code raises on what plans.json tells it
        raise PackageRefused(
            f"the network of plans.json does not take the weights: {type(error).__name__} {error}"
        ) from error
    return network.eval()


def _architecture(torch: Any, said: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """The network's class and what it is made with, in which layers are named and nothing else."""
    try:
        arguments = dict(said["arch_kwargs"])
        for key in said["_kw_requires_import"]:
            arguments[key] = arguments[key] and _located(arguments[key], "torch.nn.", torch.nn.Module)
        return _located(said["network_class_name"], "dynamic_network_architectures.", torch.nn.Module), arguments
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PackageRefused(f"plans.json: the architecture is none: {type(error).__name__} {error}") from error


def _located(name: str, within: str, kind: type) -> type:
    """The class of this name. It must be defined ``within``: names lead on from a module to all that it imports."""
    try:
        found = locate(name) if name.startswith(within) else None
    except ErrorDuringImport as error:
        raise PackageRefused(f"plans.json names {name}, which cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, kind) or not f"{found.__module__}.".startswith(within):
        raise PackageRefused(f"plans.json names {name}, which is no {kind.__name__} of {within.rstrip('.')}")
    return found


def noise_of(shape: Sequence[int]) -> Floats:
    """The patch of noise whose answer a package keeps as its worked case."""
    return np.random.RandomState(SEED).standard_normal(tuple(shape)).astype(np.float32)


def exported(torch: Any, network: Any, noise: Any) -> bytes:
    """The network as ONNX, with a free number of patches."""
    target = io.BytesIO()
    torch.onnx.export(
        network,
        (noise,),
        target,
        input_names=["patches"],
        output_names=["logits"],
        dynamic_axes={"patches": {0: "n"}, "logits": {0: "n"}},
        dynamo=False,
    )
    return target.getvalue()


def manifest_of(said: Said, configuration: str, folds: Sequence[str], mirror: Sequence[int]) -> str:
    stated = {
        "format": 1,
        "kind": "segmenter",
        "name": said.name,
        "version": "1.0.0",
        "level": str(said.level),
        "title": said.title,
        "citation": said.citation,
        "intended_use": said.intended_use,
        "reference_test": said.reference_test,
    }
    network = {
        "channels": list(said.channels),
        "configuration": configuration,
        "folds": list(folds),
        "tumour": said.tumour,
        "mirror": list(mirror),
        "orientation": said.orientation,
    }
    requires = [line for role in said.channels for line in ("", "[[requires]]", f"role = {inline(role)}")]
    return "\n".join(
        (
            *(f"{key} = {inline(value)}" for key, value in stated.items()),
            *requires,
            "",
            "[network]",
            *(f"{key} = {inline(value)}" for key, value in network.items()),
            "",
        )
    )


def written(folder: Path, text: str, files: Mapping[str, bytes], expected: np.ndarray[Any, Any]) -> Path:
    """Write, seal and judge the package. ``expected``: torch's mean logits on the noise."""
    filler = f'{text}\n[files]\n"{CARD}" = "{"0" * 64}"\n'
    manifest = manifests.parse(filler.encode())
    assert isinstance(manifest, Segmenter)
    found = ensemble.read(manifest, files).logits(SEED)
    apart = float(np.abs(found - expected).max())
    if not apart <= TOLERANCE:
        raise PackageRefused(f"the exported network answers {apart:.2g} otherwise than torch")
    rng = np.random.RandomState(SEED)
    places = [tuple(int(rng.randint(size)) for size in found.shape) for _ in range(PLACES)]
    case = {
        "seed": SEED,
        "places": places,
        "logits": [float(expected[place]) for place in places],
        "tolerance": TOLERANCE,
        "source": f"torch, before export; the whole patch agrees to {apart:.1e}",
    }
    if folder.exists():
        raise PackageRefused(f"{folder} is there already")
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / CASES).write_text(json.dumps([case], indent=2) + "\n")
    (folder / CARD).write_text(card(manifest, apart), encoding="utf-8")
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    seal(folder)
    return folder


def card(manifest: Segmenter, apart: float) -> str:
    """CARD.md: what was said of the network, and by how much its export answers otherwise than torch."""
    said = manifest.network
    return model_card(
        f"{manifest.name} {manifest.version}",
        {
            "Model details": f"{manifest.title}. {manifest.citation} A network of nnU-Net 2, configuration "
            f"{said.configuration}, {len(said.folds)} folds whose answers are averaged. Level `{manifest.level}`. Made "
            "by `her2node packages import-nnunet`.",
            "Intended use": f"{manifest.intended_use} It draws the region of '{said.tumour}' where no reader has, and "
            "estimates nothing.",
            "Factors": f"Takes {', '.join(said.channels)}, in this order. Spacing, patch and normalisation stand in "
            "plans.json.",
            "Metrics": "Overlap (Dice) is what such networks are judged by. None was handed over with the weights.",
            "Evaluation data": "None: nobody has evaluated this package on a cohort.",
            "Training data": f"Not told beyond the citation. Regions were drawn thus: {manifest.reference_test}",
            "Quantitative analyses": f"On a patch of noise the exported network answers as torch does, to {apart:.1e} "
            "in the logits.",
            "Ethical considerations": RESEARCH,
            "Caveats and recommendations": "No reader has checked a region that it draws; one that a reader sends goes "
            "before it. How it does on other scanners and in other people is unknown.",
        },
    )
