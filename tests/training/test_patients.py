"""Patients of a training set: told again by the site that trained, by nobody else."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from her2node.training import patients
from her2node.training.course import train
from her2node.training.packaging import RECORD
from tests.models.making import make_keys
from tests.training.making import cohort, form


def test_the_key_of_a_site_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = patients.site_key(tmp_path / "state")
    assert patients.site_key(tmp_path / "state") == first
    assert patients.site_key(tmp_path / "other") != first
    (file,) = (tmp_path / "state").iterdir()
    assert (len(first), stat.S_IMODE(file.stat().st_mode)) == (32, 0o600)


def test_a_trained_package_holds_digests_that_only_its_own_sites_key_gives_again(tmp_path: Path) -> None:
    given, key = cohort(), b"ours"
    told = train(
        form(tmp_path),
        given,
        tmp_path / "out",
        make_keys(tmp_path).pair.private_pem,
        1,
        lambda said: None,
        site_key=key,
    )
    text = (told.package / RECORD).read_text()
    record = json.loads(text)
    assert record["patients_by"] == patients.name_of(key)
    assert set(record["patients_hmac"]) == {patients.digest(key, f"p{i}") for i in range(60)}
    assert not set(record["patients_hmac"]) & {patients.digest(b"theirs", f"p{i}") for i in range(60)}
    assert key.hex() not in text


def test_a_package_of_phantoms_remembers_nobody(tmp_path: Path) -> None:
    told = train(
        form(tmp_path), cohort(), tmp_path / "out", make_keys(tmp_path).pair.private_pem, 1, lambda said: None,
        synthetic=True, site_key=b"ours",
    )  # fmt: skip
    assert "patients_hmac" not in json.loads((told.package / RECORD).read_bytes())
