"""Convolutional filters as IBSI 2 defines them: an image in, a response map out, features of which are measured after.

``filter_from(table)`` makes a filter from a ``[[filters]]`` table of a configuration file; ``filter.apply(voxels,
spacing_mm)`` gives the response map; ``respond`` gives it where a region is, for less. Pure numpy and scipy. Tags in
brackets are IBSI's. Zwanenburg et al., arXiv 2006.05470 (definitions), Whybra et al., Radiology 2024 (consensus).
"""

from __future__ import annotations

from her2node.quantities.radiomics.filters.gabor import Gabor
from her2node.quantities.radiomics.filters.kernel import Boundary, Pooling
from her2node.quantities.radiomics.filters.linear import LaplacianOfGaussian, Laws, Mean
from her2node.quantities.radiomics.filters.region import respond
from her2node.quantities.radiomics.filters.riesz import Riesz
from her2node.quantities.radiomics.filters.table import Filter, filter_from
from her2node.quantities.radiomics.filters.wavelets import Band, Family, NonSeparableWavelet, SeparableWavelet

__all__ = [
    "Filter",
    "filter_from",
    "respond",
    "Boundary",
    "Pooling",
    "Mean",
    "LaplacianOfGaussian",
    "Laws",
    "Gabor",
    "Family",
    "SeparableWavelet",
    "Band",
    "NonSeparableWavelet",
    "Riesz",
]
