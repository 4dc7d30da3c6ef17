"""Settings: one file, environment above it, secrets by file, and words that name what cannot be used."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from her2node import settings
from her2node.errors import SettingsRefused
from her2node.service import settings_page

ROOT = Path(__file__).resolve().parents[2]


def _read(tmp_path: Path, text: str) -> settings.Settings:
    file = tmp_path / "her2node.toml"
    file.write_text(text)
    return settings.read(file)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HER2NODE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def test_without_a_file_the_defaults_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib")
    found = settings.read()
    assert found.reception.ae_title == "HER2NODE"
    assert found.reception.port == 11112
    assert found.state_dir == Path("/var/lib/her2node")
    assert found.ledger_url == "sqlite:////var/lib/her2node/ledger.sqlite"


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HER2NODE_RECEPTION__PORT", "104")
    assert _read(tmp_path, "[reception]\nport = 11113\n").reception.port == 104


def test_settings_made_without_a_file_are_not_of_the_file_that_was_read_last(tmp_path: Path) -> None:
    assert _read(tmp_path, "demonstration = true").demonstration
    assert not settings.Settings(state_dir=tmp_path).demonstration


def test_a_site_with_short_jobs_need_not_name_what_networks_may_take(tmp_path: Path) -> None:
    assert _read(tmp_path, "[jobs]\ntime_limit = 900\n").network_seconds == 600
    assert _read(tmp_path, "[jobs]\ntime_limit = 7200\n").network_seconds == 1200
    assert _read(tmp_path, "[jobs]\ntime_limit = 900\n[segmenter]\nseconds = 800\n").network_seconds == 800


def test_durations_are_seconds(tmp_path: Path) -> None:
    assert _read(tmp_path, "[completion]\nsettle = 0.5\n").completion.settle == timedelta(milliseconds=500)


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://u:p@h/d\n")
    found = _read(tmp_path, f'[ledger]\nurl_file = "{tmp_path / "url"}"\n')
    assert found.ledger_url == "postgresql+psycopg://u:p@h/d"


def test_what_is_shown_hides_a_password(tmp_path: Path) -> None:
    found = _read(tmp_path, '[ledger]\nurl = "postgresql+psycopg://u:secret@h/d"\n')
    assert settings_page.in_force(found)["ledger"]["url"] == "postgresql+psycopg://u:***@h/d"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[reception]\nprot = 104\n", "reception.prot"),
        ("[reception]\nport = 70000\n", "reception.port"),
        ('[reception]\nae_title = "A TITLE THAT IS TOO LONG"\n', "reception.ae_title"),
        ('[reception]\nallow_addresses = ["10.0.0.0/99"]\n', "reception.allow_addresses"),
        ('[delivery]\ndestinations = ["pacs"]\n', "delivery.destinations names pacs"),
        ("[reception.tls]\nport = 2762\n", "reception.tls.port"),
        ('[[selection.rules]]\nrole = "portal"\npatterns = { SeriesDescription = "(" }\n', "no regular expression"),
        ("[jobs]\nlease = 5\nheartbeat = 4\n", "jobs.heartbeat"),
        ("[jobs]\ntime_limit = 600\n[segmenter]\nseconds = 600\n", "segmenter.seconds must be less"),
        ("reception = [\n", "her2node.toml"),
        ('[peers.pacs]\nae = "PACS"\n', "peers.pacs.host"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        _read(tmp_path, text)
    assert named in str(caught.value)


def test_a_named_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="there is no file"):
        settings.read(tmp_path / "none.toml")


def test_a_missing_destination_comes_with_the_lines_to_add(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as caught:
        _read(tmp_path, '[delivery]\ndestinations = ["pacs"]\n')
    assert "[peers.pacs]" in caught.value.remedy


def test_the_example_that_ships_is_the_one_the_code_prints() -> None:
    assert (ROOT / "deploy" / "her2node.example.toml").read_text() == settings_page.example()


def test_the_example_is_valid_and_says_nothing_but_defaults() -> None:
    found = settings.read(ROOT / "deploy" / "her2node.example.toml")
    assert found == settings.read()
    assert tomllib.loads(settings_page.example())


def test_the_settings_of_the_compose_file_can_be_used() -> None:
    found = settings.read(ROOT / "deploy" / "her2node.compose.toml")
    assert found.peers["pacs"].ae in found.reception.allow_ae_titles


def test_every_key_has_its_sentence() -> None:
    for line in settings_page.example().splitlines():
        assert line != "# None"
        assert not line.endswith("... ()")
