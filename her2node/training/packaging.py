"""A fitted model becomes a package: the inputs that it uses, scaling folded in, and those that shut patients out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
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
from her2node.models.wanted import ScannerInput
from her2node.training import patients
from her2node.training.arrays import Cases, Doubles
from her2node.training.certainty import training_set, with_covariance
from her2node.training.cohort import Cohort
from her2node.training.discriminants import Nearest, Network
from her2node.training.findings import Made
from her2node.training.form import Form, kept_features
from her2node.training.graphs import nearest_graph, network_graph
from her2node.training.pipelines import Fitted, Method, Model, apart
from her2node.training.toml_text import toml
from her2node.training.writing import scanner_graph, sign_and_load

RECORD = "training.json"
"""In the package: how it was trained, and digests of studies and patients, by which a cohort is told from them."""
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
    site_key: bytes | None = None,
) -> Path:
    """Write the signed package into ``folder``/NAME and return its folder. ``unseen``: its intervals, where it does not
    know how sure its coefficients are.

    Raises NothingLearned for a model without inputs, PackageRefused for one that cannot be used.
    """
    if not model.kept:
        raise NothingLearned(f"{form.method} keeps none of {len(form.names)} inputs")
    places = asked_of(form, model)
    inputs = tuple(form.inputs[place] for place in places)
    names = _names(inputs)
    kept = model.of_inputs(places)
    values = cohort.cases.values[:, list(places)]
    package = folder / form.name
    package.mkdir(parents=True, exist_ok=True)
    (package / RECORD).write_text(_record(form, cohort, seed, site_key), encoding="utf-8")
    features = kept_features(form, inputs)
    if features:
        (package / FEATURES).write_text(features, encoding="utf-8")
    write_package(
        package,
        toml(
            _manifest(form, cohort, kept, inputs, values, cautions, unseen)
            | ({"features": FEATURES} if features else {})
        ),
        graph(kept, names),
        worked_cases(kept, names, values),
        card,
    )
    sign_and_load(package, private_pem)
    return package


def asked_of(form: Form, model: Fitted) -> tuple[int, ...]:
    """The places of the package's inputs: those that the model uses, and those with a hard limit. A patient beyond it
    was left out of the cohort, and often all others had one value; an answer on such a patient would rest on nobody."""
    gates = (place for place, given in enumerate(form.inputs) if given.limits.hard is not None)
    return tuple(sorted({*model.kept, *gates}))


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
    asked: Sequence[Input],
    values: Doubles,
    cautions: Sequence[str],
    unseen: VennAbers,
) -> dict[str, object]:
    cases, said = cohort.cases, form.said
    inputs = [_with_range(given, column) for given, column in zip(asked, values.T, strict=True)]
    if model.scanners:
        inputs.append(_scanner_input(model.scanners))
    measured = _measured_on(cohort, asked)
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
    stated = _stated(form, cohort, model, asked, values)
    sure = {} if stated is not None and stated.covariance else {"venn_abers": unseen}
    used = list(model.kept)
    seen = training_set([asked[place] for place in used], values[:, used])
    return manifest | {"logistic": stated} | sure | {"training_set": seen}


def _stated(form: Form, cohort: Cohort, model: Fitted, asked: Sequence[Input], values: Doubles) -> Logistic | None:
    """The coefficients of a model that has one row of them, with their covariance where that can be had."""
    if not isinstance(model, Model) or model.scanners:
        return None
    coefficients = logistic(model, _names(asked))
    if form.method is not Method.LOGISTIC or apart(model, replace(cohort.cases, names=_names(asked), values=values)):
        return coefficients
    return _with_certainty(coefficients, model.kept, cohort.cases, values)


def _with_certainty(model: Logistic, used: Sequence[int], cases: Cases, values: Doubles) -> Logistic:
    """The model with its covariance, that of the inputs which it uses; the rows of the others are zero, for nothing of
    the answer hangs on them."""
    names = list(model.coefficients)
    alone = Logistic(model.intercept, {names[place]: model.coefficients[names[place]] for place in used})
    sure = with_covariance(alone, values[:, list(used)], cases.labels, cases.patients)
    if not sure.covariance:
        return model
    found = np.zeros((1 + len(names), 1 + len(names)))
    rows = [0, *(1 + place for place in used)]
    found[np.ix_(rows, rows)] = sure.covariance
    return replace(model, covariance=tuple(map(tuple, found.tolist())), covariance_source=sure.covariance_source)


def _names(inputs: Sequence[Input]) -> tuple[str, ...]:
    return tuple(given.name for given in inputs)


def _with_range(given: Input, column: Doubles) -> Input:
    """The input with the cohort's range as its usual one."""
    if isinstance(given, ReaderInput) and given.values:
        return given
    return replace(given, limits=replace(given.limits, usual=(float(column.min()), float(column.max()))))


