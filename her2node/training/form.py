"""What shall be trained: a package of the kind ``form``, as it ships with the node or as a site wrote one.

Candidates, where the form has them, are found among what was measured: every feature of their configuration that hardly
any study lacks, without a look at a label.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from her2node.dicom.codes import Code
from her2node.errors import CohortRefused, PackageRefused, SettingsRefused
from her2node.models import manifest as manifests
from her2node.models.building import sealed
from her2node.models.literature.forms import INVERTED, NONE_INVENTED
from her2node.models.manifest import Input, Output, QuantityInput
from her2node.models.package import MANIFEST, SIGNATURE, Package, read_folder
from her2node.models.predicting import Standing
from her2node.models.prediction import Level
from her2node.quantities import radiomics, signature
from her2node.quantities.quantity import Quantity
from her2node.quantities.signature import MAZDA_LIKE, Signature
from her2node.selection.roles import Role
from her2node.training.findings import Findings
from her2node.training.labels import OF_PHANTOMS, Rule
from her2node.training.pipelines import Method, Plan

CATEGORIES = Output(
    likely=0.5,
    unlikely=0.1,
    explanation="The form names no such thresholds; these are this node's: likely means at least as probable as not, "
    "unlikely means fewer than one in ten.",
)
UPRIGHT = (
    "The form's paper predicts HER2-negative tumours; this package does not: its answer is the probability of "
    "HER2-positive ones."
)
LACKING = 0.1
"""A candidate that a larger share of the studies lacks is none; a study that lacks one of the others is left out."""


@dataclass(frozen=True)
class Form:
    """``said`` is the form's package.toml (SHA-256 ``sha256``), its candidates among the inputs once they are known;
    ``features`` the text of the file by which it is measured. ``name`` and ``version`` are those of the package that
    comes out."""

    said: manifests.Form
    name: str
    version: str
    features: str = ""
    sha256: str = ""
    level: Level = Level.SITE_TRAINED
    """Of the package that comes out."""
    rule: Rule = Rule.GUIDELINE
    """By which tissue results are positive."""

    @property
    def package(self) -> Package:
        """The form as the node reads a study for it; who trusts it plays no part, for nothing of it is run."""
        return Package(self.said, self.sha256, "", "", None, features=self.signature)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.said.inputs

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(given.name for given in self.inputs)

    @property
    def method(self) -> Method:
        return Method(self.said.training.model)

    @property
    def harmonise(self) -> bool:
        return self.said.training.harmonise

    @property
    def output(self) -> Output:
        return self.said.training.output or CATEGORIES

    @property
    def title(self) -> str:
        """Of the package that comes out."""
        on = "a site's own cases" if self.level is Level.SITE_TRAINED else "digital phantoms"
        return f"{self.said.title.removesuffix(': a form without weights')}, trained on {on}"

    @property
    def intended_use(self) -> str:
        """Of the package that comes out."""
        if self.level is Level.SYNTHETIC_DEMO:
            return "Demonstration of the software on digital phantoms. Its numbers say nothing about patients."
        return "Research: estimates for patients like those of the site's cohort. Not for diagnosis or treatment."

    @property
    def label(self) -> str:
        """How the label of the package that comes out is defined."""
        return OF_PHANTOMS if self.level is Level.SYNTHETIC_DEMO else self.rule.definition

    @property
    def reference_test(self) -> str:
        """Of the package that comes out."""
        if self.level is Level.SYNTHETIC_DEMO:
            return f"None: labels are {OF_PHANTOMS}"
        if self.rule is Rule.GUIDELINE:
            return self.said.reference_test
        return f"HER2 immunohistochemistry of tissue; {self.rule.definition}"

    @property
    def roi_protocol(self) -> str:
        """Of the package that comes out: nobody draws the regions of phantoms."""
        return "" if self.level is Level.SYNTHETIC_DEMO else self.said.roi_protocol

    @property
    def cautions(self) -> tuple[str, ...]:
        """The form's own that hold of the package that comes out: an invented relation gives invented coefficients, and
        whatever the paper predicted, what is trained is the probability of HER2-positive tumours."""
        untrue = {INVERTED, NONE_INVENTED} if self.level is Level.SYNTHETIC_DEMO else {INVERTED}
        kept = tuple(caution for caution in self.said.cautions if caution not in untrue)
        return (*kept, UPRIGHT) if self.said.training.label == "her2-negative" else kept

    @property
    def signature(self) -> Signature | None:
        """What must be measured beside what always is."""
        return signature.parse(self.features, self.said.name) if self.features else None

    @property
    def plan(self) -> Plan:
        """How the coefficients come about, by places of inputs."""
        measured = [place for place, given in enumerate(self.inputs) if isinstance(given, QuantityInput)]
        clinical = self.said.training.clinical
        return Plan(
            self.method,
            tuple(place for place, name in enumerate(self.names) if name in clinical),
            tuple(measured) if self.harmonise else (),
        )


def read(folder: Path, result: str = "") -> Form:
    """Read a form. ``result`` is NAME or NAME@VERSION of the package that shall come out, of itself FORM-trained@1.0.0.

    Whether the folder may be trusted is not asked: nothing of it is run, and who trains signs what comes out.
    Raises PackageRefused for a folder that is no form.
    """
    files = read_folder(folder)
    content = files.pop(MANIFEST)
    files.pop(SIGNATURE, None)
    try:
        content = sealed(content, files)
        said = manifests.parse(content)
    except UnicodeDecodeError as error:
        raise PackageRefused(f"package.toml cannot be read: {error}") from error
    if not isinstance(said, manifests.Form):
        raise PackageRefused(f"{folder.name} is of the kind {said.kind}, not a form that can be trained")
    name, _, version = (result or f"{said.name}-trained").partition("@")
    return Form(said, name, version or "1.0.0", _features(said, files), hashlib.sha256(content).hexdigest())


def _features(said: manifests.Form, files: Mapping[str, bytes]) -> str:
    """The text of the form's own features file, or that of what its candidates name. Raises PackageRefused."""
    wanted = said.training.candidates
    try:
        if said.features is not None:
            own = files[said.features].decode()
            found = signature.parse(own, f"{said.name}/{said.features}")
            name = found.radiomics.name if found.radiomics else MAZDA_LIKE
            if wanted is not None and wanted.configuration != name:
                raise PackageRefused(f"{said.name} takes candidates of {wanted.configuration}, its features are {name}")
            return own
        return "" if wanted is None else signature.text_of(wanted.configuration, wanted.roles)
    except (UnicodeDecodeError, SettingsRefused) as error:
        raise PackageRefused(f"{said.name}: {error}") from error


