"""Every error of the node, drawn on one screen.

Three trunks, because three different things follow:

- ``Refused``: an answer. The input does not permit what was asked; trying again changes nothing.
- ``Transient``: try again later. A peer, a disk or a broker is away.
- ``Broken``: ours to mend. Something that cannot be happened.

The first line of a class's docstring is its message; the detail given when it is raised names the thing.
``reason`` is the class's name in kebab case and is what ledger, report and log call it.
"""

from __future__ import annotations

import re


class Her2nodeError(Exception):
    """Something went wrong."""

    remedy: str = ""

    def __init__(self, detail: str = "", *, remedy: str = "") -> None:
        self.detail = detail
        if remedy:
            self.remedy = remedy
        super().__init__(detail)

    @property
    def reason(self) -> str:
        """The error's name as ledger, log and report print it, e.g. ``gantry-tilt``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type(self).__name__).lower()

    def __str__(self) -> str:
        message = (type(self).__doc__ or type(self).__name__).strip().splitlines()[0].rstrip(".")
        return f"{message}: {self.detail}" if self.detail else message


class TimeIsUp(BaseException):
    """The job took longer than its limit.

    No Exception, so that no handler on the way, ours or a decoder's, takes it for a fault of what it was reading.
    """


# --- Refused: an answer ------------------------------------------------------------------------------------


class Refused(Her2nodeError):
    """The input does not permit this."""


class SettingsRefused(Refused):
    """The settings cannot be used."""


class InstanceUnreadable(Refused):
    """The object cannot be read as DICOM."""


class MissingAttribute(Refused):
    """An attribute that this needs is absent or empty."""


class InvalidAttribute(Refused):
    """An attribute has a value that cannot be right."""


class ConflictingIdentity(Refused):
    """The objects of one study name different patients."""


class ConflictingDuplicate(Refused):
    """Different objects bear the same SOP Instance UID."""


class MismatchedUid(Refused):
    """The header names another object than the request that brought it."""


class MixedStudies(Refused):
    """The objects belong to more than one study."""


class EmptyStudy(Refused):
    """There is no object that can be read."""


# geometry and calibration of images
class OtherKindOfImage(Refused):
    """Images of this kind are not made into volumes."""


class NoFrameOfReference(Refused):
    """The images name no frame of reference, so nothing can be placed in the patient."""


class GantryTilt(Refused):
    """The slices are sheared against their normal (gantry tilt)."""


class MissingSlices(Refused):
    """Slices are missing from the stack."""


class UnevenSpacing(Refused):
    """The slices are not evenly spaced."""


class AnisotropicVoxels(Refused):
    """The voxels are not isotropic, and the filter has one size in mm for all its directions."""


class MixedOrientations(Refused):
    """The images of the series have different orientations, sizes, pixel spacings or frames of reference."""


class DuplicateSlices(Refused):
    """Several images lie at the same place."""


class Localizer(Refused):
    """The series is a localizer and cannot be measured."""


class SingleSlice(Refused):
    """The series has a single slice, so it has no extent along the slices."""


class NotCalibrated(Refused):
    """The stored values cannot be turned into the quantity that the modality promises."""


class PixelsUnreadable(Refused):
    """The pixel data cannot be decoded."""


# time series of images
class NoTimes(Refused):
    """Nothing tells when the images of the time series were acquired."""


class IncompleteTimePoints(Refused):
    """Some places of the time series lack images that others have."""


class TooFewTimePoints(Refused):
    """The time series has too few time points."""


class NoArterialInput(Refused):
    """No artery can be found from which the contrast comes."""


class NoBaseline(Refused):
    """The time series has no image before the contrast."""


class NoEnhancement(Refused):
    """The region takes up too little contrast to be measured."""


class OutsideProtocol(Refused):
    """The patient was not prepared and scanned as the method demands."""


class OutsideRegime(Refused):
    """The time series lies outside what this method is good for."""


# regions of interest
class NoRoi(Refused):
    """No region of interest was given and none can be made."""


class NoTumourFound(NoRoi):
    """No region of interest was given, and the network found no tumour."""


class EmptyRoi(Refused):
    """The region of interest has no voxel in this series."""


class OtherFrameOfReference(Refused):
    """The region of interest lies in another frame of reference than the series."""


class RegistrationUnusable(Refused):
    """The registration between frames of reference cannot be used."""


class RoiUnreadable(Refused):
    """The region of interest cannot be turned into voxels."""


class RegionMissing(Refused):
    """A region that the method compares with is not there."""


class RoiCutOff(Refused):
    """Part of the region of interest lies outside the series, so its size cannot be known."""


class AmbiguousRoi(Refused):
    """Several regions of interest could be meant."""


# quantities, packages, predictions
class UnitMissing(Refused):
    """The values bear no unit, and which one is meant changes them tenfold."""


class NoReference(Refused):
    """The tissue to compare with is not outlined, or does not hold what it must."""


class TooSlow(Refused):
    """The network takes more time than it is given."""


class TooLarge(Refused):
    """This is larger than the node has memory set aside for."""


class NotRequested(Refused):
    """This is done only when it is asked for."""


class TooFewVoxels(Refused):
    """The region of interest has too few voxels for this quantity."""


class Undefined(Refused):
    """The feature has no value for this region."""


class BValuesMissing(Refused):
    """The b-values that were acquired do not permit this quantity."""


class DisplacementUnknown(Refused):
    """How far the region was displaced between two phases, as by breathing, cannot be told."""


class WeakReference(Refused):
    """The reference vessel is too little enhanced, or too small, to divide by."""


class RoleMissing(Refused):
    """A series that the method needs is not there."""


class RoleAmbiguous(Refused):
    """Several series could play the role."""


class InputMissing(Refused):
    """A value that only a reader knows was not entered."""


class InputRefused(Refused):
    """A value that was entered is not one that the package allows."""


class QuantityMissing(Refused):
    """A quantity that the package needs was not measured."""


class QuantityAmbiguous(Refused):
    """Several quantities that were measured could be the one that the package needs."""


class ModalityAbsent(Refused):
    """The study has no series of a modality that the package reads."""


class NeedsTraining(Refused):
    """The package is a form without weights and must be trained on a site's own cases."""


