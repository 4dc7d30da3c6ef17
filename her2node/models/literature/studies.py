"""Every study of the review: which package stands for it, and why where none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2node.models.literature.declared import Declared


@dataclass(frozen=True)
class Study:
    """``ref`` is the review's number ('' for a study beside it); ``packages`` by name."""

    ref: str
    study: str
    packages: tuple[str, ...]
    said: str


STUDIES = (
    Study("10", "Wang Na 2020, CT", ("wangna2020-attenuation",), "Coefficients not at hand."),
    Study("12", "Zhao Jin 2020, CT", ("zhaojin2020-attenuation",), "Coefficients not at hand."),
    Study("13", "Pan Shengbao, CT", ("pan-venous-serosa",), "Coefficients not at hand."),
    Study("14", "Liu Yang 2015, CT", (), "The first study of CT and HER2; it prints nothing that could be run."),
    Study("15", "Lee 2017, CT", ("lee2017-portal-liver",), "Odds ratios printed, intercept reconstructed exactly."),
    Study("16", "Zheng, CT", ("zheng-portal-node",), "Odds ratios printed, intercept approximate."),
    Study("17", "a review of CT perfusion", (), "It names parameters and no model of HER2."),
    Study("18", "Huang Liebin, CT perfusion", ("huang-perfusion",), "Cut-off of a probability without coefficients."),
    Study("19", "Li Hui, CT perfusion", (), "A weak correlation, no model."),
    Study(
        "20",
        "Zhang Xiao (张笑), texture",
        ("zhangxiao-texture-lda", "zhangxiao-texture-nda"),
        "The paper's own classifiers need its cases and its weights, neither published; `her2node train` fits both "
        "forms on a site's cases.",
    ),
    Study("21", "Wang Y, radiomics", ("wangy-radiomics",), "Features and weights not at hand."),
    Study("22", "Zhao H, dual-energy CT", ("zhaoh-iodine",), "Coefficients not at hand."),
    Study("23", "Wang Shuxing 2021, radiomics", ("wangshuxing2021-radscore",), "Features and weights not at hand."),
    Study("24", "He 2015, diffusion", ("he2015-adc",), "Group means without spread or cut-off."),
    Study(
        "25",
        "Ji 2017, diffusion",
        ("ji2017-adc", "ji2017-d", "ji2017-f", "ji2017-d-star"),
        "Cut-offs with sensitivity and specificity; f and D* without a direction.",
    ),
    Study("26", "Wang Zheng 2019, DCE and diffusion", ("wangzheng2019-dce-adc",), "Correlations alone."),
    Study("27", "Wang Jiao 2020, DCE and diffusion", ("wangzheng2019-dce-adc",), "Correlations alone."),
    Study("28", "Zhang Xiao (张霄) 2021, DCE", ("zhangxiao2021-dce",), "Coefficients not at hand."),
    Study("29", "FDG PET, no association", (), "It found no association: there is nothing to package."),
    Study("30", "FDG PET, no association", (), "It found no association: there is nothing to package."),
    Study("31", "Mi Lili, FDG PET", ("mi-uptake-volume",), "Group tests alone."),
    Study("32", "Chen 2016, FDG PET", ("chen2016-suvmax",), "Cut-off not at hand."),
    Study("33", "Park, FDG PET", ("park-suvmax",), "Medians without a cut-off for HER2 status."),
    Study("34", "Bai, FDG PET", ("bai-suvmax",), "Nothing but the direction at hand."),
    Study("", "Zhang Jiannan 2016, FDG PET", ("zhangjn2016-suvmax",), "Cut-off with sensitivity and specificity."),
    Study("", "a PET study of 2022", ("pumc2022-mtv",), "Cut-off with an accuracy alone."),
)


def table(declared: Sequence[Declared]) -> str:
    """The table of all studies as Markdown."""
    level = {one.manifest.name: _state(one) for one in declared}
    rows = (
        f"| {study.ref or '-'} | {study.study} | "
        f"{', '.join(f'`{name}` ({level[name]})' for name in study.packages) or 'none'} | {study.said} |"
        for study in STUDIES
    )
    return "\n".join((_HEAD, *rows, ""))


def _state(declared: Declared) -> str:
    return "needs training" if declared.manifest.kind == "form" else declared.manifest.level.value


_HEAD = """\
# The studies of the review, and what stands for each

Made by `python -m her2node.models.literature`. Numbers are those of the review that this node follows.

| study | what | package | why |
|---|---|---|---|"""
