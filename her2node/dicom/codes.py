"""The codes that the node speaks: quantities, units, derivations, methods, findings.

Sources: DICOM PS3.16 context groups as pydicom carries them; IBSI tags; UCUM as DICOM writes it; and the private
scheme 99HER2NODE for what no public scheme names. An estimate of HER-2 positivity is never coded with a concept of a
tissue test: LOINC 48676-1 and the NCIt HER2 codes name laboratory results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

PRIVATE_SCHEME = "99HER2NODE"
PRIVATE_SCHEME_NAME = "her2node private codes"


@dataclass(frozen=True)
class Code:
    """A coded concept: CodeValue, CodingSchemeDesignator, CodeMeaning (PS3.3 section 8)."""

    value: str
    scheme: str
    meaning: str

    def as_json(self) -> dict[str, str]:
        return {"value": self.value, "scheme": self.scheme, "meaning": self.meaning}


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


class Unit:
    """UCUM units as DICOM writes them."""

    HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
    MM = Code("mm", "UCUM", "millimeter")
    MM2 = Code("mm2", "UCUM", "square millimeter")
    MM3 = Code("mm3", "UCUM", "cubic millimeter")
    SECOND = Code("s", "UCUM", "second")
    FLOW = Code("ml/[100]g/min", "UCUM", "milliliter per 100 gram per minute")
    VOLUME_SHARE = Code("ml/[100]ml", "UCUM", "milliliter per 100 milliliter")
    ONE = Code("1", "UCUM", "no units")
    HU2 = Code("[hnsf'U]2", "UCUM", "square Hounsfield unit")
    MG_PER_ML = Code("mg/ml", "UCUM", "milligram per milliliter")
    UM2_PER_S = Code("um2/s", "UCUM", "square micrometer per second")
    ARBITRARY = Code("[arb'U]", "UCUM", "arbitrary unit")
    SUVBW = Code("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight")
    SUVLBM_JANMAHASATIAN = Code("g/ml{SUVlbm(Janma)}", "UCUM", "Standardized Uptake Value lean body mass (Janma)")
    SUVLBM_JAMES128 = Code(
        "g/ml{SUVlbm(James128)}", "UCUM", "Standardized Uptake Value lean body mass (James 128 multiplier)"
    )
    SUVBSA = Code("cm2/ml{SUVbsa}", "UCUM", "Standardized Uptake Value body surface area")
    ML = Code("ml", "UCUM", "milliliter")
    ML_PER_PERCENT = Code("ml/%", "UCUM", "milliliter per percent")
    GRAM = Code("g", "UCUM", "gram")
    MINUTE = Code("min", "UCUM", "minute")
    MG_PER_DL = Code("mg/dl", "UCUM", "milligram per deciliter")
    PER_MINUTE = Code("/min", "UCUM", "/min")
    MMOL_S_PER_L = Code("mmol.s/l", "UCUM", "millimole second per liter")
    MILLISECOND = Code("ms", "UCUM", "millisecond")


class Quantity:
    """What is measured."""

    ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
    ATTENUATION_DIFFERENCE = Code("442707000", "SCT", "Difference in attenuation")
    VOLUME = Code("118565006", "SCT", "Volume")
    MESH_VOLUME = Code("RNU0", "IBSI", "Volume of Mesh")
    DIAMETER_3D = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
    LONG_AXIS = Code("103339001", "SCT", "Long axis")
    SHORT_AXIS = Code("103340004", "SCT", "Short axis")
    DIAMETER = Code("81827009", "SCT", "Diameter")
    PORTAL_MINUS_ARTERIAL = _private("CTP-A", "Portal minus arterial attenuation")
    TO_AORTA_RAW = _private("CCAV-RAW", "Lesion to aorta attenuation ratio")
    TO_AORTA_ENHANCEMENT = _private("CCAV-ENH", "Lesion to aorta enhancement ratio")
    AORTA_ATTENUATION = _private("REF-AORTA", "Attenuation of the aorta, reference region")
    PORTAL_VEIN_ATTENUATION = _private("REF-PV", "Attenuation of the main portal vein, reference region")
    DISPLACEMENT = _private("SHIFT", "Displacement of the region since the reference phase")
    VOXELS_WITHOUT_IMAGE = _private("VOX-NOIMG", "Voxels of the region without image")
    BLOOD_FLOW = Code("126390", "DCM", "Absolute Regional Blood Flow")
    BLOOD_VOLUME = Code("126391", "DCM", "Absolute Regional Blood Volume")
    MEAN_TRANSIT_TIME = Code("113052", "DCM", "Mean Transit Time")
    TIME_TO_PEAK = Code("113069", "DCM", "Time To Peak")
    TMAX = Code("113084", "DCM", "Tmax")
    PERMEABILITY = _private("PS", "Permeability surface area product")
    PEAK_ENHANCEMENT = _private("PE", "Peak enhancement over baseline")
    LARGEST_SHIFT = _private("MOTION-MAX", "Largest shift between time points")
    PROBABILITY = _private("P-HER2POS", "Estimated probability of HER2 positivity")


class Uptake:
    """PET (CID 7466, 85; units as UCUM spells them in DICOM)."""

    SUVBW = Code("126401", "DCM", "SUVbw")
    SUVLBM_JANMAHASATIAN = Code("126405", "DCM", "SUVlbm(Janma)")
    SUVLBM_JAMES128 = Code("126406", "DCM", "SUVlbm(James128)")
    SUVBSA = Code("126403", "DCM", "SUVbsa")
    MTV = Code("126032", "DCM", "Metabolic Volume")
    TLG = Code("126033", "DCM", "Total Lesion Glycolysis")
    HETEROGENEITY = _private("SUV-HI", "Heterogeneity index: fall of metabolic volume with its threshold")
    UPTAKE_TIME = _private("UPTAKE-TIME", "Time from injection to the first acquisition")
    GLUCOSE = _private("GLUCOSE", "Blood glucose before the injection of FDG, as entered")
    SIGNET_RING = Code("87737001", "SCT", "Signet ring cell carcinoma")
    MUCINOUS = Code("72495009", "SCT", "Mucinous adenocarcinoma")
    PEAK = Code("126031", "DCM", "Peak Value Within ROI")
    BY_WEIGHT = Code("126410", "DCM", "SUV body weight calculation method")
    BY_LEAN_JANMAHASATIAN = Code("126414", "DCM", "SUV lean body mass calculation Janmahasatian method")
    BY_LEAN_JAMES128 = Code("126415", "DCM", "SUV lean body mass calculation method using 128 multiplier")
    BY_SURFACE = Code("126412", "DCM", "SUV body surface area calculation method")
    ABOVE_41 = _private("MTV-41PCT", "Voxels of at least 41 % of SUVmax")
    ABOVE_40 = _private("MTV-40PCT", "Voxels of at least 40 % of SUVmax")
    ABOVE_FIXED = _private("MTV-SUV2.5", "Voxels of at least SUVbw 2.5")
    ABOVE_PERCIST = _private("MTV-PERCIST", "Voxels above 1.5 x liver SULmean + 2 SD (PERCIST)")
    SLOPE = _private("HI-40-80", "Slope of volume on thresholds of 40, 50, ... 80 % of SUVmax")


class Answer:
    """What a reader answered (CID 231)."""

    YES = Code("373066001", "SCT", "Yes")
    NO = Code("373067005", "SCT", "No")


class Derivation:
    """How a single value was had from many (CID 7464)."""

    MEAN = Code("373098007", "SCT", "Mean")
    STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
    MINIMUM = Code("255605001", "SCT", "Minimum")
    MAXIMUM = Code("56851009", "SCT", "Maximum")
    MEDIAN = Code("373099004", "SCT", "Median")


class Method:
    """By which method."""

    VOXEL_SUM = Code("126030", "DCM", "Sum of segmented voxel method for volume")
    SD_N_MINUS_1 = _private("SD-N1", "Standard deviation with divisor n-1")
    PERCENTILE_LINEAR = _private("PCT-R7", "Percentile by linear interpolation (Hyndman-Fan type 7)")
    IN_SLICE = _private("AXES-SLICE", "Long axis and its perpendicular in one slice (RECIST style)")
    OF_CURVE = _private("CTP-CURVE", "Of the region's mean curve")
    OF_VOXELS = _private("CTP-VX", "Mean of voxel values")
    ABSOLUTE_TIME = _private("CTP-T0", "From the first image, of the region's mean curve")
    DECONVOLUTION = _private("CTP-OSVD", "Block-circulant SVD deconvolution, mean curve")
    DECONVOLUTION_VOXELS = _private("CTP-OSVD-VX", "Block-circulant SVD deconvolution, mean of voxel values")
    MAXIMUM_SLOPE = _private("CTP-MSM", "Maximum slope, mean curve")
    MAXIMUM_SLOPE_VOXELS = _private("CTP-MSM-VX", "Maximum slope, mean of voxel values")
    PATLAK = _private("CTP-PATLAK", "Patlak, mean curve")
    PATLAK_VOXELS = _private("CTP-PATLAK-VX", "Patlak, mean of voxel values")
    EXCHANGE = _private("CTP-2CXM", "Two-compartment exchange model, mean curve")
    EXCHANGE_VOXELS = _private("CTP-2CXM-VX", "Two-compartment exchange model, mean of voxel values")
    UPTAKE = _private("CTP-2CUM", "Two-compartment uptake model, mean curve")
    UPTAKE_VOXELS = _private("CTP-2CUM-VX", "Two-compartment uptake model, mean of voxel values")
    OF_EACH_VOXEL = _private("CTP-MAP", "Of each voxel's curve")
    DECONVOLUTION_MAP = _private("CTP-OSVD-MAP", "Block-circulant SVD deconvolution of each voxel")
    PATLAK_MAP = _private("CTP-PATLAK-MAP", "Patlak of each voxel")
    TRANSLATION = _private("RIGID-SHIFT", "Rigid translation of each time point")
    MINUS_PLAIN = _private("MINUS-PLAIN", "Phase minus plain, means over the same region")
    MINUS_PLAIN_NARROWED = _private("MINUS-PLAIN-N", "Phase minus plain, region moved and narrowed by a voxel")
    SAME_REGION = _private("SAME-REGION", "Means over the same region")
    NARROWED = _private("NARROWED", "Means over the region, moved and narrowed by a voxel")
    FOUND_VESSEL = _private("REF-FOUND", "Reference region found automatically by shape and place")
    GIVEN_VESSEL = _private("REF-GIVEN", "Reference region as given")
    GRADIENT_CORRELATION = _private("SHIFT-NCC", "Translation of highest gradient correlation; region moved")
    GRADIENT_CORRELATION_KEPT = _private("SHIFT-NCC-0", "Translation of highest gradient correlation; region kept")
    ACROSS_SCANS = _private("XSCAN-PV", "Corrected to a reference attenuation of the portal vein")
    LOCAL_THICKNESS = _private("THICK-SPHERE", "Largest sphere inscribed in the region")
    MESH = _private("MESH-MC", "Marching cubes mesh at 0.5 of the voxel mask")


class DualEnergy:
    """Dual-energy CT: iodine, effective atomic number, how they were had."""

    IODINE = Code("44588005", "SCT", "Iodine")
    NORMALIZED_IODINE = _private("NIC", "Normalized iodine concentration")
    EFFECTIVE_ATOMIC_NUMBER = Code("129320", "DCM", "Effective Atomic Number")
    REGION_OF_AORTA = _private("NIC-AORTA", "Ratio to the mean of a region of the aorta, same images")
    FOUND_AORTA = _private("NIC-AORTA-AUTO", "Ratio to the mean of the aorta found by shape, same images")

    @staticmethod
    def converted(factor: float, words: str) -> Code:
        """The method 'a map in another unit', which names the unit in the object's own words."""
        return _private(f"IOD-X{factor:g}", f"Iodine map in {words}, converted to mg/ml"[:64])

    @staticmethod
    def decomposed(low_kev: float, high_kev: float) -> Code:
        """The method 'two materials from two energies', which names the energies."""
        energies = f"{low_kev:g} and {high_kev:g} keV"
        return _private(f"MD-{low_kev:g}-{high_kev:g}", f"Iodine and water decomposed from images at {energies}")


