"""A folder as nnU-Net's own trainer writes it, of three folds, through `packages import-nnunet`, beside its predictor.

The trainer is initialised, not run: its weights are random, its checkpoints are whole (weights, optimiser, log). The
command makes the package, a key signs it, the node loads it as it loads any, and its tumour is compared with that of
nnU-Net's predictor with the same folds: at least 99.7 % of voxels agree, of the clear ones 99.99 % (as in ``nnunet``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from her2node.models.package import load
from her2node.models.trust import Trust, keygen, read_key, sign
from tests.parity.nnunet import DATASET, KINDS, LABELS, image_of, plans_of

FOLDS = 3
KIND = "anisotropic"
CONFIGURATION = "3d_fullres"


def trained(results: Path) -> Path:
    """The model folder, with ``FOLDS`` folds, within ``results``."""
    ready = results.parent / "preprocessed"
    os.environ.update(nnUNet_results=str(results), nnUNet_preprocessed=str(ready), nnUNet_raw=str(results))
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = plans_of(KINDS[KIND], CONFIGURATION)
    cases = ready / plans["dataset_name"] / plans["configurations"][CONFIGURATION]["data_identifier"]
    cases.mkdir(parents=True)
    (cases / "case.b2nd").touch()  # by whose ending the trainer tells how cases are stored
    folder = Path()
    for fold in range(FOLDS):
        torch.manual_seed(100 + fold)
        said = {**json.loads(json.dumps(plans)), "continue_training": False}
        trainer = nnUNetTrainer(said, CONFIGURATION, fold, DATASET, device=torch.device("cpu"))
        trainer.initialize()
        *_, trainer.inference_allowed_mirroring_axes = (
            trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        for key in ("train_losses", "val_losses"):
            trainer.logger.log(key, np.float32(0.5), 0)
        Path(trainer.output_folder).mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
        folder = Path(trainer.output_folder_base)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(DATASET))
    return folder


def imported(model: Path, out: Path) -> Path:
    """The package that the command makes of the folder, signed."""
    said = [
        "--title",
        "Parity",
        "--citation",
        "None.",
        "--intended-use",
        "Tests.",
        "--reference-test",
        "None.",
        "--level",
        "synthetic-demo",
    ]
    where = ["--out", str(out), "--name", "parity", "--channel", "portal"]
    subprocess.run(
        [sys.executable, "-m", "her2node", "packages", "import-nnunet", str(model), *where, *said], check=True
    )
    return out / "parity"


def compared(folder: Path) -> tuple[float, float]:
    """Share of voxels that agree, and the same where the answer is clear."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    model = trained(folder / "results")
    package_folder = imported(model, folder)
    keys = keygen()
    (folder / "public.pem").write_bytes(keys.public_pem)
    manifest = (package_folder / "package.toml").read_bytes()
    (package_folder / "package.toml.sig").write_bytes(sign(manifest, keys.private_pem))
    package = load(package_folder, Trust({}, (read_key(folder / "public.pem"),)))
    assert package.ensemble is not None
    assert len(package.ensemble.folds) == FOLDS
    assert package.ensemble.stated.mirror == (0, 1, 2)

    predictor = nnUNetPredictor(
        perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False, verbose=False
    )
    predictor.initialize_from_trained_model_folder(str(model), None)
    image, spacing = image_of(7), KINDS[KIND]["image"]
    theirs, probabilities = predictor.predict_single_npy_array(
        image[None].copy(), {"spacing": list(spacing)}, None, None, True
    )
    ours = package.ensemble.tumour(image[None], spacing)
    ranked = np.sort(np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), 1e-30)), axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-3
    tumour = theirs == LABELS["tumour"]
    assert 0.01 < tumour.mean() < 0.99, "a mask of one value would agree with anything"
    same = ours == tumour
    return float(same.mean()), float(same[clear].mean())


def main() -> int:
    """Compare; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        agree, clear = compared(Path(folder))
    right = agree >= 0.997 and clear >= 0.9999
    print(f"imported, {FOLDS} folds, tumour    {agree:.5f}  {clear:.6f}{'' if right else '  MISSED'}", flush=True)
    return 0 if right else 1
