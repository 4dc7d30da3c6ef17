"""The package `synthetic-demo-ct`: a logistic model fitted on digital phantoms, so that the node can be shown working.

Its numbers come from a relation that the phantoms' makers invented (``phantoms.planted``) and say nothing about
patients; the node runs it in demonstration mode only. ``python -m her2node.models.synthetic`` fits it anew and writes
the package; the same phantoms give the same package, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from her2node.models.building import logistic_graph, pin, write_package
from her2node.models.manifest import Logistic
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.package import SHIPPED
from her2node.phantoms import PhantomOptions, cohort

NAME = "synthetic-demo-ct"
FEATURES = ("portal_mean", "arterial_mean", "volume")
UNITS = ("[hnsf'U]", "[hnsf'U]", "ml")
COUNT, SEED = 300, 2
"""Of the cohort. Its patients' seeds are drawn from 32 bits: the demonstration's phantom is not among them."""
MATRIX = 128
"""Rows and columns of the cohort's images."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """The model, and of the cohort: features (patients, 3), labels, and the area under the ROC curve on it."""

    model: Logistic
    features: Doubles
    labels: npt.NDArray[np.bool_]
    auc: float


def fit(count: int = COUNT) -> Fit:
    """Fit on what a perfect outline measures in ``count`` phantoms; coefficients to six significant digits."""
    template = PhantomOptions(rois=(), rows=MATRIX, columns=MATRIX)
    columns = dict(zip(cohort.COLUMNS, cohort.table(count, SEED, template).T, strict=True))
    features = np.column_stack([columns["portal_hu"], columns["arterial_hu"], columns["volume_mm3"] / 1000])
    labels = columns["her2_positive"] == 1
    intercept, *slopes = (float(f"{value:.6g}") for value in maximum_likelihood(features, labels))
    model = Logistic(intercept, dict(zip(FEATURES, slopes, strict=True)))
    return Fit(model, features, labels, area_under_curve(features @ np.array(slopes), labels))


def maximum_likelihood(features: Doubles, labels: npt.NDArray[np.bool_]) -> Doubles:
    """Intercept and slopes of a logistic regression by Newton's method on standardised features, scaling folded in."""
    centre, scale = features.mean(axis=0), features.std(axis=0)
    design = np.column_stack([np.ones(len(features)), (features - centre) / scale])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (labels - probability)
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-12:
            break
    slopes = weights[1:] / scale
    return np.concatenate([[weights[0] - slopes @ centre], slopes])


def area_under_curve(scores: Doubles, labels: npt.NDArray[np.bool_]) -> float:
    """Share of (positive, negative) pairs that the scores order rightly, ties counted half (Mann-Whitney)."""
    positive, negative = scores[labels], scores[~labels]
    above = (positive[:, None] > negative[None, :]).mean()
    equal = (positive[:, None] == negative[None, :]).mean()
    return float(above + equal / 2)


def probability(model: Logistic, features: Doubles) -> Doubles:
    """p = 1 / (1 + exp(-(b0 + sum b_i x_i))), shape (patients,), for features (patients, 3)."""
    return np.asarray(1 / (1 + np.exp(-(model.intercept + features @ np.array(list(model.coefficients.values()))))))


def write(folder: Path) -> None:
    """Fit and write the package into ``folder``."""
    fitted = fit()
    graph = logistic_graph(fitted.model, FEATURES)
    write_package(folder, _manifest(fitted), graph, _cases(fitted), _card(fitted))


def _cases(fitted: Fit) -> list[dict[str, object]]:
    """The first phantoms of the cohort and its corners, by the formula."""
    corners = np.array([fitted.features.min(axis=0), fitted.features.max(axis=0)])
    chosen = np.concatenate([fitted.features[:4], corners])
    return [
        {
            "inputs": dict(zip(FEATURES, map(float, row), strict=True)),
            "probability": float(answer),
            "tolerance": 1e-9,
            "source": "the formula in package.toml, evaluated with numpy",
        }
        for row, answer in zip(chosen, probability(fitted.model, chosen), strict=True)
    ]


def _manifest(fitted: Fit) -> str:
    positives = int(fitted.labels.sum())
    spans = [
        f"[{low:.6g}, {high:.6g}]"
        for low, high in zip(fitted.features.min(axis=0), fitted.features.max(axis=0), strict=True)
    ]
    slopes = ", ".join(f"{name} = {value!r}" for name, value in fitted.model.coefficients.items())
    return _MANIFEST.format(
        count=COUNT,
        seed=SEED,
        spans=spans,
        positives=positives,
        negatives=COUNT - positives,
        intercept=repr(fitted.model.intercept),
        slopes=slopes,
    )


