"""The packages on the shelf: which there are, which are enabled, whether they can be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from her2node.errors import NotFound, PackageRefused, Refused, WorkedCaseFailed
from her2node.jobs.classify import IGNORE
from her2node.log import Event, emit
from her2node.models import manifest as manifests
from her2node.models import trust
from her2node.models.building import sign_package
from her2node.models.inputs import entered_value
from her2node.models.manifest import Manifest, ReaderInput
from her2node.models.package import (
    CARD,
    MANIFEST,
    Loaded,
    Package,
    load,
    load_packages,
    package_folders,
    shipped_trust,
)
from her2node.models.prediction import Level
from her2node.reading.entered import INPUTS, value_of
from her2node.selection.roles import Role
from her2node.settings import Settings

DEMONSTRATION_PACKAGE = "synthetic-demo-ct"


def enabled_of(settings: Settings) -> tuple[str, ...]:
    """The packages that shall run: those enabled, and in demonstration mode the synthetic one too."""
    demo = (DEMONSTRATION_PACKAGE,) if settings.demonstration else ()
    return tuple(dict.fromkeys((*settings.packages.enabled, *demo)))


def loaded_of(settings: Settings) -> Loaded:
    """Load the enabled packages; each that is refused is logged, and the others run."""
    loaded = load_packages(enabled_of(settings), settings.packages.folders, settings.packages.trusted_keys)
    for name, error in loaded.refused:
        emit(Event.PACKAGE_REFUSED, package=name, reason=error.reason, detail=str(error))
    return loaded


def runnable(packages: Sequence[Package], demonstration: bool) -> tuple[Package, ...]:
    """Those that may run in this mode."""
    return tuple(p for p in packages if demonstration or p.manifest.level is not Level.SYNTHETIC_DEMO)


def check_entries(settings: Settings, entries: Mapping[str, str]) -> None:
    """Refuse a name that neither the node nor an enabled package asks a reader for, and a value that cannot be it;
    empty takes back."""
    asked = {
        given.name: given
        for package in loaded_of(settings).packages
        for given in package.manifest.inputs
        if isinstance(given, ReaderInput)
    }
    own = {given.name: given for given in INPUTS}
    for name, value in entries.items():
        if name.startswith("role:"):
            _check_role(name, value)
        elif name in asked:
            if value:
                entered_value(asked[name], value)
        elif name in own:
            if value:
                value_of(own[name], value)
        else:
            known = ", ".join(sorted({*own, *asked}))
            raise Refused(f"nobody asks for {name}", remedy=f"inputs: {known}; or role:SERIES_UID=ROLE")


def _check_role(name: str, value: str) -> None:
    roles = [role.value for role in Role if role not in (Role.ROI, Role.REGISTRATION)]
    if value not in ("", *roles, IGNORE):
        raise Refused(f"{name}={value}: there is no role {value}", remedy=f"one of {', '.join(roles)}, {IGNORE}")


def listing(settings: Settings) -> list[dict[str, Any]]:
    """Every package there is: what it says of itself, whether it is enabled, and whether it can be used."""
    return [_row(settings, folder) for folder in package_folders(settings.packages.folders)]


def _row(settings: Settings, folder: Path) -> dict[str, Any]:
    said = _said(folder)
    name, version = (said.name, said.version) if said else (folder.name, "")
    return {
        "name": name,
        "version": version,
        "level": said.level.value if said else "",
        "enabled": not {name, f"{name}@{version}"}.isdisjoint(enabled_of(settings)),
        "usable": _usable(settings, folder),
        "title": said.title if said else "",
        "folder": str(folder),
    }


def _said(folder: Path) -> Manifest | None:
    """What a package says of itself, believed or not; None for one whose manifest cannot be read."""
    try:
        return manifests.parse((folder / MANIFEST).read_bytes())
    except (PackageRefused, OSError):
        return None


def _usable(settings: Settings, folder: Path) -> str:
    try:
        package = load(folder, shipped_trust(settings.packages.trusted_keys))
    except (PackageRefused, WorkedCaseFailed) as error:
        return f"no: {error}"
    demo_only = package.manifest.level is Level.SYNTHETIC_DEMO and not settings.demonstration
    return "in demonstration mode only" if demo_only else "yes"


def card(settings: Settings, name: str) -> str:
    """The card of a package, by NAME or NAME@VERSION. Raises NotFound."""
    wanted, _, version = name.partition("@")
    for folder in package_folders(settings.packages.folders):
        said = _said(folder)
        if said and said.name == wanted and version in ("", said.version):
            return (folder / CARD).read_text(encoding="utf-8")
    raise NotFound(f"package {name}", remedy="`her2node packages list` names those there are")


def verify(settings: Settings, folder: Path | None, *, enabled_only: bool = False) -> Iterator[tuple[str, bool]]:
    """A line and whether it is good news, for one package folder or for all."""
    if enabled_only:
        loaded = load_packages(enabled_of(settings), settings.packages.folders, settings.packages.trusted_keys)
        yield from ((f"packages.enabled {name}: {error}", False) for name, error in loaded.refused)
        return
    judge = shipped_trust(settings.packages.trusted_keys)
    for one in (folder,) if folder is not None else package_folders(settings.packages.folders):
        try:
            package = load(one, judge)
        except (PackageRefused, WorkedCaseFailed) as error:
            yield f"{one.name}: {error}", False
        else:
            said = package.manifest
            yield f"{said.name} {said.version} ({said.level}): trusted by {package.trusted_by}, worked cases hold", True


def keygen(private: Path, public: Path) -> None:
    """Write a new key pair; the private key is readable by its owner alone. Raises Refused where a file is."""
    for file in (private, public):
        if file.exists():
            raise Refused(f"{file} is there already", remedy="name new files")
    pair = trust.keygen()
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file_:
        file_.write(pair.private_pem)
    public.write_bytes(pair.public_pem)


def sign(folder: Path, key: Path) -> Path:
    """Sign package.toml of a folder; the signature's path. Raises PackageRefused for a package that is not whole."""
    return sign_package(folder, key.read_bytes())
