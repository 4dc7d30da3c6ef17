"""The roles that a series can play."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a series is to the methods."""

    PLAIN = "plain"
    """CT before contrast."""
    ARTERIAL = "arterial"
    """CT in the arterial phase."""
    PORTAL = "portal"
    """CT in the portal venous phase."""
    EQUILIBRIUM = "equilibrium"
    """CT in the equilibrium (delayed) phase."""
    CONTRAST_UNSPECIFIED = "contrast-unspecified"
    """CT with contrast whose phase nothing tells: measured, but no package that needs a phase gets it."""
    IODINE = "iodine"
    """Iodine concentration of a dual-energy CT, voxel by voxel."""
    MONOENERGETIC = "monoenergetic"
    """CT as at a single photon energy, calculated by the scanner from a dual-energy scan; in HU."""
    EFFECTIVE_Z = "effective-z"
    """Effective atomic number of a dual-energy CT, voxel by voxel."""
    PERFUSION = "perfusion"
    """CT of many time points at the same places while contrast passes."""
    DIFFUSION = "diffusion"
    """MR weighted by diffusion: one b-value or several."""
    ADC_MAP = "adc-map"
    """Apparent diffusion coefficients, calculated by the scanner."""
    DCE = "dce"
    """MR of many time points at the same places while contrast passes."""
    FLIP_ANGLES = "flip-angles"
    """MR of a slab at one of several flip angles, or at all of them: for T1 before contrast."""
    PET = "pet"
    """PET corrected for attenuation: FDG uptake."""
    PET_OTHER_TRACER = "pet-other-tracer"
    """PET of another tracer than FDG: its uptake is measured, but no package that needs FDG gets it."""
    REGISTRATION = "registration"
    """How frames of reference lie to each other: Spatial Registration, rigid or deformable."""
    ROI = "roi"
    """Given regions of interest: SEG or RTSTRUCT."""
