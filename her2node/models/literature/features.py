"""Inputs that packages have in common: what a reader enters, and what the node measures, by its codes."""

from __future__ import annotations

from her2node.dicom.codes import Code, Derivation, Diffusion, DualEnergy, Method, Unit, Uptake, percentile_modifier
from her2node.dicom.codes import Quantity as Concept
from her2node.models.manifest import Limits, QuantityInput, ReaderInput, Requirement
from her2node.selection.roles import Role

YES_NO = (0.0, 1.0)
PLAUSIBLE_HU = Limits(hard=(-200.0, 400.0))
"""A mean attenuation beyond is no tumour with contrast."""

CT_PORTAL = Requirement(Role.PORTAL, slice_thickness_mm=Limits(usual=(0.0, 5.0)))
DIFFUSION = Requirement(Role.DIFFUSION, "MR")
PET = Requirement(Role.PET, "PT")
ADULT = Limits(usual=(18.0, 120.0))


def ct(role: Role) -> Requirement:
    """A CT series of slices up to 5 mm."""
    return Requirement(role, slice_thickness_mm=Limits(usual=(0.0, 5.0)))


def entered(name: str, meaning: str, values: tuple[float, ...] = YES_NO) -> ReaderInput:
    return ReaderInput("reader", name, meaning, values)


def quantity(
    name: str,
    meaning: str,
    role: Role,
    code: Code,
    unit: str,
    modifier: Code | None = None,
    method: Code | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    phase: Role | None = None,
) -> QuantityInput:
    return QuantityInput("quantity", name, meaning, role, code, unit, modifier, method, limits, phase)


HYPERATTENUATION = entered(
    "portal_hyperattenuation", "The primary tumour is hyperattenuating on the portal phase (1 yes, 0 no)"
)
HEPATIC_METASTASIS = entered("hepatic_metastasis", "There is at least one liver metastasis (1 yes, 0 no)")
NODE_METASTASIS = entered("lymph_node_metastasis", "There is lymph node metastasis on CT (1 yes, 0 no)")
SIGNET_RING = ReaderInput(
    "reader",
    "signet_ring",
    "The biopsy shows signet-ring cell carcinoma (1 yes, 0 no); such patients were excluded",
    YES_NO,
    Limits(hard=(0.0, 0.0)),
)


def attenuation(role: Role) -> QuantityInput:
    """Mean attenuation of the tumour in a phase."""
    meaning = f"Mean attenuation of the tumour in the {role} phase"
    unit = Unit.HU.value
    return quantity(f"{role.value}_hu", meaning, role, Concept.ATTENUATION, unit, Derivation.MEAN, limits=PLAUSIBLE_HU)


def over_plain(role: Role) -> QuantityInput:
    """Attenuation of a phase minus that of the plain phase."""
    meaning = f"Mean attenuation in the {role} phase minus that of the plain phase"
    return quantity(f"{role.value}_minus_plain", meaning, role, Concept.ATTENUATION_DIFFERENCE, Unit.HU.value)


def over_aorta(role: Role) -> QuantityInput:
    """Attenuation of the tumour over that of the aorta, same phase, as it is (the node's default of two readings)."""
    meaning = f"Mean attenuation of the tumour over that of the aorta in the {role} phase"
    return quantity(f"{role.value}_to_aorta", meaning, role, Concept.TO_AORTA_RAW, "1")


PORTAL_MINUS_ARTERIAL = quantity(
    "portal_minus_arterial",
    "Mean attenuation in the portal phase minus that of the arterial phase",
    Role.PORTAL,
    Concept.PORTAL_MINUS_ARTERIAL,
    Unit.HU.value,
)


def diameter(role: Role) -> QuantityInput:
    meaning = "Largest distance between two points of the tumour's surface"
    return quantity("diameter", meaning, role, Concept.DIAMETER_3D, "cm", None, Method.MESH)