class Diffusion:
    """Diffusion-weighted MR: what is measured, how it was had (CID 7272 and 7273)."""

    ADC = Code("113041", "DCM", "Apparent Diffusion Coefficient")
    D = Code("113291", "DCM", "Slow Diffusion Coefficient")
    D_STAR = Code("113292", "DCM", "Fast Diffusion Coefficient")
    F = Code("113293", "DCM", "Fast Diffusion Coefficient Fraction")
    R2 = _private("FIT-R2", "Coefficient of determination of the fit")
    EXCLUDED = _private("VOX-NOFIT", "Voxels of the region at the noise floor or without a fit")
    IVIM = Code("113251", "DCM", "Bi-exponential (IVIM) diffusion model")
    IVIM_SEGMENTED = _private("IVIM-SEG", "Bi-exponential (IVIM) diffusion model, segmented fit")
    VENDOR = _private("ADC-VENDOR", "ADC as the scanner calculated it")
    LOWEST_DISC = _private("LOW-DISC50", "Lowest mean of 50 mm2 discs in the region")

    @staticmethod
    def log_linear(b_values: Sequence[float]) -> Code:
        """The method 'ADC by weighted log-linear fit', which names its b-values (s/mm2)."""
        return _of_b_values("ADC-WLS", "ADC, weighted log-linear", b_values)

    @staticmethod
    def unweighted(b_values: Sequence[float]) -> Code:
        """The method 'ADC by log-linear fit of all samples, as scanners do it', which names its b-values (s/mm2)."""
        return _of_b_values("ADC-LS", "ADC, unweighted log-linear", b_values)

    @staticmethod
    def two_point(b_values: Sequence[float]) -> Code:
        """The method 'ADC from two b-values', which names them (s/mm2)."""
        return _of_b_values("ADC-2P", "ADC, two-point", b_values)

    @staticmethod
    def tissue(b_values: Sequence[float]) -> Code:
        """The method 'D from b-values beyond perfusion alone', which names them (s/mm2)."""
        return _of_b_values("D-WLS", "D, log-linear", b_values)


