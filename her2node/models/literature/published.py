"""Packages with printed numbers: two reconstructed models, three threshold rules, three cut-offs that are no rules."""

from __future__ import annotations

from dataclasses import dataclass

from her2node.dicom.codes import Uptake
from her2node.models.literature import evidence, features
from her2node.models.literature.declared import CATEGORIES, IHC, RESEARCH, Case, Declared, covariance
from her2node.models.manifest import (
    CutOff,
    Evidence,
    Logistic,
    MeasuredOnly,
    Output,
    Prior,
    QuantityInput,
    Requirement,
    Scalar,
    Threshold,
)
from her2node.models.prediction import Level

_OUTPUT = Output(likely=0.5, unlikely=0.1, explanation=CATEGORIES)
_PRIOR_HINT = "Set packages.prior to your own prevalence, with its source."

_LEE_COUNTS = (69.0, 44.0, 46.0, 22.0)
_LEE = Logistic(
    intercept=-2.959,
    coefficients={"portal_hyperattenuation": 1.5433, "hepatic_metastasis": 1.4884},
    covariance=covariance(-2.959, (1.5433, 1.4884), _LEE_COUNTS),
    covariance_source="from the Fisher information of the printed group counts with 22 patients who have both findings",
)

LEE = Declared(
    Scalar(
        format=1,
        kind="scalar",
        name="lee2017-portal-liver",
        version="1.1.0",
        level=Level.PUBLISHED_RECONSTRUCTED,
        title="HER2 positivity from portal hyperattenuation and liver metastasis (Lee 2017)",
        citation="Lee JS, Kim SH, Im SA, Kim MA, Han JK. Korean J Radiol 2017;18(5):809-820.",
        doi="10.3348/kjr.2017.18.5.809",
        intended_use="Research: estimate of the probability of HER2 positivity in unresectable gastric cancer from "
        f"portal venous CT as read by a radiologist. {RESEARCH}",
        reference_test=IHC,
        roi="wanted",
        roi_protocol="None: a radiologist's reading of the primary tumour and of the liver.",
        inputs=(features.HYPERATTENUATION, features.HEPATIC_METASTASIS),
        files={},
        evidence=(evidence.PORTAL, evidence.IODINE, evidence.LIVER),
        cautions=(
            "The cohort had unresectable gastric cancer (181 patients); the node cannot tell the stage.",
            "The intercept is reconstructed from printed group counts and odds ratios.",
            "The paper's criterion for hyperattenuation (against which tissue) was not at hand: it is the reader's "
            "judgement.",
        ),
        requires=(features.CT_PORTAL,),
        age_years=features.ADULT,
        output=_OUTPUT,
        prior=Prior(32, 149, "Lee 2017, unresectable gastric cancer"),
        logistic=_LEE,
    ),
    cohort="181 patients with unresectable gastric cancer, 32 HER2-positive and 149 negative.",
    derivation="""\
| number | value | where from |
|---|---|---|
| odds ratio, hyperattenuation on portal phase | 4.68, so coefficient ln 4.68 = 1.5433 | printed, p < 0.001 |
| odds ratio, liver metastasis | 4.43, so coefficient ln 4.43 = 1.4884 | printed, p = 0.001 |
| intercept | -2.959 | derived, see below |
| prior | 32 of 181 = 17.7 % | printed |
| covariance | in package.toml | derived, see below |

**The intercept.** The paper prints how many patients of each group had each finding (20 of 32 and 46 of 149; 20 of 32
and 48 of 149). The intercept for which the two-variable model with the printed odds ratios reproduces those counts is
-2.959. With 22 patients who have both findings all three maximum likelihood equations hold to 0.0013 patients; the
neighbouring whole numbers miss by 0.22. So the published model is this one to printing precision.

**The intervals.** With that count all four cells are known (69, 44, 46, 22 patients), and so is the Fisher information.
Its inverse gives standard errors of 0.435 and 0.435 for the coefficients, hence p = 0.0004 and p = 0.0006, which agrees
with the printed p < 0.001 and p = 0.001.""",
    limits="Slices thicker than 5 mm and age below 18 years are flagged (this node's own choice). The cohort is small: "
    "32 positives. With another prior the same findings may fall into another category.",
    cases=tuple(
        Case(
            {"portal_hyperattenuation": x1, "hepatic_metastasis": x2},
            probability,
            "printed odds ratios with the reconstructed intercept, to four digits",
        )
        for x1, x2, probability in ((0.0, 0.0, 0.0493), (1.0, 0.0, 0.1953), (0.0, 1.0, 0.1869), (1.0, 1.0, 0.5182))
    ),
)