class OutsideIntendedUse(Refused):
    """The study lies outside what the package was made for."""


class PackageRefused(Refused):
    """The model package cannot be trusted or used."""


class ProviderMissing(PackageRefused):
    """The hardware that the settings name for networks is not there."""

    remedy = "install the onnxruntime that brings it, or name CPUExecutionProvider"


class DemonstrationOnly(Refused):
    """The package holds synthetic weights and runs in demonstration mode only."""


class UnknownUnit(Refused):
    """A unit is not known, so the value cannot be converted."""


# training
class CohortRefused(Refused):
    """The cohort cannot be used."""


class LabelRefused(Refused):
    """The tissue results of a case do not give a label."""


class PatientInTwoFolds(Refused):
    """The same patient stands on both sides of a split."""


class FeatureFromTheFuture(Refused):
    """A feature was known only after the answer was, or after what changed it."""


class TargetAmongFeatures(Refused):
    """A feature is the answer itself in another guise."""


class ScannerUnknown(Refused):
    """The harmonisation has not seen this scanner."""


class TooFewEvents(Refused):
    """There are too few cases of one class."""


class NothingLearned(Refused):
    """The fit keeps no input, so there is nothing to make a package of."""


class TranscriptsDiffer(Refused):
    """Two people read the same paper differently."""


class ExtraMissing(Refused):
    """A part of the installation that is optional is not there."""


# the wire
class PeerUnknown(Refused):
    """No peer is configured under this name or AE title."""


class AssociationRejected(Refused):
    """The peer permanently rejected the association."""


class SopClassRefused(Refused):
    """The peer does not accept this SOP class."""


class InstanceRejected(Refused):
    """The peer permanently rejected the object."""


class KindNotWanted(Refused):
    """The peer is not configured to receive this kind of object."""


class NotFound(Refused):
    """There is no such thing."""


class LedgerNewer(Refused):
    """The ledger was written by a newer version of the node."""


# phantoms
class PhantomRefused(Refused):
    """The phantom cannot be made."""


# --- Transient: try again ----------------------------------------------------------------------------------


class Transient(Her2nodeError):
    """This may succeed later."""


class PeerAway(Transient):
    """The peer cannot be reached or broke off."""


class PeerBusy(Transient):
    """The peer is out of resources for the moment."""


class OutOfSpace(Transient):
    """There is too little free space."""


class SpoolAway(Transient):
    """The spool cannot be read or written."""


class LedgerAway(Transient):
    """The ledger's database cannot be reached."""


class BrokerAway(Transient):
    """The broker cannot be reached."""


class LeaseLost(Transient):
    """Another process took the work over."""


# --- Broken: ours to mend ----------------------------------------------------------------------------------


class Broken(Her2nodeError):
    """The node itself is at fault."""


class IllegalTransition(Broken):
    """The state table does not allow this change."""


class WorkedCaseFailed(Broken):
    """A package does not reproduce its own worked cases."""
