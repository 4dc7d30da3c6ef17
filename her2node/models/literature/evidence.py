"""Which way each quantity goes in HER2-positive tumours, study by study. Studies by name, with patients where known."""

from __future__ import annotations

from her2node.models.manifest import Evidence

_ZHAO = "Zhao 2020 (J Practical Oncology 35:201)"
_LEE = "Lee 2017 (181 patients)"
_ZHENG = "Zheng (433 patients)"

PORTAL = Evidence(
    "Portal attenuation and enhancement",
    higher=(_LEE, _ZHENG),
    lower=(f"{_ZHAO}, plain, portal and equilibrium phase and their differences",),
    none=("Pan",),
)
CORRECTED = Evidence(
    "Attenuation corrected to the aorta",
    note="Wang 2020 (460 patients) names it a predictor; the direction was not at hand.",
)
IODINE = Evidence(
    "Iodine",
    lower=("Zhang 2024 (101 patients, iodine map histogram)",),
    note="The summary of Zhang 2024 also says 'positively correlated'. The direction in study 22 was not at hand.",
)
DIFFUSION = Evidence(
    "ADC and D",
    higher=("He 2015 (45 patients)", "Ji 2017 (53 patients)"),
    lower=("Wang Zheng 2019", "Wang Jiao 2020 (Tibetan patients)"),
    note="Ji's ADC cut-off of 1.321 lies above the mean of He's HER2-positive tumours, 1.211: cut-offs do not carry "
    "over between protocols.",
)
PERFUSION_OF_DIFFUSION = Evidence("f and D*", none=("Ji 2017 (53 patients)",))
SUV = Evidence(
    "SUVmax",
    higher=(
        "Park (124 patients, medians 12.1 and 7.4)",
        "Bai",
        "Zhang 2016 (57 patients)",
        "a study of 2022 (69 patients, in adenocarcinoma alone)",
    ),
    lower=("Chen 2016 (64 patients)",),
    none=(
        "studies 29 and 30 of the review",
        "Mi (all histologies)",
        "a Turkish study of 2021 (115 patients)",
        "a study at Yale of 2016",
        "a Spanish study of 2024 (117 patients)",
    ),
)
VOLUME = Evidence(
    "Metabolic volume and total glycolysis",
    lower=("Mi (signet-ring cell carcinoma excluded)", "a study of 2022 (45 patients, volume)"),
    none=("a Turkish study of 2021 (115 patients)",),
)
T_STAGE = Evidence("T stage on CT", higher=("Wang Suya 2025 (263 patients)",), lower=(_ZHAO, "Lee 2017"))
NODES = Evidence(
    "Nodal stage",
    higher=("study 11 of the review", "Pan", "Wang Suya 2025 (263 patients)"),
    lower=(_ZHENG,),
    none=("Wang Shuxing 2021 (101 patients)",),
)
LIVER = Evidence("Liver metastasis", higher=(_LEE,), none=(_ZHENG,))
PERFUSION = Evidence(
    "CT perfusion",
    none=("Li Hui (study 19 of the review: a weak correlation)",),
    note="The direction in Huang (study 18) was not at hand.",
)
HISTOLOGY = (
    "Differentiation may explain much of every association: HER2-positive tumours are more often differentiated (47.6 "
    "against 19.1 % in 460 patients), and differentiation itself moves ADC, iodine and uptake."
)
