"""What a tag means: its feature, aggregation and code, and what PyRadiomics calls it.

IBSI's tags name a feature and the aggregation of its matrices (``cm_joint_max_3D_comb``). ``catalogue(configuration)``
lists those that a configuration asks for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.sr.codedict import codes

from her2node.dicom.codes import Code
from her2node.errors import SettingsRefused
from her2node.quantities.radiomics import histogram, local_intensity, morphology, statistics, texture, volume_histogram
from her2node.quantities.radiomics.configuration import Configuration
from her2node.quantities.radiomics.feature import Feature
from her2node.quantities.radiomics.texture import Aggregation

_AGGREGATIONS = {
    "2D_avg": Code("BTW3", "IBSI", "2D, averaged"),
    "2D_comb": Code("SUJT", "IBSI", "2D, slice-merged"),
    "2_5D_avg": Code("JJUI", "IBSI", "2.5D, direction-merged"),
    "2_5D_comb": Code("ZW7Z", "IBSI", "2.5D, merged"),
    "3D_avg": Code("ITBB", "IBSI", "3D, averaged"),
    "3D_comb": Code("IAZD", "IBSI", "3D, merged"),
    "2D": Code("8QNN", "IBSI", "2D, averaged"),
    "2_5D": Code("62GR", "IBSI", "2.5D, merged"),
    "3D": Code("KOBO", "IBSI", "3D"),
}


@dataclass(frozen=True)
class Name:
    """A tag's feature and, for texture, how its matrices are aggregated."""

    tag: str
    feature: Feature[Any]
    aggregation: Code | None = None

    @property
    def family(self) -> str:
        return self.tag.partition("_")[0]

    @property
    def code(self) -> Code:
        """IBSI's code; the meaning is DICOM's where PS3.16 has the code."""
        return Code(self.feature.code, "IBSI", _meanings().get(self.feature.code, self.feature.name))


@cache
def _meanings() -> dict[str, str]:
    concepts = [getattr(codes.IBSI, keyword) for keyword in codes.IBSI.dir()]
    return {concept.value: concept.meaning for concept in concepts}


@cache
def names() -> dict[str, Name]:
    """Every feature that this engine knows, by tag, in IBSI's order."""
    return {name.tag: name for name in (*_plain(), *_textures())}


def _plain() -> Iterator[Name]:
    for module in (morphology, local_intensity, statistics, histogram, volume_histogram):
        for feature in module.FEATURES:
            yield Name(feature.tag, feature)


def _textures() -> Iterator[Name]:
    for family in texture.FAMILIES.values():
        endings = [a.value if family.directed else a.extent for a in Aggregation]
        for ending in dict.fromkeys(endings):
            for feature in family.features:
                yield Name(f"{feature.tag}_{ending}", feature, _AGGREGATIONS[ending])


def catalogue(configuration: Configuration) -> dict[str, Name]:
    """The features that a configuration asks for. Raises SettingsRefused for a tag that does not exist."""
    if configuration.features:
        return {tag: _known(tag) for tag in configuration.features}
    endings = {ending for a in configuration.aggregations for ending in (a.value, a.extent)}
    return {
        tag: name
        for tag, name in names().items()
        if name.family in configuration.families
        and (name.aggregation is None or tag.removeprefix(f"{name.feature.tag}_") in endings)
    }


def _known(tag: str) -> Name:
    found = names().get(tag)
    if found is None:
        near = difflib.get_close_matches(tag, names(), n=3) or ["morph_volume"]
        raise SettingsRefused(f"there is no feature {tag!r}", remedy=f"did you mean {' or '.join(near)}?")
    return found


