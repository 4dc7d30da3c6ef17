"""A model package: a folder that is read once, judged, and becomes a function from inputs or images to probabilities.

The folder is called NAME or NAME@VERSION and holds package.toml, CARD.md, for what predicts model.onnx and cases.json,
for what segments fold-N.onnx, plans.json, dataset.json and cases.json, for packages of others package.toml.sig, and
nothing else. Every file is read once; what is judged is what is used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from her2node.errors import PackageRefused, SettingsRefused, WorkedCaseFailed
from her2node.models import manifest as manifests
from her2node.models import onnx_file
from her2node.models.formula import stated_probability
from her2node.models.image import classifier
from her2node.models.image.classifier import Classifier
from her2node.models.manifest import Image, Manifest, QuantityInput, Requirement, Scalar, Segmenter
from her2node.models.prediction import PackageRef
from her2node.models.segmenter import ensemble
from her2node.models.segmenter.ensemble import Ensemble
from her2node.models.session import ENGINE, Engine, Port, Session
from her2node.models.trust import Trust, read_key
from her2node.quantities import signature
from her2node.quantities.signature import Signature
from her2node.selection.reconstruction import Reconstruction

SHIPPED = Path(__file__).parent.parent / "packages"
PINNED = SHIPPED / "pinned.json"
MANIFEST, SIGNATURE, MODEL, CASES, CARD = "package.toml", "package.toml.sig", "model.onnx", "cases.json", "CARD.md"
OUTPUT = "probability"

LARGEST_FILE = 64 * 2**20
"""Bytes. A scalar package needs kilobytes."""
LARGEST_FOLD = 512 * 2**20
"""Bytes of one fold of a segmenter."""
LARGEST_FOLDER = 2**31
"""Bytes of all files."""
STATED_TOLERANCE = 1e-9
"""By how much a graph's probability may differ from what package.toml says that it calculates."""
LARGEST_ELEMENTS = 8 * 2**20
"""Stored numbers in model.onnx, as their dimensions claim."""
MOST_CASES = 1000
"""Worked cases, each of which runs whenever the package is loaded."""


