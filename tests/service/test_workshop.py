"""From settings to the way things are calculated, and to the digest that results bear."""

from __future__ import annotations

from pathlib import Path

import pytest

from her2node import settings
from her2node.errors import InputRefused, Refused, SettingsRefused
from her2node.models.session import Engine
from her2node.service.register import engine_of
from her2node.service.shelf import check_entries, shelf_of
from her2node.service.workshop import maker_of, methods_of


def read(folder: Path, text: str = "") -> settings.Settings:
    file = folder / "her2node.toml"
    file.write_text(text)
    return settings.read(file)


@pytest.mark.parametrize(
    "text",
    [
        '[diffusion]\nivim = "segmented"\n',
        "[diffusion]\nperfusion_gone = 300\n",
        "[diffusion]\nnoise_floor = 0\n",
        "[pet]\nglucose_below_mg_dl = 200\n",
        "[pet]\nuptake_minutes = [50, 70]\n",
        "[pet]\nstrict = true\n",
        "[pet]\nmaps = false\n",
    ],
)
def test_what_changes_how_things_are_calculated_changes_the_digest_of_results(tmp_path: Path, text: str) -> None:
    plain, set_ = read(tmp_path), read(tmp_path, text)
    assert methods_of(set_) != methods_of(plain)
    assert maker_of(set_, ()).shaping != maker_of(plain, ()).shaping


@pytest.mark.parametrize("line", ["threads = 2", "batch = 3", 'providers = ["CUDAExecutionProvider"]'])
def test_what_networks_run_on_changes_the_digest_of_results(tmp_path: Path, line: str) -> None:
    plain, set_ = read(tmp_path), read(tmp_path, f"[segmenter]\n{line}\n")
    assert maker_of(set_, ()).shaping != maker_of(plain, ()).shaping


def test_the_settings_of_segmenters_arrive_where_they_are_used(tmp_path: Path) -> None:
    found = read(tmp_path, '[segmenter]\nproviders = ["CUDAExecutionProvider"]\nthreads = 2\nbatch = 3\nseconds = 90\n')
    assert (methods_of(found).batch, methods_of(found).network_seconds) == (3, 90)
    assert methods_of(read(tmp_path)).network_seconds < read(tmp_path).jobs.time_limit.total_seconds()
    assert engine_of(found) == Engine(("CUDAExecutionProvider",), 2)


@pytest.mark.parametrize(
    "line", ["threads = -1", "batch = 0", "seconds = 0", "seconds = inf", "providers = []", 'providers = ["cuda"]']
)
def test_settings_of_segmenters_that_cannot_be_meant_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsRefused, match="segmenter"):
        read(tmp_path, f"[segmenter]\n{line}\n")


def test_the_settings_of_diffusion_and_pet_arrive_where_they_are_used(tmp_path: Path) -> None:
    found = methods_of(read(tmp_path, '[diffusion]\nivim = "segmented"\nnoise_floor = 7.5\n[pet]\nmaps = false\n'))
    assert (found.diffusion.ivim, found.diffusion.perfusion_gone, found.diffusion.noise_floor) == (
        "segmented",
        200,
        7.5,
    )
    assert (found.gates.uptake_minutes, found.gates.strict, found.suv_maps) == ((55, 75), False, False)


@pytest.mark.parametrize("text", ["[pet]\nuptake_minutes = [75, 55]\n", "[diffusion]\nperfusion_gone = 20\n"])
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsRefused, match=r"uptake_minutes|perfusion_gone"):
        read(tmp_path, text)


def test_whoever_only_asks_what_packages_need_reads_no_network(tmp_path: Path) -> None:
    settings = read(tmp_path, "demonstration = true\n")
    whole, needed = shelf_of(settings), shelf_of(settings, networks=False)
    assert needed == whole
    assert any(package.ensemble for package in whole.on)
    assert not any(package.ensemble for package in needed.on)


@pytest.mark.parametrize(
    "entry", [("glucose_mg_dl", "112"), ("signet_ring", "yes"), ("mucinous", "否"), ("mucinous", "")]
)
def test_what_the_node_itself_asks_for_can_be_entered(tmp_path: Path, entry: tuple[str, str]) -> None:
    check_entries(read(tmp_path), dict([entry]))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (("glucose_mg_dl", "5.6"), "glucose_mg_dl 5.6 mg/dl lies outside 36 to 600"),  # mmol/l
        (("glucose_mg_dl", "normal"), "no number"),
        (("signet_ring", "0.5"), "one of 0, 1"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_entered(tmp_path: Path, entry: tuple[str, str], words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        check_entries(read(tmp_path), dict([entry]))


def test_a_name_that_nobody_asks_for_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nobody asks for grade") as refused:
        check_entries(read(tmp_path), {"grade": "3"})
    assert "glucose_mg_dl" in refused.value.remedy
    assert "signet_ring" in refused.value.remedy
