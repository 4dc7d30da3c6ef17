"""What the node speaks about: SOP classes, and transfer syntaxes in the order in which it prefers them."""

from __future__ import annotations

from functools import cache
from typing import Final

from pydicom import uid
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import _STORAGE_CLASSES

_SR_ROOT = "1.2.840.10008.5.1.4.1.1.88."

VERIFICATION: Final[UID] = UID("1.2.840.10008.1.1")

STORAGE_CLASSES: Final[tuple[UID, ...]] = (
    # CT, MR, PET: classic, enhanced, legacy-converted
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.EnhancedPETImageStorage,
    uid.LegacyConvertedEnhancedPETImageStorage,
    # regions of interest, registrations, maps
    uid.SegmentationStorage,
    UID(_STORAGE_CLASSES["LabelMapSegmentationStorage"]),  # pydicom has no constant for it yet
    uid.RTStructureSetStorage,
    uid.SpatialRegistrationStorage,
    uid.DeformableSpatialRegistrationStorage,
    uid.ParametricMapStorage,
    uid.RealWorldValueMappingStorage,
    # pages and pictures
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.EncapsulatedPDFStorage,
    # every structured report
    *sorted(UID(found) for found in _STORAGE_CLASSES.values() if found.startswith(_SR_ROOT)),
)
"""SOP classes that the node stores (PS3.4 B.5)."""

_PREFERRED = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
)

_NO_DATA_SETS = frozenset({"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2", "1.2.840.10008.1.20"})
"""MIME, XML and Papyrus: retired, and no encodings of a data set by PS3.5."""

_NAMED = (UID(found) for found, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax")

TRANSFER_SYNTAXES: Final[tuple[UID, ...]] = tuple(
    dict.fromkeys(syntax for syntax in (*_PREFERRED, *uid.AllTransferSyntaxes, *_NAMED) if syntax not in _NO_DATA_SETS)
)
"""Every transfer syntax that pydicom knows, retired ones too: uncompressed first, lossless before lossy."""


@cache
def accepted_contexts() -> list[PresentationContext]:
    """What the acceptor supports. One list for all associations: negotiation copies every context it returns."""
    syntaxes: list[str | UID] = list(TRANSFER_SYNTAXES)
    contexts = [build_context(VERIFICATION, syntaxes)]
    contexts += [build_context(sop_class, syntaxes) for sop_class in STORAGE_CLASSES]
    return contexts