_ZHENG_COUNTS = (77.0, 93.0, 153.0, 110.0)
_ZHENG = Logistic(
    intercept=-0.834,
    coefficients={"portal_hyperattenuation": 1.4398, "lymph_node_metastasis": -1.3863},
    covariance=covariance(-0.834, (1.4398, -1.3863), _ZHENG_COUNTS),
    covariance_source="from the Fisher information of group counts whose overlap is itself approximate",
)

ZHENG = Declared(
    Scalar(
        format=1,
        kind="scalar",
        name="zheng-portal-node",
        version="1.0.0",
        level=Level.PUBLISHED_RECONSTRUCTED,
        title="HER2 positivity from portal hyperattenuation and nodal metastasis (Zheng), approximate",
        citation="Zheng H and colleagues. Relationship between CT characteristics and HER2 expression in gastric "
        "cancers (433 patients).",
        intended_use="Research: approximate estimate of the probability of HER2 positivity in gastric cancer from "
        f"portal venous CT as read by a radiologist. {RESEARCH}",
        reference_test=IHC,
        roi="wanted",
        roi_protocol="None: a radiologist's reading of the primary tumour and of the lymph nodes.",
        inputs=(features.HYPERATTENUATION, features.NODE_METASTASIS),
        files={},
        evidence=(evidence.PORTAL, evidence.IODINE, evidence.NODES),
        cautions=(
            "Approximate: the intercept is reconstructed and misses the printed group counts by 0.5 to 0.7 patients, "
            "more than rounding explains, so the real model probably held a third variable.",
            "The cohort was enriched: 30.7 % of its patients were HER2-positive.",
            "The paper's criterion for hyperattenuation (against which tissue) was not at hand: it is the reader's "
            "judgement.",
        ),
        requires=(features.CT_PORTAL,),
        age_years=features.ADULT,
        output=_OUTPUT,
        prior=Prior(133, 300, "Zheng, an enriched cohort"),
        logistic=_ZHENG,
    ),
    cohort="433 patients, 133 HER2-positive and 300 negative (30.7 %, enriched).",
    derivation="""\
| number | value | where from |
|---|---|---|
| odds ratio, hyperattenuation on portal phase | 4.22, so coefficient 1.4398 | printed, p < 0.001 |
| odds ratio, lymph node metastasis | 0.25, so coefficient -1.3863 | printed, p < 0.001 |
| intercept | -0.834 | derived, **approximate** |
| prior | 133 of 433 = 30.7 % | printed |
| covariance | in package.toml | derived, **approximate** |

**The intercept is not exact.** Group shares are printed (hyperattenuation 70.68 and 36.33 %, no or few nodes 63.16
and 28.67 %). No two-variable model with the printed odds ratios reproduces them: the best one misses by 0.5 to 0.7
patients, more than rounding explains, so the real model probably held a third variable (an ill-defined margin). The
printed odds ratio of 4.22 equals the crude one.

**The intervals** come from the Fisher information with 110 patients who have both findings, the whole number that
fits best. They do not cover the error of the reconstruction.""",
    limits="A patient without nodal metastasis is called more probably positive, against most of the literature on "
    "nodal stage. Slices thicker than 5 mm and age below 18 years are flagged (this node's own choice).",
    cases=tuple(
        Case(
            {"portal_hyperattenuation": x1, "lymph_node_metastasis": x2},
            probability,
            "printed odds ratios with the approximate intercept, to four digits",
        )
        for x1, x2, probability in ((0.0, 0.0, 0.3028), (0.0, 1.0, 0.0979), (1.0, 0.0, 0.647), (1.0, 1.0, 0.3142))
    ),
)


@dataclass(frozen=True)
class Paper:
    """Where numbers are printed, and how its patients were examined."""

    citation: str
    doi: str
    requires: Requirement
    roi_protocol: str


def _threshold(
    name: str,
    title: str,
    given: QuantityInput,
    rule: Threshold,
    prior: Prior,
    *,
    paper: Paper,
    use: str,
    told: tuple[Evidence, ...],
    cautions: tuple[str, ...],
) -> Scalar:
    return Scalar(
        format=1,
        kind="scalar",
        name=name,
        version="1.0.0",
        level=Level.PUBLISHED_THRESHOLD,
        title=title,
        citation=paper.citation,
        doi=paper.doi,
        intended_use=f"Research: {use}. {RESEARCH}",
        reference_test=IHC,
        roi="needed",
        roi_protocol=paper.roi_protocol,
        inputs=(given,),
        files={},
        evidence=told,
        cautions=cautions,
        requires=(paper.requires,),
        age_years=features.ADULT,
        output=_OUTPUT,
        prior=prior,
        threshold=rule,
    )