def _of_b_values(value: str, words: str, b_values: Sequence[float]) -> Code:
    """A method by its b-values; the code value is unlike for unlike lists, the meaning names as many as it can hold
    (PS3.5 6.2: SH 16, LO 64 characters)."""
    listed = " ".join(f"{b:g}" for b in b_values)
    meaning = f"{words}, b {listed} s/mm2"
    if len(meaning) > 64:
        meaning = f"{words}, {len(b_values)} b from {min(b_values):g} to {max(b_values):g} s/mm2"
    return _private(f"{value}-{crc32(listed.encode()):08X}", meaning)


class Dce:
    """Dynamic contrast-enhanced MR: what is measured, by which model (CID 4101, 4107, 4109)."""

    KTRANS = Code("126312", "DCM", "Ktrans")
    KEP = Code("126313", "DCM", "kep")
    VE = Code("126314", "DCM", "ve")
    VP = Code("126331", "DCM", "vp")
    IAUC60 = Code("126321", "DCM", "IAUC60")
    T1 = Code("113063", "DCM", "T1")
    TIME_TO_PEAK = Code("113069", "DCM", "Time To Peak")
    PLASMA_FLOW = _private("DCE-FP", "Plasma flow")
    PERMEABILITY = _private("DCE-PS", "Permeability surface area product of plasma")
    PEAK_ENHANCEMENT = _private("DCE-PE", "Peak enhancement relative to baseline signal")
    WASH_IN = _private("DCE-WASHIN", "Wash-in rate of relative enhancement")
    WASH_OUT = _private("DCE-WASHOUT", "Wash-out rate of relative enhancement")
    SER = _private("DCE-SER", "Signal enhancement ratio")
    EXCLUDED = _private("DCE-NOFIT", "Voxels of the region without a fit of the tracer model")
    TOFTS = Code("126340", "DCM", "Standard Tofts Model")
    EXTENDED_TOFTS = Code("126341", "DCM", "Extended Tofts Model")
    EXCHANGE = Code("126347", "DCM", "Two Compartment Exchange (2CX) Model")
    PATLAK = _private("DCE-PATLAK", "Patlak model")
    TOFTS_CURVE = _private("DCE-TM-CURVE", "Standard Tofts model, mean curve")
    EXTENDED_TOFTS_CURVE = _private("DCE-ETM-CURVE", "Extended Tofts model, mean curve")
    EXCHANGE_CURVE = _private("DCE-2CXM-CURVE", "Two-compartment exchange model, mean curve")
    PATLAK_CURVE = _private("DCE-PATLAK-CURV", "Patlak model, mean curve")
    FLIP_ANGLES = Code("126350", "DCM", "T1 by Multiple Flip Angles")
    OF_CURVE = _private("DCE-CURVE", "Of the region's mean curve")
    OF_PHASES = _private("DCE-PHASES", "Of the region's mean in few phases, times from the first")
    RATIO_OF_PHASES = _private("SER-P-*", "Phase means, at whatever times after the first image")
    OF_EACH_VOXEL = _private("DCE-MAP", "Of each voxel's curve")

    @staticmethod
    def ratio_at(early_s: float, late_s: float) -> Code:
        """The method of the signal enhancement ratio, which names its times after the arrival of the contrast."""
        words = f"Mean curve, {early_s:.0f} s over {late_s:.0f} s after arrival"
        return _private(f"SER-{early_s:.0f}-{late_s:.0f}", words)

    @staticmethod
    def ratio_of_phases(early_s: float, late_s: float) -> Code:
        """The same of few phases, whose times are counted from the first image."""
        words = f"Phase means, {early_s:.0f} s over {late_s:.0f} s after the first image"
        return _private(f"SER-P-{early_s:.0f}-{late_s:.0f}", words)


