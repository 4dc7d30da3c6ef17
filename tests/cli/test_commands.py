"""The commands that need no running node: what they print, what they write, how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

pytestmark = pytest.mark.timeout(900)
"""More than a command may take."""
ROOT = Path(__file__).resolve().parents[2]


def her2node(*arguments: object, state: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with a state folder and no settings of this machine."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(state),
        "HER2NODE_STATE_DIR": str(state / "state"),
        "XDG_CONFIG_HOME": str(state / "none"),
    }
    command = [sys.executable, "-m", "her2node", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600, check=False)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    done = her2node("phantom", folder / "study", "--matrix", 128, "--slices", 40, state=folder)
    assert done.returncode == 0, done.stderr
    return folder / "study"


def test_phantom_writes_a_study_and_its_truth(phantom: Path) -> None:
    truth = json.loads((phantom / "truth.json").read_text())
    assert len(list(phantom.rglob("*.dcm"))) == 4 * 40 + 2
    assert truth["tumour"]["volume_mm3"] > 0


def test_phantom_does_not_write_into_a_folder_in_use(phantom: Path, tmp_path: Path) -> None:
    done = her2node("phantom", phantom, state=tmp_path)
    assert done.returncode == 2
    assert "remedy: name a new folder" in done.stderr


def test_measure_gives_a_list_with_one_object_a_quantity(phantom: Path, tmp_path: Path) -> None:
    done = her2node("measure", phantom, "--json", state=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    means = {
        row["role"]: row
        for row in rows
        if row["code"] and row["code"]["value"] == "112031" and row.get("modifier", {}).get("value") == "373098007"
    }
    truth = json.loads((phantom / "truth.json").read_text())["tumour"]["hu"]
    assert set(means) == set(truth)
    for role, row in means.items():
        assert row["unit"] == "[hnsf'U]"
        assert row["series_uids"]
        assert row["value"] == pytest.approx(truth[role], abs=1)
    (pattern,) = (row for row in rows if row["code"] and row["code"]["value"] == "ENH-PATTERN" and "value" in row)
    assert pattern["value"]["scheme"] == "99HER2NODE"
    assert pattern["unit"] is None


def test_measure_takes_regions_from_another_file(phantom: Path, tmp_path: Path) -> None:
    region = next(p for p in phantom.rglob("*.dcm") if dcmread(p, stop_before_pixels=True).Modality == "RTSTRUCT")
    done = her2node("measure", phantom, "--roi", region, "--json", state=tmp_path)
    rows = json.loads(done.stdout)
    assert {row["roi"] for row in rows if "value" in row} == {"Tumour"} or len({row["roi"] for row in rows}) == 1


def test_measure_gives_only_the_features_that_were_asked_for(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text('codes = ["118565006"]\n')
    done = her2node("measure", phantom, "--features", tmp_path / "features.toml", "--json", state=tmp_path)
    assert {row["code"]["value"] for row in json.loads(done.stdout) if row["code"]} == {"118565006"}


def test_measure_refuses_features_that_it_does_not_know(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "features.toml").write_text("everything = true\n")
    done = her2node("measure", phantom, "--features", tmp_path / "features.toml", state=tmp_path)
    assert done.returncode == 78
    assert "everything" in done.stderr


def test_measure_by_a_radiomics_configuration_gives_its_features_of_every_phase(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "signature.toml").write_text(
        'name = "mine"\ntitle = "a signature"\nfeatures = ["stat_mean", "cm_joint_entr_3D_comb"]\n'
        '[discretisation]\nmethod = "fixed-bin-size"\nsize = 25\n[resegmentation]\nlowest = -1000\n'
        '[texture]\naggregations = ["3D_comb"]\n'
    )
    done = her2node("measure", phantom, "--features", tmp_path / "signature.toml", "--json", state=tmp_path)
    rows = json.loads(done.stdout)
    roles = {row["role"] for row in rows if row["code"] and row["code"]["value"] == "112031" and "value" in row}
    for code in ("Q4LE", "TU9B"):
        found = [row for row in rows if row["code"] and row["code"]["value"] == code]
        assert {row["role"] for row in found} == roles
        assert {row["method"]["meaning"] for row in found} == {"Radiomics by mine: a signature"}
    assert len(roles) > 1


def test_measure_refuses_a_configuration_that_does_not_ship_and_names_those_that_do(
    phantom: Path, tmp_path: Path
) -> None:
    done = her2node("measure", phantom, "--features", "ibsi-z", state=tmp_path)
    assert done.returncode == 78
    assert "ibsi-a" in done.stderr


def test_measure_ends_with_1_and_the_reason_when_nothing_could_be_measured(phantom: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted(phantom.rglob("*.dcm")):
        if dcmread(path, stop_before_pixels=True).Modality == "CT":
            (images / path.name).write_bytes(path.read_bytes())
    done = her2node("measure", images, "--json", state=tmp_path)
    assert done.returncode == 1
    assert "no-roi" in {row["refused"] for row in json.loads(done.stdout)}


def test_measure_of_an_empty_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = her2node("measure", tmp_path / "empty", state=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: There is no object that can be read")
    assert "Traceback" not in done.stderr


def test_read_writes_the_objects_and_the_same_bytes_again(phantom: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        done = her2node("read", phantom, "--out", tmp_path / out, "--enter", "hepatic_metastasis=no", state=tmp_path)
        assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {"report.dcm", "outline.dcm", "segmentation.dcm", "summary-image.dcm", "summary-document.dcm"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_read_refuses_a_value_that_no_package_asks_for(phantom: Path, tmp_path: Path) -> None:
    done = her2node("read", phantom, "--out", tmp_path / "out", "--enter", "t_stage=3", state=tmp_path)
    assert done.returncode == 2
    assert "hepatic_metastasis" in done.stderr


def test_the_synthetic_package_is_refused_outside_demonstration_mode(phantom: Path, tmp_path: Path) -> None:
    config = tmp_path / "her2node.toml"
    config.write_text('[packages]\nenabled = ["synthetic-demo-ct"]\n')
    done = her2node("read", phantom, "--out", tmp_path / "out", "--config", config, "--json", state=tmp_path)
    told = json.loads(done.stdout)
    assert told["estimates"] == []
    assert [item["refused"] for item in told["not_predicted"]] == ["demonstration-only"]


def test_packages_are_listed_shown_and_verified(tmp_path: Path) -> None:
    rows = json.loads(her2node("packages", "list", "--json", state=tmp_path).stdout)
    assert {row["name"] for row in rows if row["enabled"]} == {
        "lee2017-portal-liver", "zheng-portal-node", "ji2017-adc", "ji2017-d", "ji2017-f", "ji2017-d-star",
        "zhangjn2016-suvmax", "pumc2022-mtv",
    }  # fmt: skip
    head, *lines = her2node("packages", "list", state=tmp_path).stdout.splitlines()
    assert head.split() == ["name", "version", "level", "runs", "usable", "title"]
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows], "one whole name a line, as for a pipe"
    assert all(line.endswith(row["title"]) for line, row in zip(lines, rows, strict=True))
    usable = {row["name"]: row["usable"] for row in rows}
    assert usable["synthetic-demo-ct"] == usable["synthetic-demo-image"] == "in demonstration mode only"
    assert usable["he2015-adc"] == "no: needs training"
    assert usable["zheng-portal-node"] == "yes"
    assert "Lee" in her2node("packages", "show", "lee2017-portal-liver", state=tmp_path).stdout
    done = her2node("packages", "verify", state=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("worked cases hold") == 24
    assert done.stdout.count("it has no model") == len(rows) - 24
    assert "| 14 | Liu Yang 2015, CT | none |" in her2node("packages", "literature", state=tmp_path).stdout


def test_a_site_package_runs_when_signed_by_a_trusted_key_and_is_refused_when_changed(tmp_path: Path) -> None:
    shipped = ROOT / "her2node" / "packages" / "lee2017-portal-liver"
    site = tmp_path / "site" / "lee-site"
    site.mkdir(parents=True)
    for path in shipped.iterdir():
        (site / path.name).write_bytes(path.read_bytes())
    manifest = (site / "package.toml").read_text().replace('name = "lee2017-portal-liver"', 'name = "lee-site"')
    (site / "package.toml").write_text(manifest)
    config = tmp_path / "her2node.toml"
    config.write_text(f'[packages]\nfolders = ["{tmp_path / "site"}"]\ntrusted_keys = ["{tmp_path / "public.pem"}"]\n')
    done = her2node("packages", "keygen", tmp_path / "private.pem", tmp_path / "public.pem", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "private.pem").stat().st_mode & 0o077 == 0
    unsigned = her2node("packages", "verify", site, "--config", config, state=tmp_path)
    assert unsigned.returncode == 2
    assert her2node("packages", "sign", site, "--key", tmp_path / "private.pem", state=tmp_path).returncode == 0
    signed = her2node("packages", "verify", site, "--config", config, state=tmp_path)
    assert signed.returncode == 0, signed.stdout
    (site / "CARD.md").write_text("changed")
    changed = her2node("packages", "verify", site, "--config", config, state=tmp_path)
    assert changed.returncode == 2
    assert "CARD.md was changed" in changed.stdout


def test_a_package_is_trusted_installed_enabled_in_shadow_and_rolled_back_by_command(tmp_path: Path) -> None:
    shipped = ROOT / "her2node" / "packages" / "ji2017-adc"
    site = tmp_path / "site" / "adc-site"
    site.mkdir(parents=True)
    for path in shipped.iterdir():
        (site / path.name).write_bytes(path.read_bytes())
    said = (site / "package.toml").read_text().replace('name = "ji2017-adc"', 'name = "adc-site"')
    (site / "package.toml").write_text(said)

    def packages(*arguments: object) -> str:
        done = her2node("packages", *arguments, state=tmp_path)
        return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"

    packages("keygen", tmp_path / "private.pem", tmp_path / "public.pem")
    packages("sign", site, "--key", tmp_path / "private.pem")
    assert "none of the 0 trusted keys" in packages("install", site)
    mark = packages("trust", tmp_path / "public.pem").removeprefix("trusted: ").strip()
    assert packages("keys").startswith(mark)
    assert "installed: adc-site@1.0.0" in packages("install", site)
    assert "adc-site@1.0.0 is shadow" in packages("enable", "adc-site", "--shadow")
    assert "adc-site@1.0.0 is on" in packages("enable", "adc-site@1.0.0")
    assert "runs" in packages("remove", "adc-site@1.0.0")
    assert "adc-site@1.0.0 is shadow" in packages("rollback", "adc-site")
    assert "adc-site@1.0.0 is off" in packages("disable", "adc-site")
    assert "removed" in packages("remove", "adc-site@1.0.0")
    assert "no longer trusted" in packages("distrust", mark)


def test_conformance_names_the_ae_title_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "her2node.toml"
    config.write_text('[reception]\nae_title = "ONCOLOGY"\n')
    text = her2node("conformance", "--config", config, state=tmp_path).stdout
    assert text.startswith("# DICOM Conformance Statement: her2node")
    assert "ONCOLOGY" in text


def test_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    done = her2node("doctor", state=tmp_path)
    assert done.returncode == 1
    assert "no worker answers" in done.stdout
    assert "start `her2node up`" in done.stdout


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[reception]\nport = 0\n", "reception.port"),
        ('[jobs]\nbroker = "amqp://localhost"\n', "jobs.broker"),
        ('[ledger]\nurl = "mysql://localhost/x"\n', "ledger.url"),
        ('[reception.tls]\nport = 2762\ncertificate = "/no.pem"\nkey = "/no.key"\nca = "/no.ca"\n', "/no.ca"),
        ('[packages]\nenabled = ["nothing"]\n', "packages.enabled nothing"),
        ('[[selection.rules]]\nrole = "portal"\npatterns = { SeriesDescripton = "x" }\n', "SeriesDescripton"),
    ],
)
def test_settings_that_cannot_be_used_end_with_78(text: str, named: str, tmp_path: Path) -> None:
    config = tmp_path / "her2node.toml"
    config.write_text(text)
    done = her2node("settings", "check", "--config", config, state=tmp_path)
    assert done.returncode == 78
    assert named in done.stderr


def test_a_series_can_be_kept_out_of_a_reading(phantom: Path, tmp_path: Path) -> None:
    plain = json.loads((phantom / "truth.json").read_text())["series"][0]
    assert plain["phase"] == "plain"
    out = f"role:{plain['series_instance_uid']}=ignore"
    done = her2node("read", phantom, "--out", tmp_path / "out", "--enter", out, "--json", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "plain" not in {row["role"] for row in json.loads(done.stdout)["quantities"]}


def test_up_refuses_settings_before_anything_starts(tmp_path: Path) -> None:
    config = tmp_path / "her2node.toml"
    config.write_text('[jobs]\nbroker = "amqp://localhost"\n')
    done = her2node("up", "--config", config, state=tmp_path)
    assert done.returncode == 78
    assert "jobs.broker" in done.stderr


def test_status_of_an_unknown_study_is_refused(tmp_path: Path) -> None:
    done = her2node("status", "1.2.3", state=tmp_path)
    assert done.returncode == 2
    assert "1.2.3" in done.stderr
    assert her2node("status", state=tmp_path).stdout.strip() == "no study yet"


@pytest.mark.parametrize("entry", ["hepatic_metastasis=", "role:1.2.3="])
def test_enter_takes_an_empty_value_to_take_an_entry_back(entry: str, tmp_path: Path) -> None:
    done = her2node("enter", "1.2.3", entry, state=tmp_path)
    assert "no study 1.2.3" in done.stderr


def test_enter_refuses_an_empty_value_of_a_name_that_no_package_asks_for(tmp_path: Path) -> None:
    done = her2node("enter", "1.2.3", "t_stage=", state=tmp_path)
    assert done.returncode == 2
    assert "t_stage" in done.stderr