def _after(rule: Threshold, prior: Prior, value: float) -> Case:
    """By Bayes from the printed sensitivity and specificity, written out."""
    share = prior.prevalence
    if (value >= rule.cut_off) == (rule.positive_if == ">="):
        right, wrong = rule.sensitivity * share, (1 - rule.specificity) * (1 - share)
    else:
        right, wrong = (1 - rule.sensitivity) * share, rule.specificity * (1 - share)
    source = "Bayes' rule with the printed sensitivity and specificity at the cohort's prevalence"
    return Case({rule.input: value}, right / (right + wrong), source, 1e-9)


_JI = Paper(
    "Ji C, Zhang Q, and colleagues. Oncotarget 2017;8:49293-49302.",
    "10.18632/oncotarget.17570",
    features.DIFFUSION,
    "A sister paper of the same group: an oval region on the slice with the largest tumour area.",
)
_JI_PRIOR = Prior(10, 43, "Ji 2017; the counts are inferred from the printed shares")
_JI_CAUTIONS = (
    "The b-values of the paper were not at hand; a cut-off of a diffusion coefficient does not carry over between "
    "protocols (Ji's ADC cut-off lies above the mean of He's HER2-positive tumours).",
    "The cohort is small (10 positives, inferred), so the likelihood ratios are wide.",
    _PRIOR_HINT,
)
_JI_COHORT = "53 patients; 10 HER2-positive and 43 negative, inferred from the printed sensitivities and specificities."
_JI_ADC = Threshold("adc_mean", 1.321, ">=", 0.9, 0.651, 9, 28)
_JI_D = Threshold("d_mean", 1.123, ">=", 0.8, 0.721, 8, 31)

JI_ADC = Declared(
    _threshold(
        "ji2017-adc",
        "HER2 positivity by the mean ADC of the tumour (Ji 2017)",
        features.ADC,
        _JI_ADC,
        _JI_PRIOR,
        use="estimate of the probability of HER2 positivity in gastric cancer from diffusion-weighted MR",
        told=(evidence.DIFFUSION,),
        cautions=_JI_CAUTIONS,
        paper=_JI,
    ),
    cohort=_JI_COHORT,
    derivation="""\
| number | value | where from |
|---|---|---|
| cut-off | 1.321 x 10^-3 mm2/s | printed (table 3) |
| sensitivity | 0.900, that is 9 of 10 | printed; the counts are inferred |
| specificity | 0.651, that is 28 of 43 | printed; the counts are inferred |
| area under the curve | 0.733, p = 0.023 | printed |
| at or above means positive | | read from the printed correlation with the score, r = 0.276, p = 0.048 |""",
    limits="The ADC is the node's weighted log-linear fit over all b-values of the examination; an examination of two "
    "b-values is refused.",
    cases=tuple(_after(_JI_ADC, _JI_PRIOR, value) for value in (0.9, 1.3209, 1.321, 1.6)),
)
JI_D = Declared(
    _threshold(
        "ji2017-d",
        "HER2 positivity by the mean diffusion coefficient D of the tumour (Ji 2017)",
        features.D,
        _JI_D,
        _JI_PRIOR,
        use="estimate of the probability of HER2 positivity in gastric cancer from intravoxel incoherent motion MR",
        told=(evidence.DIFFUSION,),
        cautions=_JI_CAUTIONS,
        paper=_JI,
    ),
    cohort=_JI_COHORT,
    derivation="""\
| number | value | where from |
|---|---|---|
| cut-off | 1.123 x 10^-3 mm2/s | printed (table 3) |
| sensitivity | 0.800, that is 8 of 10 | printed; the counts are inferred |
| specificity | 0.721, that is 31 of 43 | printed; the counts are inferred |
| area under the curve | 0.762, p = 0.011 | printed |
| at or above means positive | | read from the printed correlation with the score, r = 0.481, p < 0.001 |""",
    limits="D is that of the bi-exponential fit; examinations whose b-values do not permit it are refused.",
    cases=tuple(_after(_JI_D, _JI_PRIOR, value) for value in (0.8, 1.1229, 1.123, 1.5)),
)

