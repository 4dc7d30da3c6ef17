"""Digital reference objects: whole studies whose truth is known before a voxel is made.

``make(PhantomOptions(...))`` plans a study, ``perfusion.make`` one that contrast flows through,
``diffusion.make`` and ``dce.make`` an MR, ``pet.make`` a PET; ``write`` stores it,
``mishaps`` spoils it on purpose, ``cohort`` makes many with a planted effect. Imports numpy, pydicom and
``her2node.dicom`` only; it may not know how the node selects, reads, measures or reports, so that what it says can be
held against them.
"""

from her2node.phantoms import cohort, ct, dce, diffusion, dual_energy, mishaps, perfusion, pet
from her2node.phantoms.anatomy import Anatomy, Phase, varied
from her2node.phantoms.ct import make
from her2node.phantoms.dual_energy import DualEnergyOptions, IodineUnit
from her2node.phantoms.options import (
    Border,
    CharacterSet,
    Descriptions,
    Form,
    Patient,
    PhantomOptions,
    RoiForm,
)
from her2node.phantoms.study import PhantomStudy, write
from her2node.phantoms.texture import Checker, Grating, RandomField, Texture
from her2node.phantoms.truth import TextureTruth, Truth, TumourTruth

__all__ = [
    "make",
    "ct",
    "dce",
    "diffusion",
    "cohort",
    "dual_energy",
    "mishaps",
    "perfusion",
    "pet",
    "write",
    "PhantomOptions",
    "PhantomStudy",
    "Truth",
    "TumourTruth",
    "TextureTruth",
    "Texture",
    "Checker",
    "Grating",
    "RandomField",
    "Anatomy",
    "varied",
    "Phase",
    "Form",
    "RoiForm",
    "Border",
    "CharacterSet",
    "Descriptions",
    "Patient",
    "DualEnergyOptions",
    "IodineUnit",
]
