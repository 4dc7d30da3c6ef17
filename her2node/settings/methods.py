"""How things are calculated where a site has a choice: a section a method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Provider = Annotated[str, Field(pattern=r"^[A-Za-z]{1,40}ExecutionProvider$")]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Enhancement(Section):
    """Attenuation compared from phase to phase."""

    reference_vein_hu: float | None = Field(
        None, gt=0, description="Correct enhancement across scans to this attenuation of the portal vein; empty: not."
    )


class DualEnergy(Section):
    """Dual-energy CT."""

    decompose: bool = Field(
        False, description="Calculate iodine from two mono-energetic series where there is no iodine map."
    )


class Perfusion(Section):
    """What turns CT perfusion curves into flow; vendors differ, so the values are printed with every result."""

    haematocrit_factor: float = Field(
        1.0, gt=0, le=1.5, description="kH = (1 - Hct large vessels) / (1 - Hct small vessels) on BF and BV; 1: none."
    )
    density_g_ml: float = Field(1.05, gt=0.5, lt=2, description="Density of tissue, for BF and PS per 100 g.")
    haematocrit: float = Field(
        0.0, ge=0, lt=1, description="Haematocrit of large vessels, for PS of plasma; 0: PS of whole blood."
    )
    oscillation_index: float = Field(
        0.035, gt=0, lt=1, description="Roughest residue function that deconvolution believes."
    )
    convolution: Literal["integral", "sum"] = Field(
        "integral",
        description="What deconvolution undoes: the integral that tissue makes, or a sum over samples as curves "
        "that were made by one need.",
    )
    correct_motion: bool = Field(True, description="Shift time points onto each other before curves are taken.")


class Diffusion(Section):
    """How diffusion-weighted MR is fitted; the values are printed with every result."""

    ivim: Literal["variable-projection", "segmented"] = Field(
        "variable-projection",
        description="D, D*, f all at once (variable-projection), or D from high b-values first (segmented).",
    )
    perfusion_gone: float = Field(
        200.0, ge=150, le=1000, description="b-value (s/mm2) from which on perfusion counts as decayed, for D."
    )
    noise_floor: float | None = Field(
        None, ge=0, description="Signal that noise alone reaches; empty: measured in the background, 0: none."
    )


class Pet(Section):
    """FDG PET: between which limits uptake may be compared with published values; printed with every result."""

    glucose_below_mg_dl: float = Field(
        140.0, gt=0, description="Blood glucose (entered by a reader as glucose_mg_dl) from which on uptake is flagged."
    )
    uptake_minutes: tuple[float, float] = Field(
        (55.0, 75.0), description="Earliest and latest start of the scan after injection, in minutes."
    )
    strict: bool = Field(
        False, description="Refuse uptake outside these limits, or where they cannot be judged, instead of flagging it."
    )
    maps: bool = Field(True, description="Give the standardised uptake of each PET series as a parametric map too.")


class Segmenter(Section):
    """What networks run on: those that draw the tumour, and those that look at a crop of it."""

    providers: tuple[Provider, ...] = Field(
        ("CPUExecutionProvider",),
        min_length=1,
        description="onnxruntime's execution providers in order of preference, e.g. CUDAExecutionProvider.",
    )
    threads: int = Field(1, ge=0, le=256, description="CPU threads of a network; 0: one a core.")
    batch: int = Field(
        1, ge=1, le=64, description="Patches or crops that a network sees at a time; more take more memory."
    )
    seconds: float = Field(
        1200.0,
        gt=0,
        le=86400,
        description="Seconds until drawing is given up, and from a reading's start until saliency maps are; well below "
        "jobs.time_limit, of which it is two thirds where that is less and nothing stands here.",
    )


class Dce(Section):
    """What turns the signal of dynamic contrast-enhanced MR into transfer of contrast; printed with every result."""

    model: Literal["tofts", "extended-tofts", "patlak", "2cxm"] = Field(
        "extended-tofts", description="Tracer model of the maps; regions are told by all that are in their regime."
    )
    relaxivity: float = Field(
        0.0, ge=0, lt=50, description="Relaxivity r1 of the agent in /s/mM; 0: by agent and field strength."
    )
    haematocrit: float = Field(
        0.45, ge=0, lt=1, description="Haematocrit of large vessels: plasma is blood / (1 - Hct)."
    )
    t1_s: float = Field(
        1.0, gt=0.05, lt=10, description="T1 of tissue before contrast in s, where no flip angles were acquired."
    )
    blood_t1_s: float = Field(0.0, ge=0, lt=10, description="T1 of blood before contrast in s; 0: by field strength.")
    population_aif: Literal["parker", "georgiou"] = Field(
        "parker", description="Arterial input of a population, where no region of an artery is given."
    )
    correct_motion: bool = Field(True, description="Shift time points onto each other before curves are taken.")
    interval_s: float = Field(
        0.0,
        ge=0,
        lt=600,
        description="Seconds between time points whose headers tell no time but an order; 0: such series are refused.",
    )