def _card(fitted: Fit) -> str:
    rows = "\n".join(
        f"| {name} | {unit} | {fitted.model.coefficients[name]!r} | {low:.4g} to {high:.4g} |"
        for name, unit, low, high in zip(
            FEATURES, UNITS, fitted.features.min(axis=0), fitted.features.max(axis=0), strict=True
        )
    )
    positives = int(fitted.labels.sum())
    return model_card(
        f"{NAME} 1.0.0",
        {
            "Model details": "A logistic model with weights fitted on digital phantoms, so that the whole way from CT "
            f"to report can be shown. Level `synthetic-demo`. Made by `python -m her2node.models.synthetic`, seed "
            f"{SEED}: maximum likelihood by Newton's method, coefficients rounded to six significant digits.\n\n"
            f"| input | unit | coefficient | range in the cohort |\n|---|---|---|---|\n{rows}\n"
            f"| intercept | | {fitted.model.intercept!r} | |",
            "Intended use": "Demonstration of the software. It says nothing about patients and runs in demonstration "
            "mode only (`demonstration = true`); elsewhere the node refuses it.",
            "Factors": "Needs an arterial and a portal CT series and an ROI of the tumour. Values outside the cohort's "
            "ranges are flagged; a mean attenuation below -200 or above 400 HU is refused.",
            "Metrics": "Area under the ROC curve. Categories: likely from 0.5, unlikely below 0.2, chosen for the "
            f"demonstration. Prior {positives} of {COUNT}; another prior shifts the log odds.",
            "Evaluation data": "None beside the phantoms that it was fitted on.",
            "Training data": f"{COUNT} phantoms (`her2node.phantoms.cohort`, seed {SEED}, images of {MATRIX} x "
            f"{MATRIX}), of which {positives} bear the label 'positive'; features as a perfect outline measures them "
            "in the images.",
            "Quantitative analyses": "Area under the ROC curve on the phantoms that it was fitted on: "
            f"{fitted.auc:.3f}.",
            "Ethical considerations": f"{RESEARCH} It was fitted on nobody's images.",
            "Caveats and recommendations": "The label is drawn from an invented relation between portal and arterial "
            "attenuation (`her2node.phantoms.planted`); volume plays no part in it and is an input so that the "
            "conversion of units is exercised.",
        },
    )


_MANIFEST = """\
# Made by `python -m her2node.models.synthetic`: fitted on digital phantoms, says nothing about patients.
format = 1
kind = "scalar"
name = "synthetic-demo-ct"
version = "1.0.0"
level = "synthetic-demo"
title = "Demonstration on digital phantoms: portal and arterial attenuation, volume"
citation = "None: fitted on digital phantoms (a cohort of {count}, seed {seed}) with an invented relation."
intended_use = "Demonstration of the software on digital phantoms. Its numbers say nothing about patients."
reference_test = "HER2 immunohistochemistry of tissue (0 and 1+ negative, 2+ needs in situ hybridisation, 3+ positive)"
roi = "needed"
cautions = ["Synthetic weights, fitted on digital phantoms: this says nothing about a patient."]

[[requires]]
role = "portal"
modality = "CT"
slice_thickness_mm = {{ usual = [0.0, 5.0] }}
kvp = {{ usual = [100.0, 140.0] }}

[[requires]]
role = "arterial"
modality = "CT"
slice_thickness_mm = {{ usual = [0.0, 5.0] }}
kvp = {{ usual = [100.0, 140.0] }}

[[inputs]]
source = "quantity"
name = "portal_mean"
meaning = "Mean attenuation of the tumour in the portal phase"
role = "portal"
code = {{ value = "112031", scheme = "DCM", meaning = "Attenuation Coefficient" }}
modifier = {{ value = "373098007", scheme = "SCT", meaning = "Mean" }}
unit = "[hnsf'U]"
limits = {{ usual = {spans[0]}, hard = [-200.0, 400.0] }}

[[inputs]]
source = "quantity"
name = "arterial_mean"
meaning = "Mean attenuation of the tumour in the arterial phase"
role = "arterial"
code = {{ value = "112031", scheme = "DCM", meaning = "Attenuation Coefficient" }}
modifier = {{ value = "373098007", scheme = "SCT", meaning = "Mean" }}
unit = "[hnsf'U]"
limits = {{ usual = {spans[1]}, hard = [-200.0, 400.0] }}

[[inputs]]
source = "quantity"
name = "volume"
meaning = "Volume of the tumour by voxel sum on the portal phase"
role = "portal"
code = {{ value = "118565006", scheme = "SCT", meaning = "Volume" }}
unit = "ml"
limits = {{ usual = {spans[2]} }}

[output]
likely = 0.5
unlikely = 0.2
explanation = "Chosen for the demonstration, so that all three categories occur among the phantoms."

[prior]
positives = {positives}
negatives = {negatives}
source = "digital phantoms, a cohort of {count}, seed {seed}"

[logistic]
intercept = {intercept}
coefficients = {{ {slopes} }}
"""

if __name__ == "__main__":
    write(SHIPPED / NAME)
    pin(SHIPPED / NAME)
