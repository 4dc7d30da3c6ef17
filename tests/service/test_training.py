"""The node without the libraries of training: it runs, and says what to install when it is asked to train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from her2node.errors import Refused
from her2node.service import training
from her2node.settings import Settings
from her2node.training import course, patients
from tests.models.making import make_keys
from tests.training.making import FORM, written

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = "import sys; sys.modules.update(sklearn=None, onnx=None, skl2onnx=None); "


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "HER2NODE_STATE_DIR": str(folder / "state")}
    command = [sys.executable, "-c", WITHOUT + code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=240, check=False)


def test_the_service_imports_and_its_commands_run_without_the_extra(tmp_path: Path) -> None:
    done = run(
        "from her2node.service import roles, workshop, folders, shelf, doctor, training, training_commands; "
        "from her2node import cli; sys.argv = ['her2node', 'packages', 'verify']; cli.main()",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "worked cases hold" in done.stdout


def test_training_without_the_extra_is_refused_with_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "form.toml").touch()
    arguments = ["her2node", "train", "form.toml", "--studies", ".", "--table", "form.toml", "--out", "o", "--key"]
    arguments = [str(tmp_path / a) if a in ("form.toml", ".", "o") else a for a in arguments]
    code = f"from her2node import cli; sys.argv = {[*arguments, str(tmp_path / 'form.toml')]!r}; cli.main()"
    done = run(code, tmp_path)
    assert done.returncode == 2
    assert "sklearn, onnx, needed for training" in done.stderr
    assert "pip install 'her2node[train]'" in done.stderr


def test_the_commands_load_no_library_of_training_before_they_run(tmp_path: Path) -> None:
    code = "from her2node import cli; print([m for m in sys.modules if m.startswith('her2node.training')])"
    done = run(code, tmp_path)
    assert done.stdout == "[]\n", done.stderr


def test_a_cut_key_of_the_site_is_refused_before_a_single_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(*arguments: object) -> None:
        pytest.fail("images are read")

    monkeypatch.setattr(course, "gather", reading)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / patients.FILE).write_bytes(b"cut")
    (tmp_path / "studies").mkdir()
    table, key = tmp_path / "table.csv", tmp_path / "private.pem"
    table.write_text("study,ihc,ish,specimen,specimen_date,treated,metastasis\n1.2.3,3,,,,,1\n")
    key.write_bytes(make_keys(tmp_path).pair.private_pem)
    asked, settings = str(written(tmp_path / "form", FORM)), Settings(state_dir=tmp_path / "state")
    with pytest.raises(Refused, match=r"patients\.key has 3 bytes"):
        training.train(settings, asked, "", tmp_path / "studies", table, tmp_path / "out", key, 1, lambda said: None)
