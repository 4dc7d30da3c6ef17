"""A fitted model becomes a package: only the inputs that it uses, scaling folded in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

import her2node
from her2node.errors import NothingLearned
from her2node.models.applicability import Played
from her2node.models.building import logistic_graph, write_package
from her2node.models.manifest import (
    SCANNER,
    Input,
    Limits,
    Logistic,
    Prior,
    QuantityInput,
    ReaderInput,
    Requirement,
)
from her2node.models.prediction import Level
from her2node.models.venn_abers import VennAbers
from her2node.training.arrays import Doubles
from her2node.training.certainty import training_set, with_covariance
from her2node.training.cohort import Cohort
from her2node.training.discriminants import Nearest, Network
from her2node.training.form import Form, kept_features
from her2node.training.graphs import nearest_graph, network_graph
from her2node.training.pipelines import Fitted, Method, Model, apart
from her2node.training.writing import scanner_graph, sign_and_load, toml

RECORD = "training.json"
"""In the package: how it was trained, and digests of the studies, by which an external cohort is told from them."""
FEATURES = "features.toml"
"""In the package: what the node measures for it beside what it always does."""
_TOLERANCE = 1e-9


def write(
    folder: Path,
    form: Form,
    cohort: Cohort,
    model: Fitted,
    private_pem: bytes,
    seed: int,
    cautions: Sequence[str],
    card: str,
    unseen: VennAbers,
) -> Path:
    """Write the signed package into ``folder``/NAME and return its folder. ``unseen``: its intervals, where it does not
    know how sure its coefficients are.

    Raises NothingLearned for a model without inputs, PackageRefused for one that cannot be used.
    """
    if not model.kept:
        raise NothingLearned(f"{form.method} keeps none of {len(form.names)} inputs")
    used = tuple(form.inputs[place] for place in model.kept)
    names = _names(used)
    kept = model.alone()
    values = cohort.cases.values[:, list(model.kept)]
    package = folder / form.name
    package.mkdir(parents=True, exist_ok=True)
    (package / RECORD).write_text(_record(form, cohort, seed), encoding="utf-8")
    features = kept_features(form, used)
    if features:
        (package / FEATURES).write_text(features, encoding="utf-8")
    write_package(
        package,
        toml(
            _manifest(form, cohort, kept, used, values, cautions, unseen) | ({"features": FEATURES} if features else {})
        ),
        graph(kept, names),
        worked_cases(kept, names, values),
        card,
    )
    sign_and_load(package, private_pem)
    return package


def graph(model: Fitted, names: Sequence[str]) -> bytes:
    """ONNX bytes of a model of these inputs, in double precision."""
    if isinstance(model, Nearest):
        return nearest_graph(model, names)
    if isinstance(model, Network):
        return network_graph(model, names)
    if model.scanners:
        return scanner_graph(model, names)
    return logistic_graph(logistic(model, names), names)


def logistic(model: Model, names: Sequence[str]) -> Logistic:
    """The coefficients of a model without scanners."""
    return Logistic(float(model.intercepts[0]), dict(zip(names, model.slopes[0].tolist(), strict=True)))


def worked_cases(model: Fitted, names: Sequence[str], values: Doubles) -> list[dict[str, object]]:
    """Steps across the range of each input, no patient among them, with what numpy says of them."""
    low, high = values.min(axis=0), values.max(axis=0)
    shown = low + np.array([0.05, 0.275, 0.5, 0.725, 0.95])[:, None] * (high - low)
    found: list[dict[str, object]] = []
    for place, scanner in enumerate(model.scanners or ("",)):
        answers = expit(model.log_odds(shown, [scanner] * len(shown)))
        for row, answer in zip(shown.tolist(), answers.tolist(), strict=True):
            inputs = dict(zip(names, row, strict=True)) | ({SCANNER: float(place)} if model.scanners else {})
            said = "steps across the range of the cohort, evaluated with numpy"
            found.append({"inputs": inputs, "probability": answer, "tolerance": _TOLERANCE, "source": said})
    return found


def _manifest(
    form: Form,
    cohort: Cohort,
    model: Fitted,
    used: Sequence[Input],
    values: Doubles,
    cautions: Sequence[str],
    unseen: VennAbers,
) -> dict[str, object]:
    cases, said = cohort.cases, form.said
    inputs = [_with_range(given, column) for given, column in zip(used, values.T, strict=True)]
    if model.scanners:
        inputs.append(_scanner_input(model.scanners))
    measured = _measured_on(cohort, used)
    requires = [_as_made(form, cohort, wanted) for wanted in said.requires if (wanted.role, wanted.phase) in measured]
    counted = f"{len(cases)} studies of {len(set(cases.patients))} patients"
    after = f"Form after: {said.citation}{f' doi:{said.doi}' if said.doi else ''} Not its coefficients."
    whose = "of the site" if form.level is Level.SITE_TRAINED else "that are digital phantoms"
    manifest: dict[str, object] = {
        "format": 1,
        "kind": "scalar",
        "name": form.name,
        "version": form.version,
        "level": form.level,
        "title": form.title,
        "citation": f"None: {form.method} trained on {counted} {whose} by her2node {her2node.__version__}. {after}",
        "intended_use": form.intended_use,
        "reference_test": form.reference_test,
        "roi": "needed" if measured else "none",
        "roi_protocol": form.roi_protocol if measured else "",
        "evidence": said.evidence,
        "conflicts": said.conflicts,
        "cautions": (*form.cautions, *cautions),
        "age_years": _usual(said.age_years, [member.findings.age_years for member in cohort.members]),
        "requires": requires,
        "inputs": inputs,
        "output": form.output,
        "prior": Prior(cases.positives, cases.negatives, f"the training cohort; {form.label}"),
    }
    stated = _stated(form, cohort, model, used, values)
    sure = {} if stated is not None and stated.covariance else {"venn_abers": unseen}
    return manifest | {"logistic": stated} | sure | {"training_set": training_set(used, values)}


def _stated(form: Form, cohort: Cohort, model: Fitted, used: Sequence[Input], values: Doubles) -> Logistic | None:
    """The coefficients of a model that has one row of them, with their covariance where that can be had."""
    if not isinstance(model, Model) or model.scanners:
        return None
    cases, names = cohort.cases, _names(used)
    coefficients = logistic(model, names)
    if form.method is not Method.LOGISTIC or apart(model, replace(cases, names=names, values=values)):
        return coefficients
    return with_covariance(coefficients, values, cases.labels, cases.patients)


def _names(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(given.name for given in inputs)


def _with_range(given: Input, column: Doubles) -> Input:
    """The input with the cohort's range as its usual one."""
    if isinstance(given, ReaderInput) and given.values:
        return given
    return replace(given, limits=replace(given.limits, usual=(float(column.min()), float(column.max()))))


