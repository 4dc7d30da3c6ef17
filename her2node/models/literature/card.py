"""CARD.md after the model-card convention (Mitchell and others, FAT* 2019, 10.1145/3287560.3287596)."""

from __future__ import annotations

from collections.abc import Iterator

from her2node.models.literature.declared import Declared
from her2node.models.literature.evidence import HISTOLOGY
from her2node.models.manifest import Form, Input, Manifest, ReaderInput, Scalar, ScannerInput

_CONTENT = {
    "scalar": "an estimate of the probability that the tumour is HER2-positive, never a HER2 status",
    "measured": "a quantity beside a printed cut-off, and no estimate",
    "form": "nothing until it has been trained: it is a form without weights",
}


def card(declared: Declared) -> str:
    """The card of a declared package."""
    return "\n\n".join(_sections(declared)) + "\n"


def _sections(declared: Declared) -> Iterator[str]:
    manifest = declared.manifest
    yield f"# {manifest.name} {manifest.version}"
    yield f"{manifest.title}. It gives {_CONTENT[manifest.kind]}."
    yield f"## Model details\n\n{_details(manifest)}"
    yield f"## Intended use\n\n{manifest.intended_use} The reference test is tissue: {manifest.reference_test}."
    yield f"## Factors\n\n{_needs(manifest)}\n\n{_inputs(manifest)}"
    yield f"## Metrics\n\n{_metrics(manifest)}"
    yield "## Evaluation data\n\nNone: nobody has evaluated this package on a cohort of its own."
    yield f"## Training data\n\n{declared.cohort}"
    yield f"## Quantitative analyses\n\n{declared.derivation}"
    if isinstance(manifest, Form):
        yield "## What a site must do\n\n" + "\n".join(
            f"{n}. {said}" for n, said in enumerate(manifest.training.must, 1)
        )
    yield f"## Ethical considerations\n\n{_ETHICS}"
    yield f"## Caveats and recommendations\n\n{_caveats(declared)}"
    yield "Made by `python -m her2node.models.literature` from declarations; the same ones give the same bytes."


def _details(manifest: Manifest) -> str:
    doi = f", doi {manifest.doi}" if manifest.doi else ""
    return f"Level `{manifest.level.value}`. Source: {manifest.citation.rstrip('.')}{doi}.{_formula(manifest)}"


def _formula(manifest: Manifest) -> str:
    if isinstance(manifest, Form):
        chosen = manifest.training.candidates
        among = f" among `{chosen.configuration}` features of {', '.join(chosen.roles)}" if chosen else ""
        return f" Form: {manifest.training.model}, label {manifest.training.label}{among}."
    if not isinstance(manifest, Scalar):
        return " No model."
    if manifest.threshold:
        rule = manifest.threshold
        return f" Rule: positive if {rule.input} {rule.positive_if} {rule.cut_off:g}; then Bayes' rule."
    if manifest.logistic:
        terms = " ".join(f"{value:+.4f} {name}" for name, value in manifest.logistic.coefficients.items())
        return f" logit p = {manifest.logistic.intercept:.3f} {terms}."
    return ""


def _needs(manifest: Manifest) -> str:
    series = "; ".join(
        f"a {one.modality} series of role {one.role.value}" + (f" in the {one.phase.value} phase" if one.phase else "")
        for one in manifest.requires
    )
    region = {"needed": "needed", "wanted": "wanted but not used", "none": "not used"}[manifest.roi]
    return f"Needs {series}. A region of the tumour is {region}. The paper's region: {manifest.roi_protocol}"


def _inputs(manifest: Manifest) -> str:
    rows = ["| input | unit | what | where from |", "|---|---|---|---|"]
    for given in manifest.inputs:
        unit = given.unit if given.unit != "1" else "-"
        rows.append(f"| {given.name} | {unit} | {given.meaning} | {_source(given)} |")
    return "\n".join(rows) if manifest.inputs else "Inputs are selected in training."


def _source(given: Input) -> str:
    if isinstance(given, ReaderInput):
        return "entered by a reader"
    if isinstance(given, ScannerInput):
        return "told by the headers"
    parts = [part.meaning for part in (given.code, given.modifier, given.method) if part]
    return f"measured, {given.role.value}: {', '.join(parts)}"


def _metrics(manifest: Manifest) -> str:
    if not isinstance(manifest, Scalar):
        return "None: it gives no estimate."
    output = manifest.output
    return (
        f"Categories: likely from {output.likely:g}, unlikely below {output.unlikely:g}, indeterminate between. "
        f"{output.explanation} They apply to the probability after the prior was put in: prior "
        f"{manifest.prior.positives} of {manifest.prior.positives + manifest.prior.negatives}; another prior shifts "
        "the log odds. Every answer has a 95 % interval."
    )


def _caveats(declared: Declared) -> str:
    manifest = declared.manifest
    said = [
        declared.limits,
        *manifest.cautions,
        *(one.words for one in manifest.evidence),
        *manifest.conflicts,
        HISTOLOGY,
    ]
    return "\n".join(f"- {one}" for one in said)


_ETHICS = (
    "Research software, not a medical device. HER2 decides on treatment, and only tissue tells it: nobody may be given "
    "or refused a test or a treatment on this answer. The cohorts are small, of single centres, mostly East Asian; how "
    "it does in other people is unknown."
)