_PYRADIOMICS = {
    "morph": (
        "shape",
        "morph_volume MeshVolume, morph_vol_approx VoxelVolume, morph_area_mesh SurfaceArea, "
        "morph_av SurfaceVolumeRatio, morph_comp_1 Compactness1, morph_comp_2 Compactness2, "
        "morph_sph_dispr SphericalDisproportion, morph_sphericity Sphericity, morph_diam Maximum3DDiameter, "
        "morph_pca_maj_axis MajorAxisLength, morph_pca_min_axis MinorAxisLength, "
        "morph_pca_least_axis LeastAxisLength, morph_pca_elongation Elongation, morph_pca_flatness Flatness",
    ),
    "stat": (
        "firstorder",
        "stat_mean Mean, stat_var Variance, stat_skew Skewness, stat_kurt Kurtosis, stat_median Median, "
        "stat_min Minimum, stat_p10 10Percentile, stat_p90 90Percentile, stat_max Maximum, "
        "stat_iqr InterquartileRange, stat_range Range, stat_mad MeanAbsoluteDeviation, "
        "stat_rmad RobustMeanAbsoluteDeviation, stat_energy Energy, stat_rms RootMeanSquared, "
        "ih_entropy Entropy, ih_uniformity Uniformity",
    ),
    "cm": (
        "glcm",
        "cm_joint_max MaximumProbability, cm_joint_avg JointAverage, cm_joint_var SumSquares, "
        "cm_joint_entr JointEntropy, cm_diff_avg DifferenceAverage, cm_diff_var DifferenceVariance, "
        "cm_diff_entr DifferenceEntropy, cm_sum_avg SumAverage, cm_sum_entr SumEntropy, cm_energy JointEnergy, "
        "cm_contrast Contrast, cm_inv_diff Id, cm_inv_diff_norm Idn, cm_inv_diff_mom Idm, "
        "cm_inv_diff_mom_norm Idmn, cm_inv_var InverseVariance, cm_corr Correlation, cm_auto_corr Autocorrelation, "
        "cm_clust_tend ClusterTendency, cm_clust_shade ClusterShade, cm_clust_prom ClusterProminence, "
        "cm_info_corr1 Imc1, cm_info_corr2 Imc2",
    ),
    "rlm": (
        "glrlm",
        "rlm_sre ShortRunEmphasis, rlm_lre LongRunEmphasis, rlm_lgre LowGrayLevelRunEmphasis, "
        "rlm_hgre HighGrayLevelRunEmphasis, rlm_srlge ShortRunLowGrayLevelEmphasis, "
        "rlm_srhge ShortRunHighGrayLevelEmphasis, rlm_lrlge LongRunLowGrayLevelEmphasis, "
        "rlm_lrhge LongRunHighGrayLevelEmphasis, rlm_glnu GrayLevelNonUniformity, "
        "rlm_glnu_norm GrayLevelNonUniformityNormalized, rlm_rlnu RunLengthNonUniformity, "
        "rlm_rlnu_norm RunLengthNonUniformityNormalized, rlm_r_perc RunPercentage, rlm_gl_var GrayLevelVariance, "
        "rlm_rl_var RunVariance, rlm_rl_entr RunEntropy",
    ),
    "szm": (
        "glszm",
        "szm_sze SmallAreaEmphasis, szm_lze LargeAreaEmphasis, szm_lgze LowGrayLevelZoneEmphasis, "
        "szm_hgze HighGrayLevelZoneEmphasis, szm_szlge SmallAreaLowGrayLevelEmphasis, "
        "szm_szhge SmallAreaHighGrayLevelEmphasis, szm_lzlge LargeAreaLowGrayLevelEmphasis, "
        "szm_lzhge LargeAreaHighGrayLevelEmphasis, szm_glnu GrayLevelNonUniformity, "
        "szm_glnu_norm GrayLevelNonUniformityNormalized, szm_zsnu SizeZoneNonUniformity, "
        "szm_zsnu_norm SizeZoneNonUniformityNormalized, szm_z_perc ZonePercentage, szm_gl_var GrayLevelVariance, "
        "szm_zs_var ZoneVariance, szm_zs_entr ZoneEntropy",
    ),
    "ngt": (
        "ngtdm",
        "ngt_coarseness Coarseness, ngt_contrast Contrast, ngt_busyness Busyness, ngt_complexity Complexity, "
        "ngt_strength Strength",
    ),
    "ngl": (
        "gldm",
        "ngl_lde SmallDependenceEmphasis, ngl_hde LargeDependenceEmphasis, ngl_lgce LowGrayLevelEmphasis, "
        "ngl_hgce HighGrayLevelEmphasis, ngl_ldlge SmallDependenceLowGrayLevelEmphasis, "
        "ngl_ldhge SmallDependenceHighGrayLevelEmphasis, ngl_hdlge LargeDependenceLowGrayLevelEmphasis, "
        "ngl_hdhge LargeDependenceHighGrayLevelEmphasis, ngl_glnu GrayLevelNonUniformity, "
        "ngl_dcnu DependenceNonUniformity, ngl_dcnu_norm DependenceNonUniformityNormalized, "
        "ngl_gl_var GrayLevelVariance, ngl_dc_var DependenceVariance, ngl_dc_entr DependenceEntropy",
    ),
}
_ENDINGS = {"cm": "_3D_avg", "rlm": "_3D_avg", "szm": "_3D", "ngt": "_3D", "ngl": "_3D"}
"""PyRadiomics averages directions in space."""


@cache
def pyradiomics() -> dict[str, str]:
    """PyRadiomics' name by tag, of unfiltered images (``original_``).

    The same definition, and on the same voxels, bins and mask the same value as PyRadiomics 3.0.1 to 1e-6; but it does
    not subtract 3 from Kurtosis, and divides by n for its axis lengths. Its bins begin at a multiple of their size.
    """
    found = {}
    for family, (group, listed) in _PYRADIOMICS.items():
        for pair in listed.split(", "):
            tag, name = pair.split()
            found[tag + _ENDINGS.get(family, "")] = f"original_{group}_{name}"
    return found