class Phase:
    """CT contrast phases: DICOM has no context group for them."""

    PLAIN = _private("PH-PLAIN", "Plain (unenhanced) phase")
    ARTERIAL = _private("PH-ART", "Arterial phase")
    PORTAL = _private("PH-PV", "Portal venous phase")
    EQUILIBRIUM = _private("PH-EQ", "Equilibrium phase")
    UNSPECIFIED = _private("PH-UNSPEC", "Contrast phase not specified")


class Pattern:
    """How a lesion's attenuation changes from phase to phase (quantities: ``enhancement.pattern``)."""

    CONCEPT = _private("ENH-PATTERN", "Enhancement pattern")
    PERSISTENT = _private("ENH-PERSIST", "Persistent or progressive enhancement")
    WASH_OUT = _private("ENH-WASHOUT", "Wash-out")
    EARLY_PEAK = _private("ENH-EARLY", "Peak in the arterial phase, kept afterwards")


class Estimate:
    """The estimate and its three values; never positive or negative, which name tissue results."""

    CONCEPT = _private("HER2-EST", "Imaging estimate of HER2 positivity")
    LIKELY = _private("LIKELY", "HER2 positivity likely by imaging estimate")
    INDETERMINATE = _private("INDETERMINATE", "Imaging estimate indeterminate")
    UNLIKELY = _private("UNLIKELY", "HER2 positivity unlikely by imaging estimate")


