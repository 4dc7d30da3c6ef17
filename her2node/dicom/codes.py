"""The codes that the node speaks: quantities, units, derivations, methods, findings.

Sources: DICOM PS3.16 context groups as pydicom carries them; IBSI tags; UCUM as DICOM writes it; and the private
scheme 99HER2NODE for what no public scheme names. An estimate of HER-2 positivity is never coded with a concept of a
tissue test: LOINC 48676-1 and the NCIt HER2 codes name laboratory results.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    ONE = Code("1", "UCUM", "no units")


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
    PROBABILITY = _private("P-HER2POS", "Estimated probability of HER2 positivity")


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
    MINUS_PLAIN = _private("MINUS-PLAIN", "Phase minus plain, means over the same region")
    MINUS_PLAIN_NARROWED = _private("MINUS-PLAIN-N", "Phase minus plain, region moved and narrowed by a voxel")
    SAME_REGION = _private("SAME-REGION", "Means over the same region")
    NARROWED = _private("NARROWED", "Means over the region, moved with the tissue and narrowed by a voxel")
    FOUND_VESSEL = _private("REF-FOUND", "Reference region found automatically by shape and place")
    GIVEN_VESSEL = _private("REF-GIVEN", "Reference region as given")
    GRADIENT_CORRELATION = _private("SHIFT-NCC", "Translation of highest gradient correlation; region moved")
    GRADIENT_CORRELATION_KEPT = _private("SHIFT-NCC-0", "Translation of highest gradient correlation; region kept")
    ACROSS_SCANS = _private("XSCAN-PV", "Corrected to a reference attenuation of the portal vein (Seo 2025)")
    LOCAL_THICKNESS = _private("THICK-SPHERE", "Largest sphere inscribed in the region")
    MESH = _private("MESH-MC", "Marching cubes mesh at 0.5 of the voxel mask")


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
    PRIOR = _private("PRIOR", "Prior probability of HER2 positivity")
    PRIOR_SOURCE = _private("PRIOR-SOURCE", "Source of the prior")
    LEVEL = _private("LEVEL", "Provenance level of the package")
    SOURCE = _private("SOURCE", "Publication behind the package")
    INTENDED_USE = _private("INTENDED-USE", "Intended use of the package")
    FLAG = _private("FLAG", "Applicability flag")
    CONFLICT = _private("CONFLICT", "Contradicting literature")
    REFUSAL = _private("REFUSAL", "Not done, and why")
    SERIES = _private("SERIES", "Series, its role and why")
    MEASURED_IN = _private("MEASURED-IN", "Where this was measured")


def percentile_modifier(percent: int) -> Code:
    """The derivation 'n-th percentile'; DICOM has none, so the code is private: (PCTL-25, 99HER2NODE, ...)."""
    return _private(f"PCTL-{percent:02d}", f"Percentile {percent}")
