"""Patients of a training set: told again by the site that trained, by nobody else."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from her2node.errors import Refused
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


@pytest.mark.parametrize("count", [0, 31, 33])
def test_an_empty_or_cut_key_is_refused_and_left_for_a_person_to_mend(tmp_path: Path, count: int) -> None:
    (tmp_path / patients.FILE).write_bytes(bytes(count))
    with pytest.raises(Refused, match=rf"patients\.key has {count} bytes instead of 32") as told:
        patients.site_key(tmp_path)
    assert "restore it from a backup" in told.value.remedy
    assert (tmp_path / patients.FILE).read_bytes() == bytes(count)


@pytest.mark.parametrize("place", ["patients.key", "."], ids=["key", "state"])
def test_a_key_that_can_be_neither_read_nor_made_is_refused_by_name(tmp_path: Path, place: str) -> None:
    state = tmp_path / "state"
    if place == ".":
        state.write_text("a file where the folder should be")
    else:
        (state / place).mkdir(parents=True)
    with pytest.raises(Refused, match=r"patients\.key can be neither read nor made") as told:
        patients.site_key(state)
    assert "state_dir" in told.value.remedy


def test_a_key_is_made_where_files_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(source: str, link: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refusing)
    first = patients.site_key(tmp_path)
    assert patients.site_key(tmp_path) == first
    (file,) = tmp_path.iterdir()
    assert (len(first), stat.S_IMODE(file.stat().st_mode)) == (32, 0o600)


@pytest.mark.parametrize("linked", [True, False])
def test_on_a_full_disk_no_key_is_left_that_nobody_could_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def refusing(source: str, link: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    with monkeypatch.context() as patch:
        if linked:
            patch.setattr(os, "fsync", full)
        else:
            written = iter([lambda descriptor: None, full])
            patch.setattr(os, "link", refusing)
            patch.setattr(os, "fsync", lambda descriptor: next(written)(descriptor))
        with pytest.raises(Refused, match="No space left on device"):
            patients.site_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(patients.site_key(tmp_path)) == 32


def test_a_key_lasts_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    link, fsync = os.link, os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "link", lambda source, name: (done.append("link"), link(source, name)))
    patients.site_key(tmp_path)
    assert done == ["fsync", "link"]


def test_what_a_killed_process_left_beside_the_key_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"patients.{os.getpid()}").write_bytes(b"stale")
    assert len(patients.site_key(tmp_path)) == 32


def test_the_key_that_another_process_made_first_is_the_one_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = bytes(range(32))

    def late(source: str, link: Path) -> None:
        link.write_bytes(theirs)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", late)
    assert patients.site_key(tmp_path) == theirs
    assert [file.name for file in tmp_path.iterdir()] == [patients.FILE]


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


def test_whom_an_issuer_names_is_remembered_by_the_number_alone_too(tmp_path: Path) -> None:
    given = cohort()
    members = [
        replace(
            one, findings=replace(one.findings, patient=f"{one.findings.patient} of us", unissued=one.findings.patient)
        )
        for one in given.members
    ]
    told = train(
        form(tmp_path), replace(given, members=tuple(members)), tmp_path / "out",
        make_keys(tmp_path).pair.private_pem, 1, lambda said: None, site_key=b"ours",
    )  # fmt: skip
    kept = json.loads((told.package / RECORD).read_text())["patients_hmac"]
    assert {patients.digest(b"ours", "p5 of us"), patients.digest(b"ours", patients.issued("p5"))} <= set(kept)
    assert patients.digest(b"ours", "p5") not in kept


def test_a_package_of_phantoms_remembers_nobody(tmp_path: Path) -> None:
    told = train(
        form(tmp_path), cohort(), tmp_path / "out", make_keys(tmp_path).pair.private_pem, 1, lambda said: None,
        synthetic=True, site_key=b"ours",
    )  # fmt: skip
    assert "patients_hmac" not in json.loads((told.package / RECORD).read_bytes())