def _scanner_input(scanners: Sequence[str]) -> ScannerInput:
    return ScannerInput("scanner", SCANNER, "Scanner that the study was made on", tuple(scanners))


def _measured_on(cohort: Cohort, used: Sequence[Input]) -> set[Played]:
    """The roles whose series the inputs were measured on: a difference of phases needs both, whatever role it has."""
    found = {(given.role, given.phase) for given in used if isinstance(given, QuantityInput)}
    names = set(_names(used))
    for member in cohort.members:
        uids = {uid for one in member.inputs if one.name in names for uid in one.series_uids}
        found |= {played for played, uid in member.findings.where.series_uids.items() if uid in uids}
    return found


def _as_made(form: Form, cohort: Cohort, wanted: Requirement) -> Requirement:
    """The requirement with the cohort's thicknesses and voltages as the usual ones, and where patients were scanned its
    scanners and kernels too.

    Which reconstruction a package gets hangs on its limits of thickness and its kernel, those of its features where it
    has none. So they never go beyond the form's own: of every study of the cohort the series is taken that trained.
    """
    played = (wanted.role, wanted.phase)
    made = [member.findings.made[played] for member in cohort.members if played in member.findings.made]
    wish = form.package.reconstruction(wanted)
    if wanted.reconstruction is None and wish is not None:
        span = wish.slice_mm[0] if wish.slice_mm else None
        wanted = replace(wanted, slice_thickness_mm=Limits(usual=span), usual_kernel=wish.kernel)
    wanted = replace(
        wanted,
        slice_thickness_mm=_within(wanted.slice_thickness_mm, [one.slice_thickness_mm for one in made]),
        kvp=_usual(wanted.kvp, [one.kvp for one in made]),
    )
    if form.level is Level.SYNTHETIC_DEMO:
        return wanted
    return replace(
        wanted,
        usual_kernel=wanted.usual_kernel or _kernels(wanted, made),
        usual_scanner=wanted.usual_scanner or _one_of(one.scanner for one in made),
    )


def _kernels(wanted: Requirement, made: Sequence[Made]) -> str:
    """The cohort's kernels; '' unless every series told one and met the other wishes. Then each meets all wishes, and
    that the package now names kernels gives it no other series than trained."""
    met = wanted.reconstruction.slice_mm if wanted.reconstruction else ()
    thick = [one.slice_thickness_mm for one in made]
    fit = all(one is not None and low <= one <= high for one in thick for low, high in met)
    return _one_of(one.kernel for one in made) if fit and all(one.kernel for one in made) else ""


def _one_of(values: Iterable[str]) -> str:
    """An expression that matches each of the values that are told, and nothing else; '' where none is."""
    told = sorted({value for value in values if value})
    return f"^(?:{'|'.join(map(re.escape, told))})$" if told else ""


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


def _record(form: Form, cohort: Cohort, seed: int, site_key: bytes | None) -> str:
    record: dict[str, object] = {
        "rule": form.rule.value,
        "definition": form.label,
        "form": f"{form.said.name}@{form.said.version}",
        "method": form.method.value,
        "harmonised": form.harmonise,
        "candidates": list(form.names),
        "seed": seed,
        "known_within_days": form.said.training.known_within_days,
        "cases": len(cohort.cases),
        "positives": cohort.cases.positives,
        "excluded": cohort.reasons,
        "studies_sha256": sorted(study_digest(member.findings.study_instance_uid) for member in cohort.members),
    }
    found = [member.findings for member in cohort.members if member.findings.identified]
    whose = {one.patient for one in found}
    if site_key is not None and form.level is Level.SITE_TRAINED and len(whose) > 1:
        record["patients_by"] = patients.name_of(site_key)
        record["patients_hmac"] = patients.digests(
            site_key, [*whose, *(patients.issued(one.unissued) for one in found if one.unissued)]
        )
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def study_digest(study_instance_uid: str) -> str:
    """SHA-256 of a Study Instance UID."""
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()