class Saliency:
    """What an estimate rests on, place by place (CID 217, 218)."""

    CHANGE = Code("130404", "DCM", "Saliency")
    OCCLUSION = _private("SAL-OCCLUSION", "Fall of the probability where a block is hidden")


class Anatomy:
    """Where."""

    STOMACH = Code("69695003", "SCT", "Stomach")
    LIVER = Code("10200004", "SCT", "Liver")
    AORTA = Code("15825003", "SCT", "Aorta")
    PORTAL_VEIN = Code("32764006", "SCT", "Portal vein")


class Finding:
    """What a segment or a measurement group is about."""

    ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
    PRIMARY_NEOPLASM = Code("372087000", "SCT", "Neoplasm, Primary")
    TISSUE = Code("85756007", "SCT", "Tissue")
    """A given region that says no more of what it is."""


class Document:
    """What a structured report is made of (PS3.16 TID 1500)."""

    ONCOLOGY_REPORT = Code("126001", "DCM", "Oncology Measurement Report")
    IMAGING_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
    IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
    QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
    DEVICE = Code("121007", "DCM", "Device")
    CONTRAST_PHASE = Code("109058", "DCM", "Contrast Phase")
    ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
    CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
    MR_PROCEDURE = Code("25056-3", "LN", "MRI unspecified body region")
    PET_PROCEDURE = Code("44136-0", "LN", "PET unspecified body region")
    ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
    PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")