_COEFFICIENT = "10-3 mm2/s"
ADC = quantity(
    "adc_mean",
    "Mean apparent diffusion coefficient, one exponential fitted to all b-values",
    Role.DIFFUSION,
    Diffusion.ADC,
    _COEFFICIENT,
    Derivation.MEAN,
    Code("ADC-LS-*", "99HER2NODE", "ADC, unweighted log-linear fit of three b-values or more"),
    limits=Limits(hard=(0.0, 4.0)),
)
D = quantity(
    "d_mean",
    "Mean diffusion coefficient of tissue",
    Role.DIFFUSION,
    Diffusion.D,
    _COEFFICIENT,
    Derivation.MEAN,
    Diffusion.IVIM,
    limits=Limits(hard=(0.0, 4.0)),
)
F = quantity("f_mean", "Mean perfusion fraction", Role.DIFFUSION, Diffusion.F, "1", Derivation.MEAN, Diffusion.IVIM)
D_STAR = quantity(
    "d_star_mean",
    "Mean pseudo-diffusion coefficient",
    Role.DIFFUSION,
    Diffusion.D_STAR,
    _COEFFICIENT,
    Derivation.MEAN,
    Diffusion.IVIM,
)
_B_0_1000 = Diffusion.two_point([0.0, 1000.0])
ADC_0_1000 = quantity(
    "adc_mean", "Mean ADC from b 0 and 1000 s/mm2", Role.DIFFUSION, Diffusion.ADC, _COEFFICIENT, Derivation.MEAN,
    _B_0_1000,
)  # fmt: skip
ADC_LOWEST = quantity(
    "adc_min", "Lowest mean ADC of a disc of 50 mm2 in the tumour, b 0 and 1000 s/mm2", Role.DIFFUSION, Diffusion.ADC,
    _COEFFICIENT, Diffusion.LOWEST_DISC, _B_0_1000,
)  # fmt: skip

SUVMAX = quantity(
    "suvmax",
    "Highest uptake of the tumour, by body weight",
    Role.PET,
    Uptake.SUVBW,
    Unit.SUVBW.value,
    Derivation.MAXIMUM,
    Uptake.BY_WEIGHT,
    limits=Limits(hard=(0.0, 100.0)),
)


def metabolic_volume(method: Code) -> QuantityInput:
    return quantity("mtv", f"Metabolic volume: {method.meaning}", Role.PET, Uptake.MTV, "cm3", None, method)


def glycolysis(method: Code) -> QuantityInput:
    return quantity("tlg", f"Total lesion glycolysis: {method.meaning}", Role.PET, Uptake.TLG, "g", None, method)


IODINE_PORTAL = quantity(
    "iodine", "Mean iodine concentration of the tumour in the portal phase", Role.IODINE, DualEnergy.IODINE, "mg/ml",
    Derivation.MEAN, phase=Role.PORTAL,
)  # fmt: skip
NORMALIZED_IODINE_PORTAL = quantity(
    "normalized_iodine", "Iodine of the tumour over that of the aorta in the portal phase", Role.IODINE,
    DualEnergy.NORMALIZED_IODINE, "1", None, DualEnergy.REGION_OF_AORTA, limits=Limits(usual=(0.05, 1.2)),
    phase=Role.PORTAL,
)  # fmt: skip

BLOOD_VOLUME = quantity(
    "blood_volume", "Blood volume of the tumour, of the mean curve", Role.PERFUSION, Concept.BLOOD_VOLUME,
    Unit.VOLUME_SHARE.value, None, Method.DECONVOLUTION,
)  # fmt: skip
TMAX = quantity(
    "tmax", "Time of the residue function's maximum, of the mean curve", Role.PERFUSION, Concept.TMAX, "s", None,
    Method.DECONVOLUTION,
)  # fmt: skip

DCE = Requirement(Role.DCE, "MR")
KINETICS = {
    "ktrans": (Code("126312", "DCM", "Ktrans"), "/min"),
    "kep": (Code("126313", "DCM", "kep"), "/min"),
    "ve": (Code("126314", "DCM", "ve"), "1"),
}
"""Of the standard Tofts model: code and unit by name."""
STATISTICS = {
    "mean": Derivation.MEAN,
    **{f"p{percent}": Derivation.MEDIAN if percent == 50 else percentile_modifier(percent) for percent in
       (10, 25, 50, 75, 90)},
}  # fmt: skip
_TOFTS = Code("126340", "DCM", "Standard Tofts Model")


def kinetic(name: str, statistic: str = "mean") -> QuantityInput:
    """A tracer kinetic parameter of the tumour, voxel by voxel, and one statistic of it."""
    code, unit = KINETICS[name]
    meaning = f"{code.meaning} of the tumour, {statistic} of the voxels, standard Tofts model"
    return quantity(f"{name}_{statistic}", meaning, Role.DCE, code, unit, STATISTICS[statistic], _TOFTS)
