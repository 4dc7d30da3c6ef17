"""What operators did to packages by command: installed folders, enabled versions and their history, trusted keys.

It lies below ``state_dir``: ``packages/NAME@VERSION`` the installed packages, ``packages/register.json`` which version
of a package runs and how, ``keys/FINGERPRINT.pem`` the keys. Where the register names a package it goes before the
settings file. Every file is replaced whole, so that a reader sees the old or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from her2node.errors import NotFound, PackageRefused, Refused, WorkedCaseFailed
from her2node.models.package import Package, load, load_packages, read_folder, shipped_trust
from her2node.models.session import Engine
from her2node.models.trust import fingerprint, read_key
from her2node.settings import Settings

_STRICT = ConfigDict(extra="forbid")


class Mode(StrEnum):
    """How a package runs."""

    ON = "on"
    """Its answers are in the reports."""
    SHADOW = "shadow"
    """Its answers are computed and kept in the ledger, and sent to nobody."""
    OFF = "off"
    """Not at all."""


@validated(frozen=True, config=_STRICT)
class Choice:
    """Which version of a package runs, and how."""

    version: str
    mode: Mode


@validated(frozen=True, config=_STRICT)
class Entry:
    """A package's choice now and those before, the latest last; before them all the settings decided."""

    now: Choice
    before: tuple[Choice, ...] = ()


_REGISTER = TypeAdapter(dict[str, Entry])


@dataclass(frozen=True)
class Running:
    """The packages that shall run, as NAME or NAME@VERSION, in order: ``on`` in the reports, ``shadow`` beside them."""

    on: tuple[str, ...]
    shadow: tuple[str, ...]

    def mode_of(self, name: str) -> Mode:
        """How the package of this name runs, whichever version."""
        for names, mode in ((self.on, Mode.ON), (self.shadow, Mode.SHADOW)):
            if any(one.partition("@")[0] == name for one in names):
                return mode
        return Mode.OFF


def installed(settings: Settings) -> Path:
    """Where installed packages lie."""
    return settings.state_dir / "packages"


def folders_of(settings: Settings) -> tuple[Path, ...]:
    """Where packages are looked for beside those that ship."""
    return (*settings.packages.folders, installed(settings))


def keys_of(settings: Settings) -> tuple[Path, ...]:
    """The files of all trusted public keys."""
    return (*settings.packages.trusted_keys, *sorted((settings.state_dir / "keys").glob("*.pem")))


def engine_of(settings: Settings) -> Engine:
    """What networks run on."""
    return Engine(settings.segmenter.providers, settings.segmenter.threads)


def read(settings: Settings) -> dict[str, Entry]:
    """The register; empty where no command has written one. Raises Refused where it cannot be read."""
    file = installed(settings) / "register.json"
    if not file.exists():
        return {}
    try:
        return _REGISTER.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise Refused(f"the register of packages {file} cannot be read: {error}") from error


def running(settings: Settings, demonstration: tuple[str, ...] = ()) -> Running:
    """What the settings enable, then what the register adds; where both name a package the register decides."""
    entries = read(settings)
    shadow = dict.fromkeys(settings.packages.shadow)
    wanted = {name: Mode.SHADOW if name in shadow else Mode.ON for name in (*settings.packages.enabled, *shadow)}
    modes = {name: mode for name, mode in wanted.items() if name.partition("@")[0] not in entries}
    modes |= {f"{name}@{entry.now.version}": entry.now.mode for name, entry in entries.items()}
    modes |= {name: Mode.ON for name in demonstration if name not in entries}
    return Running(
        tuple(name for name, mode in modes.items() if mode is Mode.ON),
        tuple(name for name, mode in modes.items() if mode is Mode.SHADOW),
    )


def choose(settings: Settings, name: str, choice: Choice) -> None:
    """Let ``choice`` hold for a package from now on, and remember the one before."""
    entries = read(settings)
    old = entries.get(name)
    before = (*old.before, old.now) if old else ()
    if old is None or old.now != choice:
        _write(settings, entries | {name: Entry(choice, before)})


