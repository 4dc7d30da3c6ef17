"""Studies without printed coefficients: the form of each model, its inputs and what a site must do to train it."""

from __future__ import annotations

from her2node.dicom.codes import Uptake
from her2node.models.literature import evidence, features
from her2node.models.literature.declared import IHC, RESEARCH, Declared
from her2node.models.manifest import Candidates, Evidence, Form, Input, Label, Requirement, Shape, Training
from her2node.models.prediction import Level
from her2node.selection.roles import Role

INVERTED = "The paper's model predicts HER2-negative tumours: its label is inverted."
"""Of the paper, never of what is trained, which is the probability of HER2-positive tumours."""
NONE_INVENTED = "The paper's coefficients were not at hand: none are invented."
_NOT_AT_HAND = "Not at hand."
PER_EVENT = 10
"""Events that each coefficient should have in training."""
PREVALENCE = 0.15


def patients_for(coefficients: int) -> int:
    """The fewest patients with ten positives a coefficient at 15 % prevalence."""
    return -(-coefficients * PER_EVENT * 100 // round(PREVALENCE * 100))


def _must(patients: int, model: Shape) -> tuple[str, ...]:
    return (
        f"Collect at least {patients} patients of your own with IHC, and ISH where IHC is 2+; patients with 2+ and no "
        "ISH do not count.",
        f"Train this form ({model}) on them with `her2node train`, all selection inside the folds, and read its "
        "validation.",
        "Sign the package that results with your own key, trust that key, and enable it in place of this form.",
    )


def _form(
    name: str,
    study: str,
    title: str,
    citation: str,
    inputs: tuple[Input, ...],
    requires: tuple[Requirement, ...],
    told: tuple[Evidence, ...],
    *,
    model: Shape = "logistic",
    patients: int | None = None,
    doi: str = "",
    roi_protocol: str = _NOT_AT_HAND,
    candidates: Candidates | None = None,
    clinical: tuple[str, ...] = (),
    label: Label = "her2-positive",
    cautions: tuple[str, ...] = (),
) -> Form:
    enough = patients or patients_for(len(inputs))
    return Form(
        format=1,
        kind="form",
        name=name,
        version="1.0.0",
        level=Level.SITE_TRAINED,
        title=f"{title} ({'studies' if ' and ' in study else 'study'} {study}): a form without weights",
        citation=citation,
        doi=doi,
        intended_use=f"Research: to be trained on a site's own cases; it answers nothing as it is. {RESEARCH}",
        reference_test=IHC,
        roi="needed",
        roi_protocol=roi_protocol,
        inputs=inputs,
        files={},
        evidence=told,
        cautions=(*cautions, NONE_INVENTED),
        requires=requires,
        age_years=features.ADULT,
        training=Training(
            model=model,
            patients=enough,
            must=_must(enough, model),
            label=label,
            candidates=candidates,
            clinical=clinical,
        ),
    )


_TEXTURE: tuple[tuple[Shape, str, str], ...] = (
    (
        "lda-1nn",
        "linear discriminants and the nearest neighbour",
        "A nearest neighbour says yes or no and no probability: here either answer stands for the share of positives "
        "among the training cases that were so called by models which had not seen them, so that it gives two "
        "probabilities and no others.",
    ),
    (
        "nda-ann",
        "non-linear discriminants and a small network",
        "B11's network and how it is trained are not printed: here two hidden units are the non-linear discriminants "
        "and one output the network on them, fitted together with a penalty on the weights (scikit-learn's "
        "MLPClassifier, tanh, L-BFGS, alpha 1).",
    ),
)
_SEVERAL = (
    "Portal minus plain attenuation follows from the two others, so that unpenalised coefficients would be arbitrary: "
    "the paper's plain logistic regression is fitted here with a LASSO penalty."
)
_SEROSA = features.entered("serosal_invasion", "The tumour invades the serosa on CT (1 yes, 0 no)")
_DISTANT = features.entered("distant_metastasis", "There is at least one distant metastasis (1 yes, 0 no)")
_PERSISTENT = features.entered(
    "persistent_enhancement", "The tumour enhances persistently; the node prints its own pattern (1 yes, 0 no)"
)
_T_STAGE = features.entered("ct_t_stage", "T stage on CT, 1 to 4", (1.0, 2.0, 3.0, 4.0))
_UPPER = features.entered("location_cardia_fundus", "The tumour lies in cardia or fundus (1 yes, 0 no)")
_LOWER = features.entered("location_antrum_pylorus", "The tumour lies in antrum or pylorus (1 yes, 0 no)")

CT_FORMS = (
    _form(
        "wangna2020-attenuation",
        "10",
        "Attenuation by phase, corrected to the aorta, and diameter",
        "Wang Na, Wang X, Li W, and colleagues. Cancer Manag Res 2020, PMC7035892.",
        (
            features.attenuation(Role.PLAIN),
            features.attenuation(Role.ARTERIAL),
            features.attenuation(Role.PORTAL),
            features.over_aorta(Role.ARTERIAL),
            features.diameter(Role.PORTAL),
        ),
        (features.ct(Role.PLAIN), features.ct(Role.ARTERIAL), features.ct(Role.PORTAL)),
        (evidence.PORTAL, evidence.CORRECTED),
        doi="10.2147/CMAR.S230138",
        roi_protocol="Drawn by hand along the margin of the lesion in four phases.",
        cautions=(
            "The formula of the corrected attenuation was not at hand: the node takes tumour over aorta.",
            "The diameter in the paper (5.0 and 4.0 cm, p = 0.122) may be that of the specimen.",
        ),
    ),
    _form(
        "zhaojin2020-attenuation",
        "12",
        "Attenuation of plain, portal and equilibrium phase and their differences",
        "Zhao Jin, Chen H, Ding X, Shen K, Yu R. J Practical Oncology (实用肿瘤杂志) 2020;35(3):201-207.",
        (
            features.attenuation(Role.PLAIN),
            features.attenuation(Role.PORTAL),
            features.attenuation(Role.EQUILIBRIUM),
            features.over_plain(Role.PORTAL),
            features.PORTAL_MINUS_ARTERIAL,
            _PERSISTENT,
        ),
        tuple(map(features.ct, (Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM))),
        (evidence.PORTAL, evidence.T_STAGE),
        model="lasso-logistic",
        cautions=(_SEVERAL,),
    ),
    _form(
        "pan-venous-serosa",
        "13",
        "Venous enhancement and serosal invasion",
        "Pan Shengbao (潘圣宝), study 13 of the review.",
        (features.over_plain(Role.PORTAL), _SEROSA, _DISTANT),
        (features.ct(Role.PLAIN), features.ct(Role.PORTAL)),
        (evidence.PORTAL, evidence.T_STAGE),
        cautions=("The paper found venous enhancement and distant metastasis not related; serosal invasion was.",),
    ),
    _form(
        "huang-perfusion",
        "18",
        "Blood volume and Tmax of CT perfusion",
        "Huang Liebin (黄列彬), study 18 of the review: area under the curve 0.880.",
        (features.BLOOD_VOLUME, features.TMAX),
        (Requirement(Role.PERFUSION),),
        (evidence.PERFUSION,),
        cautions=(
            "'Tmax' of the paper is ambiguous (the review calls it the time to peak): the node takes the time of the "
            "residue function's maximum.",
            "The paper's cut-off, a probability of 0.5958 (sensitivity 77.8 %, specificity 95.2 %), belongs to its own "
            "coefficients, which were not at hand.",
        ),
    ),
    *(
        _form(
            f"zhangxiao-texture-{shape.partition('-')[0]}",
            "20",
            f"MaZda-like texture of the plain phase, {words}",
            "Zhang Xiao (张笑), study 20 of the review.",
            (),
            (features.ct(Role.PLAIN),),
            (),
            model=shape,
            patients=patients_for(30),
            candidates=Candidates("mazda-like", (Role.PLAIN,)),
            cautions=(
                "MaZda selects 30 features, ten each by Fisher's coefficient, by classification error and correlation, "
                "and by mutual information; here that is done inside the folds, errors counted by the nearer class "
                "mean, information in eight bins of as many cases.",
                departs,
                "The features are the node's own, after MaZda's definitions.",
            ),
        )
        for shape, words, departs in _TEXTURE
    ),
    _form(
        "wangy-radiomics",
        "21",
        "Radiomics of arterial and portal phase",
        "Wang Y and colleagues, study 21 of the review (132 patients, area under the curve 0.715 to 0.830).",
        (),
        (features.ct(Role.ARTERIAL), features.ct(Role.PORTAL)),
        (),
        model="lasso-logistic",
        patients=patients_for(8),
        label="her2-negative",
        candidates=Candidates("ibsi-c", (Role.ARTERIAL, Role.PORTAL)),
        cautions=(INVERTED,),
    ),
    _form(
        "zhaoh-iodine",
        "22",
        "Iodine of the portal phase and location",
        "Zhao H, Gao J and colleagues, study 22 of the review (area under the curve 0.807 and 0.815).",
        (features.IODINE_PORTAL, features.NORMALIZED_IODINE_PORTAL, _UPPER, _LOWER),
        (Requirement(Role.IODINE, phase=Role.PORTAL),),
        (evidence.IODINE,),
        cautions=("The paper's categories of location were not at hand; body is the reference here.",),
    ),
    _form(
        "wangshuxing2021-radscore",
        "23",
        "Radiomics signature of the portal phase and T stage on CT",
        "Wang Shuxing, Chen Y, Zhang H, Liang Z, Bu J. Front Oncol 2021, PMC8552039.",
        (_T_STAGE,),
        (features.ct(Role.PORTAL),),
        (evidence.T_STAGE, evidence.NODES),
        doi="10.3389/fonc.2021.707686",
        model="nomogram",
        clinical=(_T_STAGE.name,),
        patients=patients_for(8),
        roi_protocol="Segmented by hand; details were not at hand.",
        candidates=Candidates("ibsi-c", (Role.PORTAL,)),
        cautions=(
            "The paper's signature has seven features whose names and weights were not at hand: training chooses its "
            "own.",
            "Areas of 0.946 and 0.903 are printed for 70 and 31 patients; anything above 0.90 needs proof against "
            "leakage.",
        ),
    ),
)

_TOFTS = "standard Tofts model"
MR_FORMS = (
    _form(
        "he2015-adc",
        "24",
        "Mean and lowest ADC of b 0 and 1000",
        "He J, Shi H, Zhou Z and colleagues. BMC Cancer 2015;15, PMC4618135.",
        (features.ADC_0_1000, features.ADC_LOWEST),
        (features.DIFFUSION,),
        (evidence.DIFFUSION,),
        doi="10.1186/s12885-015-1726-7",
        cautions=(
            "Group means are printed (1.211 and 0.984 mean, 1.105 and 0.905 lowest, x 10^-3 mm2/s), without standard "
            "deviation or cut-off: no rule follows.",
        ),
    ),
    _form(
        "wangzheng2019-dce-adc",
        "26 and 27",
        "Tracer kinetics and ADC",
        "Wang Zheng (王铮) 2019 and Wang Jiao (王姣) 2020, studies 26 and 27 of the review.",
        (*(features.kinetic(name) for name in features.KINETICS), features.ADC),
        (features.DCE, features.DIFFUSION),
        (evidence.DIFFUSION,),
        cautions=(f"Which haemodynamic values the papers took was not at hand: here those of the {_TOFTS}.",),
    ),
    _form(
        "zhangxiao2021-dce",
        "28",
        "Histograms of Ktrans, kep and ve",
        "Zhang Xiao (张霄) 2021, study 28 of the review.",
        tuple(features.kinetic(name, statistic) for name in features.KINETICS for statistic in features.STATISTICS),
        (features.DCE,),
        (),
        model="lasso-logistic",
        cautions=(
            f"The paper's tracer model was not at hand: here the {_TOFTS}.",
            "Eighteen inputs need a selection inside the folds; without one 1,200 patients.",
        ),
    ),
)

PET_FORMS = (
    _form(
        "mi-uptake-volume",
        "31",
        "SUVmax, metabolic volume and total glycolysis without signet-ring cell carcinoma",
        "Mi Lili (弭丽丽), study 31 of the review.",
        (
            features.SUVMAX,
            features.metabolic_volume(Uptake.ABOVE_41),
            features.glycolysis(Uptake.ABOVE_41),
            features.SIGNET_RING,
        ),
        (features.PET,),
        (evidence.SUV, evidence.VOLUME),
        patients=patients_for(3),
        cautions=("The threshold that bounds the paper's volume was not at hand: here 41 % of SUVmax.",),
    ),
    _form(
        "chen2016-suvmax",
        "32",
        "SUVmax after Chen",
        "Chen R, Zhou X, Liu J, Huang G. J Nucl Med 2016;57:1040.",
        (features.SUVMAX,),
        (features.PET,),
        (evidence.SUV,),
        doi="10.2967/jnumed.115.171165",
        roi_protocol="Whole body PET/CT; 3.7 MBq/kg, fasting 6 h or more, 1 h of rest, glucose below 140 mg/dl.",
    ),
    _form(
        "park-suvmax",
        "33",
        "SUVmax after Park",
        "Park JS, Jung M and colleagues (124 patients, locally advanced or metastatic).",
        (features.SUVMAX,),
        (features.PET,),
        (evidence.SUV, evidence.VOLUME),
        roi_protocol="Lesions of SUV 2.5 or more, or the 40 % isocontour where SUVmax is 2.5 or less.",
        cautions=(
            "Medians are printed (12.1 and 7.4), no cut-off for HER2 status.",
            "The paper's metabolic volume and glycolysis of the whole body are not among the inputs: the node measures "
            "them in the primary tumour's region alone and adds up no other lesion.",
        ),
    ),
    _form(
        "bai-suvmax",
        "34",
        "SUVmax after Bai",
        "Bai, study 34 of the review.",
        (features.SUVMAX,),
        (features.PET,),
        (evidence.SUV,),
    ),
)

FORMS = tuple(
    Declared(
        form,
        cohort="The paper's cohort serves nothing here: no number of it went into this package.",
        derivation="No number is stated, for none was at hand.",
        limits=f"It answers nothing until a site has trained it on at least {form.training.patients} patients.",
    )
    for form in (*CT_FORMS, *MR_FORMS, *PET_FORMS)
)
"""What must be trained."""
