"""The packages on the shelf: which there are, which are enabled, whether they can be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2node.errors import (
    DemonstrationOnly,
    InputRefused,
    NeedsTraining,
    NotFound,
    PackageRefused,
    Refused,
    WorkedCaseFailed,
)
from her2node.jobs.classify import IGNORE
from her2node.log import Event, emit
from her2node.models import manifest as manifests
from her2node.models import trust
from her2node.models.building import sign_package
from her2node.models.inputs import entered_value
from her2node.models.literature.forms import FORMS
from her2node.models.manifest import Form, Manifest, ReaderInput, ScannerInput, Segmenter
from her2node.models.package import (
    CARD,
    MANIFEST,
    SHIPPED,
    Package,
    load,
    load_packages,
    package_folders,
    shipped_trust,
)
from her2node.models.prediction import Level
from her2node.models.session import Engine
from her2node.reading.entered import INPUTS, value_of
from her2node.selection.roles import Role
from her2node.service import register
from her2node.service.register import Choice, Mode, Running, engine_of, folders_of, keys_of, running
from her2node.settings import Settings

FORMS_OF_DEMONSTRATION = tuple(form.manifest.name for form in FORMS)
"""Every form ships a second time, with weights fitted on phantoms: the demonstration's studies answer them all."""


def demonstration_name(form: str) -> str:
    """The package of a form with weights fitted on phantoms."""
    return f"{form}-demo"


DEMONSTRATION_PACKAGES = (
    "synthetic-demo-ct",
    "synthetic-demo-image",
    *map(demonstration_name, FORMS_OF_DEMONSTRATION),
    "synthetic-demo-segmenter",
)


def running_of(settings: Settings) -> Running:
    """The packages that shall run: those enabled, and in demonstration mode the synthetic ones too."""
    return running(settings, DEMONSTRATION_PACKAGES if settings.demonstration else ())


@dataclass(frozen=True)
class Shelf:
    """The packages that run: ``on`` with answers in the reports, ``shadow`` with answers in the ledger alone."""

    on: tuple[Package, ...]
    shadow: tuple[Package, ...]


def shelf_of(settings: Settings, *, networks: bool = True) -> Shelf:
    """Load the packages that shall run; each that is refused is logged, and the others run.

    Without ``networks`` those that look at images stay unread: they are large, and what a package needs stands beside
    them.
    """
    wanted, engine = running_of(settings), engine_of(settings) if networks else None
    return Shelf(_loaded(settings, wanted.on, engine), _loaded(settings, wanted.shadow, engine))


def _loaded(settings: Settings, wanted: Sequence[str], engine: Engine | None) -> tuple[Package, ...]:
    loaded = load_packages(wanted, folders_of(settings), keys_of(settings), engine)
    for name, error in (*loaded.refused, *loaded.passed_over):
        emit(Event.PACKAGE_REFUSED, package=name, reason=error.reason, detail=str(error))
    return loaded.packages


def runnable(packages: Sequence[Package], demonstration: bool) -> tuple[Package, ...]:
    """Those that may run in this mode."""
    return tuple(p for p in packages if demonstration or p.manifest.level is not Level.SYNTHETIC_DEMO)


def check_entries(settings: Settings, entries: Mapping[str, str]) -> None:
    """Refuse a name that neither the node nor an enabled package asks a reader for, and a value that cannot be it;
    empty takes back."""
    shelf = shelf_of(settings, networks=False)
    inputs = [given for package in (*shelf.on, *shelf.shadow) for given in package.manifest.inputs]
    asked = {given.name: given for given in inputs if isinstance(given, ReaderInput)}
    scanners = [given for given in inputs if isinstance(given, ScannerInput)]
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
        elif name in {given.name for given in scanners}:
            _check_scanner(name, value, {known for given in scanners if given.name == name for known in given.scanners})
        else:
            known = ", ".join(sorted({*own, *asked, *(given.name for given in scanners)}))
            raise Refused(f"nobody asks for {name}", remedy=f"inputs: {known}; or role:SERIES_UID=ROLE")


def _check_scanner(name: str, value: str, known: set[str]) -> None:
    if value and value.strip() not in known:
        raise InputRefused(f"{name} = '{value}', one of {', '.join(sorted(known))} expected")


def _check_role(name: str, value: str) -> None:
    roles = [role.value for role in Role if role not in (Role.ROI, Role.REGISTRATION)]
    if value not in ("", *roles, IGNORE):
        raise Refused(f"{name}={value}: there is no role {value}", remedy=f"one of {', '.join(roles)}, {IGNORE}")


