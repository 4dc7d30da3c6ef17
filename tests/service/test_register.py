"""The life of packages on a node: installed beside each other, enabled, in shadow, rolled back, removed; and keys."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from her2node.errors import DemonstrationOnly, NeedsTraining, NotFound, PackageRefused, Refused
from her2node.models.building import seal, sign_package
from her2node.models.package import LARGEST_FILE, SHIPPED
from her2node.service import register, shelf
from her2node.service.register import Mode, Running
from her2node.settings import Settings
from her2node.settings.methods import Segmenter
from tests.models.making import MANIFEST, Keys, make_keys, write
from tests.models.segmenter import packaged as segmenters

LEE = "lee2017-portal-liver"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path / "keys")


@pytest.fixture
def settings(tmp_path: Path, keys: Keys) -> Settings:
    made = Settings(state_dir=tmp_path / "state", packages={"enabled": [LEE], "stability": False})
    register.trust(made, keys.public)
    return made


def version(folder: Path, keys: Keys, number: str) -> Path:
    return write(folder / number, keys, manifest=MANIFEST.replace('version = "1.0.0"', f'version = "{number}"'))


def modes(settings: Settings) -> dict[str, str]:
    return {f"{row['name']}@{row['version']}": row["mode"] for row in shelf.listing(settings) if row["mode"] != "off"}


def test_without_a_register_the_settings_decide(settings: Settings) -> None:
    assert shelf.running_of(settings) == Running((LEE,), ())
    assert modes(settings) == {f"{LEE}@1.1.0": "on"}


def test_versions_lie_side_by_side_and_one_of_them_runs(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    for number in ("1.0.0", "2.0.0"):
        assert f"small@{number}" in shelf.install(settings, version(tmp_path, keys, number))
    assert modes(settings) == {f"{LEE}@1.1.0": "on"}
    shelf.enable(settings, "small@1.0.0")
    shelf.enable(settings, "small@2.0.0")
    assert modes(settings) == {f"{LEE}@1.1.0": "on", "small@2.0.0": "on"}
    assert [package.manifest.version for package in shelf.shelf_of(settings).on] == ["1.1.0", "2.0.0"]


def test_a_roll_back_lets_the_choice_before_hold_again(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    for number in ("1.0.0", "2.0.0"):
        shelf.install(settings, version(tmp_path, keys, number))
    shelf.enable(settings, "small@1.0.0", shadow=True)
    shelf.enable(settings, "small@2.0.0")
    shelf.disable(settings, "small")
    assert "small@2.0.0" not in modes(settings)
    shelf.roll_back(settings, "small")
    assert modes(settings)["small@2.0.0"] == "on"
    shelf.roll_back(settings, "small")
    assert modes(settings)["small@1.0.0"] == "shadow"
    assert shelf.roll_back(settings, "small").startswith("small is off, as the settings say")
    assert modes(settings) == {f"{LEE}@1.1.0": "on"}
    with pytest.raises(NotFound, match="small"):
        shelf.roll_back(settings, "small")


@pytest.mark.parametrize("stated", [LEE, f"{LEE}@1.1.0"])
def test_before_the_first_choice_is_what_ran_by_the_settings(tmp_path: Path, stated: str) -> None:
    settings = Settings(state_dir=tmp_path, packages={"enabled": [stated]})
    by_shadow = Settings(state_dir=tmp_path, packages={"enabled": [], "shadow": [stated]})
    shelf.disable(settings, LEE)
    assert modes(settings) == {}
    assert shelf.roll_back(settings, LEE).startswith(f"{LEE} is on, as the settings say")
    assert shelf.running_of(settings) == Running((stated,), ())
    shelf.enable(settings, LEE, shadow=True)
    assert modes(settings) == {f"{LEE}@1.1.0": "shadow"}
    shelf.roll_back(settings, LEE)
    assert modes(settings) == {f"{LEE}@1.1.0": "on"}
    shelf.enable(by_shadow, LEE)
    assert shelf.roll_back(by_shadow, LEE).startswith(f"{LEE} is shadow, as the settings say")


def test_a_demonstrations_package_rolls_back_to_running(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, demonstration=True)
    shelf.disable(settings, "synthetic-demo-ct")
    assert "is on, as" in shelf.roll_back(settings, "synthetic-demo-ct")


def test_a_roll_back_to_settings_that_no_longer_name_one_package_is_refused(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    having = Settings(state_dir=settings.state_dir, packages={"enabled": ["small"]})
    for number in ("1.0.0", "2.0.0"):
        shelf.install(having, version(tmp_path, keys, number))
    with pytest.raises(PackageRefused, match="2 packages fit small"):
        shelf.roll_back(having, "small")
    assert modes(having) == {"small@1.0.0": "on"}


def test_a_roll_back_to_a_version_that_is_gone_or_trusted_no_longer_is_refused(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    for number in ("1.0.0", "2.0.0"):
        shelf.install(settings, version(tmp_path, keys, number))
        shelf.enable(settings, f"small@{number}")
    shelf.disable(settings, "small")
    before = register.read(settings)
    ((mark, _),) = shelf.keys(settings)
    register.distrust(settings, mark)
    with pytest.raises(PackageRefused, match="none of the 0 trusted keys"):
        shelf.roll_back(settings, "small")
    assert register.read(settings) == before
    register.trust(settings, keys.public)
    shelf.roll_back(settings, "small")
    register.remove(settings, "small@1.0.0")
    with pytest.raises(PackageRefused, match=r"0 packages fit small@1\.0\.0 \(versions found: none\)"):
        shelf.roll_back(settings, "small")
    assert modes(settings)["small@2.0.0"] == "on"


def test_a_roll_back_to_off_asks_for_no_package(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    for number in ("1.0.0", "2.0.0"):
        shelf.install(settings, version(tmp_path, keys, number))
    shelf.enable(settings, "small@1.0.0")
    shelf.disable(settings, "small")
    shelf.enable(settings, "small@2.0.0")
    register.remove(settings, "small@1.0.0")
    assert shelf.roll_back(settings, "small").startswith("small@1.0.0 is off")
    assert "small@2.0.0" not in modes(settings)


def test_a_package_in_shadow_is_loaded_apart(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    shelf.install(settings, version(tmp_path, keys, "1.0.0"))
    shelf.enable(settings, "small", shadow=True)
    found = shelf.shelf_of(settings)
    assert ([p.manifest.name for p in found.on], [p.manifest.name for p in found.shadow]) == ([LEE], ["small"])
    by_settings = Settings(state_dir=tmp_path / "other", packages={"enabled": [], "shadow": [LEE]})
    assert shelf.running_of(by_settings) == Running((), (LEE,))


def test_installing_another_version_of_what_runs_changes_nothing_that_runs(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    newer = shutil.copytree(SHIPPED / LEE, tmp_path / f"{LEE}@9.0.0")
    said = (newer / "package.toml").read_text().replace('version = "1.1.0"', 'version = "9.0.0"')
    (newer / "package.toml").write_text(said)
    seal(newer)
    sign_package(newer, keys.pair.private_pem)
    shelf.install(settings, newer)
    assert modes(settings) == {f"{LEE}@1.1.0": "on"}
    assert [p.manifest.version for p in shelf.shelf_of(settings).on] == ["1.1.0"]
    shelf.enable(settings, f"{LEE}@9.0.0")
    assert modes(settings) == {f"{LEE}@9.0.0": "on"}


def test_a_stray_folder_called_as_a_package_that_runs_is_logged_and_the_package_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "more" / f"{LEE}@2.0.0"
    place.mkdir(parents=True)
    (place / "package.toml").write_text("x = 1")
    settings = Settings(state_dir=tmp_path, packages={"enabled": [LEE], "folders": [place.parent]})
    logged: list[str] = []
    monkeypatch.setattr(shelf, "emit", lambda _, **said: logged.append(said["package"]))
    assert [package.manifest.version for package in shelf.shelf_of(settings).on] == ["1.1.0"]
    assert logged == [str(place)]
    assert list(shelf.verify(settings, None, enabled_only=True)) == []


def test_a_package_that_the_settings_name_before_it_is_there_can_be_installed(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    early = Settings(state_dir=settings.state_dir, packages={"enabled": ["small"]})
    shelf.install(early, version(tmp_path, keys, "1.0.0"))
    assert modes(early) == {"small@1.0.0": "on"}


def test_what_is_not_trusted_or_was_changed_is_not_installed(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    stranger = write(tmp_path / "stranger", make_keys(tmp_path / "others"))
    with pytest.raises(PackageRefused, match="none of the 1 trusted keys"):
        shelf.install(settings, stranger)
    changed = version(tmp_path, keys, "1.0.0")
    (changed / "CARD.md").write_text("changed")
    with pytest.raises(PackageRefused, match=r"CARD\.md was changed"):
        shelf.install(settings, changed)
    assert not [path for path in register.installed(settings).glob("*") if path.name != ".incoming"]


def test_a_folder_that_holds_more_than_ordinary_files_is_refused_before_it_is_copied(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    folder = version(tmp_path, keys, "1.0.0")
    os.mkfifo(folder / "pipe")
    with pytest.raises(PackageRefused, match="small holds pipe, which is no ordinary file"):
        shelf.install(settings, folder)
    (folder / "pipe").unlink()
    with (folder / "large.bin").open("wb") as large:
        large.truncate(LARGEST_FILE + 1)
    with pytest.raises(PackageRefused, match=r"small/large\.bin is larger"):
        shelf.install(settings, folder)
    with pytest.raises(PackageRefused, match="nowhere cannot be read"):
        shelf.install(settings, tmp_path / "nowhere")
    assert not register.installed(settings).exists()


def test_a_package_is_installed_once(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    folder = version(tmp_path, keys, "1.0.0")
    shelf.install(settings, folder)
    with pytest.raises(Refused, match="installed already"):
        shelf.install(settings, folder)


def test_what_runs_or_ships_is_not_removed(settings: Settings, keys: Keys, tmp_path: Path) -> None:
    shelf.install(settings, version(tmp_path, keys, "1.0.0"))
    shelf.enable(settings, "small")
    with pytest.raises(Refused, match="runs"):
        register.remove(settings, "small@1.0.0")
    shelf.disable(settings, "small")
    assert not register.remove(settings, "small@1.0.0").exists()
    for name in (f"{LEE}@1.1.0", "small", "../small@1.0.0", "small@1.0.0"):
        with pytest.raises(NotFound):
            register.remove(settings, name)


def test_forms_and_demonstrations_are_not_enabled(settings: Settings) -> None:
    with pytest.raises(NeedsTraining, match="he2015-adc") as caught:
        shelf.enable(settings, "he2015-adc")
    assert "her2node train" in caught.value.remedy
    with pytest.raises(DemonstrationOnly):
        shelf.enable(settings, "synthetic-demo-ct")
    with pytest.raises(PackageRefused, match="there is no package"):
        shelf.enable(settings, "nowhere")


def test_a_key_that_is_trusted_no_longer_takes_its_packages_with_it(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    shelf.install(settings, version(tmp_path, keys, "1.0.0"))
    shelf.enable(settings, "small")
    ((mark, _),) = shelf.keys(settings)
    register.distrust(settings, mark)
    assert [package.manifest.name for package in shelf.shelf_of(settings).on] == [LEE]
    assert list(shelf.keys(settings)) == []
    for wrong in (mark, "../public", ""):
        with pytest.raises(NotFound):
            register.distrust(settings, wrong)


def test_what_is_no_key_is_not_trusted(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no key")
    with pytest.raises(PackageRefused, match=r"bad\.pem"):
        register.trust(settings, tmp_path / "bad.pem")


@pytest.mark.parametrize("content", ["", "[]", '{"small": {"now": {"version": "1.0.0", "mode": "loud"}}}'])
def test_a_register_that_cannot_be_read_is_refused_by_its_name(settings: Settings, content: str) -> None:
    file = register.installed(settings) / "register.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    with pytest.raises(Refused, match=r"register\.json"):
        register.read(settings)


def test_the_register_is_plain_text_with_its_history(settings: Settings) -> None:
    shelf.enable(settings, LEE, shadow=True)
    shelf.enable(settings, LEE)
    said = json.loads((register.installed(settings) / "register.json").read_text())
    assert said == {
        LEE: {
            "now": {"version": "1.1.0", "mode": Mode.ON},
            "before": [{"version": "1.1.0", "mode": Mode.SHADOW}],
        }
    }


def test_a_segmenter_is_listed_shown_verified_and_enabled_like_any_package(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    folder = segmenters.write(tmp_path / "made", keys, segmenters.files_of())
    assert "worked cases hold" in next(shelf.verify(settings, folder))[0]
    assert "bright@1.0.0" in shelf.install(settings, folder)
    (row,) = (row for row in shelf.listing(settings) if row["name"] == "bright")
    assert (row["usable"], row["mode"]) == ("yes", "off")
    assert shelf.card(settings, "bright") == "# bright\n"
    with pytest.raises(Refused, match="in shadow nothing would use them"):
        shelf.enable(settings, "bright@1.0.0", shadow=True)
    shelf.enable(settings, "bright@1.0.0")
    assert [package.manifest.name for package in shelf.shelf_of(settings).on] == [LEE, "bright"]


def test_a_segmenter_whose_hardware_is_not_there_is_refused_and_the_others_run(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    shelf.install(settings, segmenters.write(tmp_path / "made", keys, segmenters.files_of()))
    shelf.enable(settings, "bright")
    other = settings.model_copy(update={"segmenter": Segmenter(providers=("NoSuchExecutionProvider",))})
    assert [package.manifest.name for package in shelf.shelf_of(other).on] == [LEE]
    (line,) = (said for said, good in shelf.verify(other, None, enabled_only=True) if not good)
    assert "NoSuchExecutionProvider" in line


def test_a_folder_that_no_parser_gets_to_the_end_of_is_listed_and_the_others_beside_it(
    settings: Settings, keys: Keys, tmp_path: Path
) -> None:
    place = tmp_path / "more"
    for name, content in (("deep", b"a = " + b"[" * 5000), ("digits", b"a = " + b"1" * 5000)):
        (place / name).mkdir(parents=True)
        (place / name / "package.toml").write_bytes(content)
    write(place, None)
    (place / "small" / "CARD.md").unlink()
    having = Settings(state_dir=settings.state_dir, packages={"enabled": ["deep", LEE], "folders": [place]})
    told = {row["name"]: (row["version"], row["usable"].partition(":")[0]) for row in shelf.listing(having)}
    assert (told["deep"], told["digits"], told[LEE]) == (("", "no"), ("", "no"), ("1.1.0", "yes"))
    assert [package.manifest.name for package in shelf.shelf_of(having).on] == [LEE]
    with pytest.raises(NotFound):
        shelf.card(having, "deep")
    with pytest.raises(PackageRefused, match=r"small/CARD\.md cannot be read"):
        shelf.card(having, "small")