@validated(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class WorkedCase:
    """Inputs by name and the probability that must come out, at the package's own prior."""

    inputs: dict[str, float]
    probability: float
    tolerance: Annotated[float, Field(gt=0, le=1e-3)]
    source: Annotated[str, Field(min_length=1)]


_CASES = TypeAdapter(tuple[WorkedCase, ...])


@dataclass(frozen=True)
class Package:
    """A package that is trusted and, where it has a model, reproduces its own worked cases.

    ``sha256`` is that of package.toml. ``trusted_by``: ``shipped`` or the fingerprint of a key. ``session`` is None for
    what predicts nothing from inputs, ``ensemble`` for what segments nothing, ``classifier`` for what looks at no
    image; the last two also for what was loaded without networks. ``features``: what it wants measured beside what
    always is.
    """

    manifest: Manifest
    sha256: str
    trusted_by: str
    card: str = field(repr=False)
    features: Signature | None = field(repr=False, default=None, kw_only=True)
    session: Session | None = field(repr=False, compare=False)
    ensemble: Ensemble | None = field(repr=False, compare=False, default=None, kw_only=True)
    classifier: Classifier | None = field(repr=False, compare=False, default=None, kw_only=True)

    @property
    def ref(self) -> PackageRef:
        said = self.manifest
        return PackageRef(
            name=said.name,
            version=said.version,
            level=said.level,
            title=said.title,
            citation=f"{said.citation} doi:{said.doi}" if said.doi else said.citation,
            intended_use=said.intended_use,
            sha256=self.sha256,
            reference_test=said.reference_test,
        )

    @property
    def has_model(self) -> bool:
        """Whether it holds anything that worked cases try."""
        return bool(self.session or self.ensemble or self.classifier)

    def reconstruction(self, requirement: Requirement) -> Reconstruction | None:
        """How it wants a required series reconstructed: where the requirement sets no limits, by its features file."""
        of_features = self.features.reconstruction(requirement.role) if self.features else None
        return requirement.reconstruction or of_features

    @property
    def reconstructions(self) -> tuple[Reconstruction, ...]:
        """How it wants the phases that it needs reconstructed."""
        return tuple(filter(None, map(self.reconstruction, self.manifest.requires)))

    def probabilities(self, cases: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
        """The probability for each case (inputs by name, in the package's units) at the package's own prior.

        Cases run one by one: in a batch, onnxruntime's vectorised kernels make the last digit depend on the place.
        Raises PackageRefused when there is no graph, when it fails or answers what is no probability.
        """
        if self.session is None:
            raise PackageRefused(f"{self.manifest.name} holds no model")
        return tuple(self._probability(self.session, case) for case in cases)

    def _probability(self, session: Session, case: Mapping[str, float]) -> float:
        inputs = {given.name: np.array([case[given.name]], dtype=np.float64) for given in self.manifest.inputs}
        answer = np.asarray(session.run(inputs)[OUTPUT], dtype=np.float64)
        if answer.shape != (1,) or not 0 <= answer[0] <= 1:
            raise PackageRefused(f"{self.manifest.name} answers {answer.tolist()}, which is no probability")
        return float(answer[0])


def load(folder: Path, trust: Trust, engine: Engine | None = ENGINE) -> Package:
    """Read and judge one package; its networks run on ``engine``, and with None stay unread: what it needs is told.

    Raises PackageRefused with the reason, or WorkedCaseFailed.
    """
    files = read_folder(folder)
    content = files.pop(MANIFEST)
    name, _, version = folder.name.partition("@")
    trusted_by = trust.judge(name, content, files.pop(SIGNATURE, None))
    manifest = manifests.parse(content)
    if manifest.name != name or version not in ("", manifest.version):
        raise PackageRefused(f"the folder {folder.name} holds {manifest.name}@{manifest.version}")
    check_files(manifest, files)
    session = _session(manifest, files)
    package = Package(
        manifest=manifest,
        sha256=hashlib.sha256(content).hexdigest(),
        trusted_by=trusted_by,
        card=files[CARD].decode(errors="replace"),
        session=session,
        features=_features(manifest, files),
        ensemble=_ensemble(manifest, files, engine),
        classifier=_classifier(manifest, files, engine),
    )
    if isinstance(manifest, Scalar):
        _check_cases(package, manifest, files[CASES])
    return package


def _ensemble(manifest: Manifest, files: Mapping[str, bytes], engine: Engine | None) -> Ensemble | None:
    """The networks of a segmenter, which reproduce their worked cases."""
    if engine is None or not isinstance(manifest, Segmenter):
        return None
    found = ensemble.read(manifest, files, engine)
    ensemble.check_cases(found, files[CASES])
    return found


def _classifier(manifest: Manifest, files: Mapping[str, bytes], engine: Engine | None) -> Classifier | None:
    """The network of an image model, which reproduces its worked cases."""
    if engine is None or not isinstance(manifest, Image):
        return None
    found = classifier.read(manifest.crop, files[MODEL], engine)
    classifier.check_cases(found, files[CASES])
    return found


def _session(manifest: Manifest, files: Mapping[str, bytes]) -> Session | None:
    if not isinstance(manifest, Scalar):
        return None
    onnx_file.check_arithmetic(files[MODEL], LARGEST_ELEMENTS)
    session = Session(files[MODEL])
    _check_ports(manifest, session)
    return session


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file of the folder by name. Raises PackageRefused for links, subfolders, large files, no manifest."""
    files: dict[str, bytes] = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or not path.is_file():
                raise PackageRefused(f"{folder.name} holds {path.name}, which is no ordinary file")
            largest = LARGEST_FOLD if re.fullmatch(r"fold-\w+\.onnx", path.name) else LARGEST_FILE
            if path.stat().st_size > largest:
                raise PackageRefused(f"{folder.name}/{path.name} is larger than {largest} bytes")
            files[path.name] = path.read_bytes()
            if sum(map(len, files.values())) > LARGEST_FOLDER:
                raise PackageRefused(f"{folder.name} is larger than {LARGEST_FOLDER} bytes")
    except OSError as error:
        raise PackageRefused(f"{folder} cannot be read: {error.strerror}") from error
    if MANIFEST not in files:
        raise PackageRefused(f"{folder.name} has no {MANIFEST}")
    return files


def check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """The files beside package.toml are exactly those that it names, byte for byte, and those that its kind has.

    Raises PackageRefused.
    """
    own = _own_files(manifest)
    missing = {*own, *manifest.files} - files.keys()
    if missing:
        raise PackageRefused(f"{manifest.name} lacks {', '.join(sorted(missing))}")
    if ({MODEL, CASES} & files.keys()) - own:
        raise PackageRefused(f"{manifest.name} is of the kind {manifest.kind} and holds a model all the same")
    extra = files.keys() - manifest.files.keys()
    if extra:
        raise PackageRefused(f"{manifest.name} holds {', '.join(sorted(extra))}, which package.toml does not name")
    for name, expected in manifest.files.items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise PackageRefused(f"{manifest.name}/{name} was changed: its SHA-256 is not the one in package.toml")


def _own_files(manifest: Manifest) -> set[str]:
    """The files that a package of this kind has."""
    if isinstance(manifest, Segmenter):
        return {CARD, CASES, ensemble.PLANS, ensemble.DATASET, *manifest.network.folds}
    return {CARD, CASES, MODEL} if isinstance(manifest, Scalar | Image) else {CARD}


def _features(manifest: Manifest, files: Mapping[str, bytes]) -> Signature | None:
    """What the package wants measured. Raises PackageRefused for a file that cannot be used, and for an input by a
    radiomics method that the file does not describe."""
    found = None
    if manifest.features is not None:
        try:
            found = signature.parse(files[manifest.features].decode(), f"{manifest.name}/{manifest.features}")
        except (UnicodeDecodeError, SettingsRefused) as error:
            raise PackageRefused(str(error)) from error
    described = {code.value for code in found.methods()} if found else set()
    for given in manifest.inputs:
        method = given.method if isinstance(given, QuantityInput) else None
        if method is not None and method.value.startswith("RAD-") and method.value not in described:
            raise PackageRefused(
                f"{given.name} is measured by {method.value}, but features has {', '.join(sorted(described)) or 'none'}"
            )
    return found


def _check_ports(manifest: Manifest, session: Session) -> None:
    """One double vector a declared input, by its name, and one double vector of probabilities."""
    vector = ("tensor(double)", (None,))
    wanted = {given.name: vector for given in manifest.inputs}
    found = {port.name: (port.type, port.shape) for port in session.inputs}
    if found != wanted:
        raise PackageRefused(f"model.onnx takes {_ports(session.inputs)}, package.toml declares {list(wanted)}")
    if {port.name: (port.type, port.shape) for port in session.outputs} != {OUTPUT: vector}:
        raise PackageRefused(f"model.onnx gives {_ports(session.outputs)}, not one vector '{OUTPUT}'")


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(f"{port.name} {port.type}{list(port.shape)}" for port in ports) or "nothing"


def _check_cases(package: Package, manifest: Scalar, content: bytes) -> None:
    """Every worked case comes out, and what the manifest states that the graph calculates comes out of it too."""
    try:
        cases = _CASES.validate_python(json.loads(content))
    except (ValidationError, ValueError, RecursionError) as error:
        raise PackageRefused(f"cases.json cannot be read: {error}") from error
    names = {given.name for given in manifest.inputs}
    if not cases or any(case.inputs.keys() != names for case in cases):
        raise PackageRefused(f"cases.json must hold cases that give every input: {', '.join(sorted(names))}")
    if len(cases) > MOST_CASES:
        raise PackageRefused(f"cases.json holds {len(cases)} cases, {MOST_CASES} are allowed")
    answers = package.probabilities([case.inputs for case in cases])
    for case, answer in zip(cases, answers, strict=True):
        if abs(answer - case.probability) > case.tolerance:
            raise WorkedCaseFailed(f"{manifest.name} gives {answer:.6f} for {case.inputs}, {case.probability} expected")
        stated = stated_probability(manifest, case.inputs)
        if stated is not None and abs(answer - stated) > STATED_TOLERANCE:
            said = f"by the numbers in package.toml it is {stated:.9f}"
            raise WorkedCaseFailed(f"{manifest.name} gives {answer:.9f} for {case.inputs}, {said}")


Unusable = tuple[str, PackageRefused | WorkedCaseFailed]
"""What cannot be used, and why."""


@dataclass(frozen=True)
class Loaded:
    """The packages that may run, in the order in which they were enabled.

    ``refused``: packages as enabled, and files of trusted keys. ``passed_over``: folders that are called as a package
    that runs and cannot be used; they keep nothing from running.
    """

    packages: tuple[Package, ...]
    refused: tuple[Unusable, ...]
    passed_over: tuple[Unusable, ...] = ()


def shipped_trust(keys: Sequence[Path] = ()) -> Trust:
    """Trust in what ships with the node and in the public keys of these files. Raises PackageRefused for a bad key."""
    pinned = json.loads(PINNED.read_bytes())
    return Trust({name: frozenset(hashes) for name, hashes in pinned.items()}, tuple(map(read_key, keys)))


def package_folders(folders: Sequence[Path]) -> tuple[Path, ...]:
    """The package folders that ship and those in ``folders`` (each a package itself, or a folder of packages)."""
    found: list[Path] = []
    for folder in (SHIPPED, *folders):
        if (folder / MANIFEST).is_file():
            found.append(folder)
        elif folder.is_dir():
            found += sorted(path for path in folder.iterdir() if (path / MANIFEST).is_file())
    return tuple(found)


def load_packages(
    enabled: Sequence[str], folders: Sequence[Path] = (), keys: Sequence[Path] = (), engine: Engine | None = ENGINE
) -> Loaded:
    """Load what is enabled by ``NAME`` or ``NAME@VERSION`` from what ships and from ``folders``.

    Nothing is raised: a package or a key that cannot be used is in ``refused`` with its reason, and the others run.
    """
    packages: list[Package] = []
    usable: list[Path] = []
    refused: list[Unusable] = []
    passed_over: list[Unusable] = []
    for file in keys:
        try:
            read_key(file)
            usable.append(file)
        except PackageRefused as error:
            refused.append((str(file), error))
    found, trust = package_folders(folders), shipped_trust(usable)
    for wanted in dict.fromkeys(enabled):
        try:
            package, others = _load_wanted(wanted, found, trust, engine)
            packages.append(package)
            passed_over += others
        except (PackageRefused, WorkedCaseFailed) as error:
            refused.append((wanted, error))
    return Loaded(tuple(packages), tuple(refused), tuple(passed_over))


def _load_wanted(
    wanted: str, folders: Sequence[Path], trust: Trust, engine: Engine | None
) -> tuple[Package, list[Unusable]]:
    """The one usable package of this name and version, and the folders of that name that are none.

    Of several versions the name alone is not enough. Raises why not where no folder can be used.
    """
    name, _, version = wanted.partition("@")
    candidates = [folder for folder in folders if folder.name.partition("@")[0] == name]
    if not candidates:
        raise PackageRefused(f"there is no package {name}")
    loaded: list[Package] = []
    unusable: list[Unusable] = []
    for folder in candidates:
        if not version or folder.name in (name, wanted):
            try:
                loaded.append(load(folder, trust, engine))
            except (PackageRefused, WorkedCaseFailed) as error:
                unusable.append((str(folder), error))
    fitting = [package for package in loaded if version in ("", package.manifest.version)]
    if unusable and not fitting:
        raise unusable[0][1]
    if len(fitting) != 1:
        versions = ", ".join(package.manifest.version for package in loaded) or "none"
        raise PackageRefused(
            f"{len(fitting)} packages fit {wanted} (versions found: {versions})", remedy="enable it as NAME@VERSION"
        )
    return fitting[0], unusable