class Statement:
    """What a report says in words, for no scheme has codes for it."""

    NOTICE = _private("NOTICE", "Not for diagnosis")
    REFERENCE_TEST = _private("REFERENCE-TEST", "Reference test")
    CONCLUSION = _private("CONCLUSION", "Imaging estimate in words")
    ANSWER = _private("ANSWER", "Which of several answers this is")
    INPUT = _private("INPUT", "Input of the model")
    CATEGORIES = _private("CATEGORIES", "How the categories are told")
    REMARK = _private("REMARK", "How the package decided")
    INTERVAL = _private("INTERVAL", "95 % interval of the probability")
    VENN_ABERS = _private("VENN-ABERS", "Venn-Abers interval: how often such scores were positive")
    STABILITY = _private("STABILITY", "Whether the answer holds when the region is drawn otherwise")
    OBSERVATION = _private("OBSERVATION", "Measured beside a printed cut-off, no estimate")
    AGREEMENT = _private("AGREEMENT", "Whether the packages agree")
    CAUTION = _private("CAUTION", "What the node cannot check")
    PRIOR = _private("PRIOR", "Prior probability of HER2 positivity")
    PRIOR_SOURCE = _private("PRIOR-SOURCE", "Source of the prior")
    LEVEL = _private("LEVEL", "Provenance level of the package")
    SOURCE = _private("SOURCE", "Publication behind the package")
    REGION = _private("REGION", "Who drew the region")
    INTENDED_USE = _private("INTENDED-USE", "Intended use of the package")
    FLAG = _private("FLAG", "Applicability flag")
    CONFLICT = _private("CONFLICT", "Contradicting literature")
    REFUSAL = _private("REFUSAL", "Not done, and why")
    SERIES = _private("SERIES", "Series, its role and why")
    MEASURED_IN = _private("MEASURED-IN", "Where this was measured")


class Histogram:
    """Shape of the distribution of voxel values, and by which of several conventions (histogram)."""

    SKEWNESS = Code("126051", "DCM", "Skewness")
    KURTOSIS = Code("126052", "DCM", "Kurtosis")
    ENTROPY = _private("ENTROPY", "Entropy of the histogram")
    MOMENTS_N = _private("SKEW-N", "Standardized third moment, divisor n")
    EXCESS_N = _private("KURT-EXCESS-N", "Excess kurtosis (normal: 0), standardized moment, divisor n")

    @staticmethod
    def bits(bin_width: float) -> Code:
        """The method 'entropy in bits', which names the width of the bins in the unit of the values."""
        return _private(f"ENT-W{bin_width:g}", f"Entropy in bits, bins {bin_width:g} wide from 0")


class Texture:
    """Texture in the manner of the program MaZda: each feature by MaZda's name, private for lack of a scheme."""

    LIKE = _private("MAZDA-LIKE", "MaZda-like, largest slice, not normalized")
    NORMALIZED = _private("MAZDA-LIKE-3SD", "MaZda-like, largest slice, mean +- 3 SD, no grey levels")

    @staticmethod
    def levels(bits: int) -> Code:
        """The method 'so many grey levels between mean - 3 SD and mean + 3 SD'."""
        return _private(f"MAZDA-LIKE-{bits}B", f"MaZda-like, largest slice, mean +- 3 SD in {2**bits} grey levels")

    @staticmethod
    def feature(name: str) -> Code:
        """By MaZda's name: ``S(5,-5)AngScMom`` has the code value MZ-S5-5AngScMom."""
        return _private("MZ-" + "".join(sign for sign in name if sign not in "(),_%"), f"{name} (MaZda-like)")


def percentile_modifier(percent: int) -> Code:
    """The derivation 'n-th percentile'; DICOM has none, so the code is private: (PCTL-25, 99HER2NODE, ...)."""
    return _private(f"PCTL-{percent:02d}", f"Percentile {percent}")