def _scanner_input(scanners: Sequence[str]) -> ReaderInput:
    listed = ", ".join(f"{place}: {name}" for place, name in enumerate(scanners))
    return ReaderInput(
        source="reader",
        name=SCANNER,
        meaning=f"Scanner that the study was made on ({listed})",
        values=tuple(float(place) for place in range(len(scanners))),
    )


def _measured_on(cohort: Cohort, used: Sequence[Input]) -> set[Played]:
    """The roles whose series the inputs were measured on: a difference of phases needs both, whatever role it has."""
    found = {(given.role, given.phase) for given in used if isinstance(given, QuantityInput)}
    names = set(_names(used))
    for member in cohort.members:
        uids = {uid for one in member.inputs if one.name in names for uid in one.series_uids}
        found |= {played for played, uid in member.findings.where.series_uids.items() if uid in uids}
    return found


def _as_made(form: Form, cohort: Cohort, wanted: Requirement) -> Requirement:
    """The requirement with the cohort's thicknesses and voltages as the usual ones.

    Which reconstruction a package gets hangs on its limits of thickness and its kernel, those of its features where it
    has none. So they never go beyond the form's own: of every study of the cohort the series is taken that trained.
    """
    played = (wanted.role, wanted.phase)
    made = [member.findings.made[played] for member in cohort.members if played in member.findings.made]
    wish = form.package.reconstruction(wanted)
    if wanted.reconstruction is None and wish is not None:
        span = wish.slice_mm[0] if wish.slice_mm else None
        wanted = replace(wanted, slice_thickness_mm=Limits(usual=span), usual_kernel=wish.kernel)
    return replace(
        wanted,
        slice_thickness_mm=_within(wanted.slice_thickness_mm, [one.slice_thickness_mm for one in made]),
        kvp=_usual(wanted.kvp, [one.kvp for one in made]),
    )


def _within(said: Limits | None, seen: Sequence[float | None]) -> Limits | None:
    """As ``_usual``, but no wider than the usual range that was said; that one where nothing seen lies in it."""
    found = _usual(said, seen)
    if said is None or said.usual is None or found is None or found.usual is None:
        return found
    low, high = max(said.usual[0], found.usual[0]), min(said.usual[1], found.usual[1])
    return replace(said, usual=(low, high)) if low <= high else said


def _usual(said: Limits | None, seen: Sequence[float | None]) -> Limits | None:
    """The limits with the range of what was seen as the usual one, where anything was."""
    known = [value for value in seen if value is not None]
    if not known:
        return said
    return replace(said or Limits(), usual=(min(known), max(known)))


def _record(form: Form, cohort: Cohort, seed: int) -> str:
    record = {
        "definition": form.label,
        "form": f"{form.said.name}@{form.said.version}",
        "method": form.method.value,
        "harmonised": form.harmonise,
        "candidates": list(form.names),
        "seed": seed,
        "cases": len(cohort.cases),
        "positives": cohort.cases.positives,
        "excluded": cohort.reasons,
        "studies_sha256": sorted(study_digest(member.findings.study_instance_uid) for member in cohort.members),
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def study_digest(study_instance_uid: str) -> str:
    """SHA-256 of a Study Instance UID."""
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()