def roll_back(settings: Settings, name: str) -> Choice | None:
    """Let the choice before hold again, and return it; None: before the first one, the settings decided, and do again.

    Raises NotFound where no command has named the package, PackageRefused or WorkedCaseFailed where what would run
    again cannot be used any more: the version was removed, its key is trusted no longer, or what the settings name is
    no longer one package (another version was installed beside it).
    """
    entries = read(settings)
    entry = entries.pop(name, None)
    if entry is None:
        raise NotFound(f"an earlier choice for package {name}", remedy="enable a version: NAME@VERSION")
    if not entry.before:
        for stated in (*settings.packages.enabled, *settings.packages.shadow):
            if stated.partition("@")[0] == name:
                resolved(settings, stated)
        _write(settings, entries)
        return None
    *before, last = entry.before
    if last.mode is not Mode.OFF:
        resolved(settings, f"{name}@{last.version}")
    _write(settings, entries | {name: Entry(last, tuple(before))})
    return last


def install(settings: Settings, folder: Path) -> Path:
    """Copy a package that may be trusted to where installed ones lie. Raises PackageRefused, WorkedCaseFailed, Refused.

    What is judged is the copy, of ordinary files of bounded size alone. Nothing that runs changes: it is enabled by a
    command of its own.
    """
    files = read_folder(folder.resolve())
    aside = installed(settings) / ".incoming" / str(os.getpid())
    shutil.rmtree(aside, ignore_errors=True)
    try:
        copy = aside / folder.resolve().name
        copy.mkdir(parents=True)
        for name, content in files.items():
            (copy / name).write_bytes(content)
        package = load(copy, shipped_trust(keys_of(settings)))
        said = package.manifest
        place = installed(settings) / f"{said.name}@{said.version}"
        if place.exists():
            raise Refused(f"{place.name} is installed already", remedy="remove it first, or give it a new version")
        copy.rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return place


def remove(settings: Settings, name: str) -> Path:
    """Delete an installed package, NAME@VERSION. Raises NotFound, and Refused while it runs."""
    place = installed(settings) / name
    if "@" not in name or "/" in name or not place.is_dir():
        raise NotFound(f"installed package {name}", remedy="name it as NAME@VERSION; what ships cannot be removed")
    wanted = running(settings)
    if name in (*wanted.on, *wanted.shadow):
        raise Refused(f"{name} runs", remedy=f"her2node packages disable {name.partition('@')[0]}")
    shutil.rmtree(place)
    return place


def trust(settings: Settings, file: Path) -> str:
    """Trust a public key; its fingerprint. Raises PackageRefused for what is none."""
    mark = fingerprint(read_key(file))
    place = settings.state_dir / "keys" / f"{mark}.pem"
    place.parent.mkdir(parents=True, exist_ok=True)
    _replace(place, file.read_bytes())
    return mark


def distrust(settings: Settings, mark: str) -> None:
    """Trust a key no longer. Raises NotFound for one that no command has trusted."""
    place = settings.state_dir / "keys" / f"{mark}.pem"
    if not mark.isalnum() or not place.is_file():
        raise NotFound(f"key {mark}", remedy="`her2node packages keys` lists them; those of the settings stand there")
    place.unlink()


def resolved(settings: Settings, name: str) -> Package:
    """The one package of NAME or NAME@VERSION. Raises PackageRefused, WorkedCaseFailed."""
    loaded = load_packages([name], folders_of(settings), keys_of(settings), engine_of(settings))
    for _, error in loaded.refused:
        raise error
    return loaded.packages[0]


def version_of(settings: Settings, name: str) -> str:
    """The version that a name without one stands for; '' where none or several can be used."""
    with suppress(PackageRefused, WorkedCaseFailed):
        return resolved(settings, name).manifest.version
    return ""


def _write(settings: Settings, entries: dict[str, Entry]) -> None:
    place = installed(settings) / "register.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: asdict(entry) for name, entry in entries.items()}
    _replace(place, json.dumps(plain, indent=2, sort_keys=True).encode() + b"\n")


def _replace(place: Path, content: bytes) -> None:
    new = place.with_suffix(".new")
    new.write_bytes(content)
    new.replace(place)