def with_candidates(form: Form, found: Sequence[Findings]) -> Form:
    """The form with the candidates among its inputs: what its features file has measured in the tumour, in its roles,
    in all studies but a tenth of those that the form can be measured in.

    Raises CohortRefused where there is none.
    """
    wanted = form.said.training.candidates
    if wanted is None:
        return form
    tags = _tags(form.signature or Signature())
    told = [one for one in found if isinstance(one.standing, Standing)]
    seen: dict[str, QuantityInput] = {}
    counts: Counter[str] = Counter()
    for one in told:
        of_study = dict(_candidates(one, wanted.roles, tags))
        counts.update(of_study.keys())
        seen = of_study | seen
    kept = tuple(seen[name] for name in sorted(seen) if counts[name] >= (1 - LACKING) * len(told))
    if not kept:
        raise CohortRefused(f"no feature of {wanted.configuration} was measured in nine of ten studies")
    return replace(form, said=replace(form.said, inputs=(*form.said.inputs, *kept)))


_Key = tuple[str, str, str]
"""Values of the codes of a feature: what it is, its aggregation, its method."""


def _key(code: Code, modifier: Code | None, method: Code | None) -> _Key:
    return code.value, modifier.value if modifier else "", method.value if method else ""


def radiomics_of(wanted: Signature) -> dict[str, tuple[Code, Code | None, Code]]:
    """The radiomics that a signature wants, by tag (of a filtered image FILTER_TAG): what, its aggregation, how."""
    configuration = wanted.radiomics
    if configuration is None:
        return {}
    parts = [("", configuration.method, configuration)]
    parts += [(f"{one.name}_", configuration.method_of(one), configuration.of_response(one))
              for one in configuration.filters]  # fmt: skip
    return {
        f"{start}{tag}": (name.code, name.aggregation, method)
        for start, method, alike in parts
        for tag, name in radiomics.catalogue(alike).items()
    }


def _tags(wanted: Signature) -> dict[_Key, str]:
    return {_key(*codes): tag for tag, codes in radiomics_of(wanted).items()}


def _candidates(
    found: Findings, roles: Sequence[Role], tags: Mapping[_Key, str]
) -> Iterator[tuple[str, QuantityInput]]:
    where = found.where
    for quantity in found.quantities:
        name = tags.get(_key(quantity.code, quantity.modifier, quantity.method)) or _mazda(quantity)
        if name is None or quantity.role is None or quantity.role not in roles:
            continue
        if where.series_uids.get((quantity.role, None)) not in quantity.series_uids:
            continue
        if not where.passed_over.isdisjoint(quantity.series_uids):
            continue
        full = re.sub(r"[^a-z0-9]+", "_", f"{quantity.role.value}_{name}".lower()).strip("_")
        if len(full) > 64:
            full = f"{full[:55]}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"
        yield (
            full,
            QuantityInput(
                source="quantity",
                name=full,
                meaning=f"{quantity.code.meaning} ({name}), {quantity.role}",
                role=quantity.role,
                code=quantity.code,
                unit=quantity.unit.value,
                modifier=quantity.modifier,
                method=quantity.method,
            ),
        )


def _mazda(quantity: Quantity) -> str | None:
    method = quantity.method
    return quantity.code.value if method is not None and method.value.startswith("MAZDA-LIKE") else None


def kept_features(form: Form, inputs: Sequence[Input]) -> str:
    """The text of the features file that a package with these ``inputs`` needs; '' where it needs none.

    Of a configuration that ships only the wanted features are named, so that the node measures no others.
    """
    wanted = form.signature
    measured = [given for given in inputs if isinstance(given, QuantityInput)]
    tags = _tags(wanted) if wanted else {}
    keys = {_key(given.code, given.modifier, given.method) for given in measured}
    texture = any(given.method and given.method.value.startswith("MAZDA-LIKE") for given in measured)
    if not texture and not keys & tags.keys():
        return ""
    if "features" in tomllib.loads(form.features) or form.said.features is not None or not keys & tags.keys():
        return form.features
    named = ", ".join(f'"{tag}"' for key, tag in tags.items() if key in keys)
    return f"features = [{named}]\n{form.features}"