def listing(settings: Settings) -> list[dict[str, Any]]:
    """Every package there is: what it says of itself, whether it is enabled, and whether it can be used."""
    wanted = running_of(settings)
    return [_row(settings, folder, wanted) for folder in package_folders(folders_of(settings))]


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What ``listing`` gives as a table for people, its head first: a line a package, and nothing is cut however narrow
    the screen, for other commands take the names."""
    table = [("name", "version", "level", "runs", "usable", "title")]
    table += [tuple(row[key] for key in ("name", "version", "level", "mode", "usable", "title")) for row in rows]
    widths = [max(map(len, column)) for column in zip(*(row[:4] for row in table), strict=True)]
    widths += [len(_IN_DEMONSTRATION), 0]  # a refusal in words takes more, and moves its own title alone
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(settings: Settings, folder: Path, wanted: Running) -> dict[str, Any]:
    said = _said(folder)
    name, version = (said.name, said.version) if said else (folder.name.partition("@")[0], "")
    names = {name, f"{name}@{version}"}
    on, shadow = not names.isdisjoint(wanted.on), not names.isdisjoint(wanted.shadow)
    return {
        "name": name,
        "version": version,
        "level": said.level.value if said else "",
        "enabled": on,
        "mode": (Mode.ON if on else Mode.SHADOW if shadow else Mode.OFF).value,
        "usable": _usable(settings, folder),
        "title": said.title if said else "",
        "folder": str(folder),
    }


_IN_DEMONSTRATION = "in demonstration mode only"


def _said(folder: Path) -> Manifest | None:
    """What a package says of itself, believed or not; None for one whose manifest cannot be read."""
    try:
        return manifests.parse((folder / MANIFEST).read_bytes())
    except (PackageRefused, OSError):
        return None


def _usable(settings: Settings, folder: Path) -> str:
    try:
        package = load(folder, shipped_trust(keys_of(settings)), engine_of(settings))
    except (PackageRefused, WorkedCaseFailed) as error:
        return f"no: {error}"
    if isinstance(package.manifest, Form):
        return "no: needs training"
    demo_only = package.manifest.level is Level.SYNTHETIC_DEMO and not settings.demonstration
    return _IN_DEMONSTRATION if demo_only else "yes"


def card(settings: Settings, name: str) -> str:
    """The card of a package, by NAME or NAME@VERSION. Raises NotFound, PackageRefused for one that has none to read."""
    wanted, _, version = name.partition("@")
    for folder in package_folders(folders_of(settings)):
        said = _said(folder)
        if said and said.name == wanted and version in ("", said.version):
            try:
                return (folder / CARD).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise PackageRefused(f"{folder.name}/{CARD} cannot be read: {error}") from error
    raise NotFound(f"package {name}", remedy="`her2node packages list` names those there are")


def verify(settings: Settings, folder: Path | None, *, enabled_only: bool = False) -> Iterator[tuple[str, bool]]:
    """A line and whether it is good news, for one package folder or for all."""
    if enabled_only:
        wanted = running_of(settings)
        names = (*wanted.on, *wanted.shadow)
        loaded = load_packages(names, folders_of(settings), keys_of(settings), engine_of(settings))
        yield from ((f"packages.enabled {name}: {error}", False) for name, error in loaded.refused)
        return
    judge = shipped_trust(keys_of(settings))
    for one in (folder,) if folder is not None else package_folders(folders_of(settings)):
        try:
            package = load(one, judge, engine_of(settings))
        except (PackageRefused, WorkedCaseFailed) as error:
            yield f"{one.name}: {error}", False
        else:
            said = package.manifest
            proof = "worked cases hold" if package.has_model else "it has no model"
            yield f"{said.name} {said.version} ({said.level}): trusted by {package.trusted_by}, {proof}", True


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


def enable(settings: Settings, name: str, *, shadow: bool = False) -> str:
    """Let NAME or NAME@VERSION run; what is said of it. Raises PackageRefused, WorkedCaseFailed, NeedsTraining."""
    package = register.resolved(settings, name)
    said = package.manifest
    if isinstance(said, Form):
        raise NeedsTraining(f"{said.name}@{said.version}", remedy=" ".join(said.training.must))
    if said.level is Level.SYNTHETIC_DEMO and not settings.demonstration:
        raise DemonstrationOnly(f"{said.name}@{said.version}")
    if shadow and isinstance(said, Segmenter):
        raise Refused(f"{said.name}@{said.version} draws regions: in shadow nothing would use them")
    mode = Mode.SHADOW if shadow else Mode.ON
    register.choose(settings, said.name, Choice(said.version, mode))
    return f"{said.name}@{said.version} is {mode}{_LATER}"


def disable(settings: Settings, name: str) -> str:
    """Let a package run no longer. Raises NotFound for one that does not."""
    wanted = running_of(settings)
    mine = [one for one in (*wanted.on, *wanted.shadow) if one.partition("@")[0] == name.partition("@")[0]]
    if not mine:
        raise NotFound(f"enabled package {name}", remedy="`her2node packages list` says which run")
    own, _, version = mine[0].partition("@")
    version = version or register.resolved(settings, own).manifest.version
    if name not in (own, f"{own}@{version}"):
        raise NotFound(f"enabled package {name}: {own}@{version} runs")
    register.choose(settings, own, Choice(version, Mode.OFF))
    return f"{own}@{version} is {Mode.OFF}{_LATER}"


def roll_back(settings: Settings, name: str) -> str:
    """Let the version and mode before hold again, before the first command what the settings say."""
    last = register.roll_back(settings, name)
    if last is not None:
        return f"{name}@{last.version} is {last.mode}{_LATER}"
    return f"{name} is {running_of(settings).mode_of(name)}, as the settings say{_LATER}"


def install(settings: Settings, folder: Path) -> str:
    """Install a package folder. What runs stays as it is, also where the settings name it without a version."""
    name = folder.resolve().name.partition("@")[0]
    wanted = running_of(settings)
    runs = register.version_of(settings, name) if name in (*wanted.on, *wanted.shadow) else ""
    place = register.install(settings, folder)
    if runs:
        register.choose(settings, name, Choice(runs, Mode.SHADOW if name in wanted.shadow else Mode.ON))
    return f"installed: {place.name}; enable it with `her2node packages enable {place.name}`"


def keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """Fingerprint and file of every trusted key; in place of the fingerprint why a key cannot be used."""
    for file in keys_of(settings):
        try:
            yield trust.fingerprint(trust.read_key(file)), str(file)
        except PackageRefused as error:
            yield f"no key: {error.detail}", str(file)


def literature() -> str:
    """The table of the review's studies."""
    return (SHIPPED / "LITERATURE.md").read_text(encoding="utf-8")


_LATER = "; it takes effect when `her2node up` or `work` starts again"