_SUV = Threshold("suvmax", 5.8, ">=", 23 / 28, 23 / 29, 23, 23)
_SUV_PRIOR = Prior(28, 29, "Zhang 2016, whose definition of HER2-positive is loose (49 % positive)")
ZHANG = Declared(
    _threshold(
        "zhangjn2016-suvmax",
        "HER2 positivity by the highest FDG uptake of the tumour (Zhang 2016)",
        features.SUVMAX,
        _SUV,
        _SUV_PRIOR,
        paper=Paper(
            "Zhang Jiannan, Liu Yang, Gao J, and colleagues. World Chinese Journal of Digestology (世界华人消化杂志) "
            "2016;24(15):2312.",
            "",
            features.PET,
            "Not at hand.",
        ),
        use="estimate of the probability of HER2 positivity in gastric cancer from FDG PET",
        told=(evidence.SUV, evidence.VOLUME),
        cautions=(
            "49 % of the cohort counted as HER2-positive, several times what is usual: without packages.prior the "
            "probability is about such a cohort. " + _PRIOR_HINT,
            "Signet-ring cell carcinoma takes up less FDG whatever its HER2 status; the node does not know the "
            "histology.",
            "Uptake of the stomach's wall is not uptake of the tumour: the region must leave it out.",
        ),
    ),
    cohort="57 patients, 28 HER2-positive and 29 negative.",
    derivation="""\
| number | value | where from |
|---|---|---|
| cut-off | SUVmax 5.8 (body weight) | printed |
| sensitivity | 23 of 28 = 82.1 % | printed |
| specificity | 23 of 29 = 79.3 % | the paper prints 79.8 %; 23 of 29 is the nearest fraction |
| area under the curve | 0.83, r = 0.581 | printed |
| means and SD | 8.9357 +- 4.21375 and 4.6448 +- 3.18597 | printed; a binormal curve has an area of 0.79 |""",
    limits="One study found uptake lower in HER2-positive tumours and at least five found no difference.",
    cases=tuple(_after(_SUV, _SUV_PRIOR, value) for value in (2.0, 5.799, 5.8, 12.0)),
)


def _measured(
    name: str,
    title: str,
    given: QuantityInput,
    cut_off: CutOff,
    *,
    paper: Paper,
    told: tuple[Evidence, ...],
) -> MeasuredOnly:
    return MeasuredOnly(
        format=1,
        kind="measured",
        name=name,
        version="1.0.0",
        level=Level.MEASURED_ONLY,
        title=title,
        citation=paper.citation,
        doi=paper.doi,
        intended_use=f"Research: the quantity beside the printed cut-off; no probability follows from it. {RESEARCH}",
        reference_test=IHC,
        roi="needed",
        roi_protocol=paper.roi_protocol,
        inputs=(given,),
        files={},
        evidence=told,
        requires=(paper.requires,),
        age_years=features.ADULT,
        cut_offs=(cut_off,),
    )


_NO_DIRECTION = "The paper prints no direction of effect (not significant), so no estimate follows."
JI_F = Declared(
    _measured(
        "ji2017-f",
        "Perfusion fraction f of the tumour (Ji 2017), measured only",
        features.F,
        CutOff(
            "f_mean",
            0.119,
            f"Printed: area under the curve 0.510, sensitivity 0.800, specificity 0.395. {_NO_DIRECTION}",
        ),
        told=(evidence.PERFUSION_OF_DIFFUSION,),
        paper=_JI,
    ),
    cohort=_JI_COHORT,
    derivation="Cut-off 0.119, sensitivity 0.800, specificity 0.395, area under the curve 0.510: printed (table 3).",
    limits="f depends on the b-values of the examination.",
)
JI_D_STAR = Declared(
    _measured(
        "ji2017-d-star",
        "Pseudo-diffusion coefficient D* of the tumour (Ji 2017), measured only",
        features.D_STAR,
        CutOff(
            "d_star_mean",
            52.352,
            f"Printed: area under the curve 0.670 (p = 0.097), sensitivity 0.500, specificity 0.860. {_NO_DIRECTION}",
        ),
        told=(evidence.PERFUSION_OF_DIFFUSION,),
        paper=_JI,
    ),
    cohort=_JI_COHORT,
    derivation="Cut-off 52.352 x 10^-3 mm2/s, sensitivity 0.500, specificity 0.860, area under the curve 0.670: "
    "printed (table 3).",
    limits="D* is the least certain of the parameters of the bi-exponential model.",
)
PUMC_MTV = Declared(
    _measured(
        "pumc2022-mtv",
        "Metabolic volume of the tumour beside a cut-off of 2022, measured only",
        features.metabolic_volume(Uptake.ABOVE_40),
        CutOff(
            "mtv",
            12.1,
            "Printed: accuracy 62.2 %, HER2-positive tumours smaller (p = 0.043); no sensitivity or specificity, and "
            "the threshold that bounds the volume was not at hand, so no estimate follows.",
        ),
        paper=Paper(
            "A PET study of 2022 (45 patients, 10 HER2-positive and 35 negative), PubMed 36065696.",
            "",
            features.PET,
            "Not at hand.",
        ),
        told=(evidence.VOLUME,),
    ),
    cohort="45 patients, 10 HER2-positive and 35 negative.",
    derivation="Cut-off 12.10 cm3 with an accuracy of 62.2 %: printed. In its multivariable model only differentiation "
    "counted (odds ratio 20.13).",
    limits="The paper's threshold for the volume was not at hand: the node takes 40 % of SUVmax, which may not be the "
    "paper's.",
)

PUBLISHED = (LEE, ZHENG, JI_ADC, JI_D, ZHANG, JI_F, JI_D_STAR, PUMC_MTV)
"""What runs with printed numbers."""
