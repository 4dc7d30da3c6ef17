"""What the node's own reading finds in a study for one package, kept on disk by a digest of all that it depends on.

Training, evaluation and prediction are one path: the same reading with the package, a form among them, and the same
choice of the series that it is measured on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

import her2node
from her2node import errors
from her2node.dicom.attributes import moment, text
from her2node.dicom.codes import Code
from her2node.errors import AmbiguousRoi, NoRoi, Refused
from her2node.models import predicting
from her2node.models.applicability import Played, age_years, scanner
from her2node.models.inputs import Where
from her2node.models.manifest import Image
from her2node.models.package import Package
from her2node.models.predicting import Standing
from her2node.models.prediction import Flag, Prediction
from her2node.phantoms.headers import MANUFACTURER
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading import Reading
from her2node.reading.entered import INPUTS
from her2node.selection.reconstruction import header_number, kernel_of, thickness_mm
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study

Read = Callable[[Study, Sequence[Package], Mapping[str, str], Mapping[str, str]], Reading]
"""The reading of a study for packages by the site's settings, with the values and the roles that readers entered."""
_KEPT = "4"
"""The form of what is kept: what was kept in another is found anew."""
_PREDICTION = TypeAdapter(Prediction)
OWN = tuple(given.name for given in INPUTS)
"""What the node itself asks readers for, for it shapes what is measured."""


@dataclass(frozen=True)
class Made:
    """How the series of one role was made: slice thickness in mm, tube voltage in kV; kernel, and manufacturer with
    model, '' where the header does not tell."""

    slice_thickness_mm: float | None
    kvp: float | None
    kernel: str = ""
    scanner: str = ""


@dataclass(frozen=True)
class Findings:
    """One study as a package sees it: of the patient a digest, of the images what was measured in the tumour.

    ``refusals``: why the tumour, or a quantity in it, could not be measured. ``scanner``: manufacturer and model.
    ``standing``: where the package is measured, or why it would not answer. ``made``: how those series were made.
    ``unissued``: of the PatientID alone a digest, '' where it names no issuer and ``patient`` is that already.
    ``synthetic``: whether the study says by itself that nobody was scanned. ``answer``: of an image package, what its
    network says of the crop, at the package's own prior, or why nothing; None of every other package.
    """

    study_instance_uid: str
    patient: str
    studied: date | None
    age_years: float | None
    scanner: str
    quantities: tuple[Quantity, ...]
    refusals: tuple[NotMeasured, ...]
    made: Mapping[Played, Made]
    standing: Standing | Refused
    synthetic: bool = False
    answer: Prediction | Refused | None = None
    unissued: str = ""

    @property
    def identified(self) -> bool:
        """Whether the images say whose they are: without a PatientID ``patient`` stands for the study alone."""
        return self.patient != _of_person(self.study_instance_uid)

    @property
    def where(self) -> Where:
        """Where the package is measured. Raises why it would not answer."""
        if isinstance(self.standing, Refused):
            raise self.standing
        return self.standing.where


@dataclass(frozen=True)
class Finder:
    """Finds what ``package`` gets of studies. ``shaping`` names the settings that shape a reading, ``cache`` is the
    folder where findings are kept. Packages ``beside`` are read along, as on a shelf, so that each study is read once
    for all of them."""

    package: Package
    read: Read
    shaping: str
    cache: Path
    beside: tuple[Package, ...] = ()

    def find(
        self, files: Sequence[Path], entered: Mapping[str, str], roles: Mapping[str, str] = MappingProxyType({})
    ) -> Findings:
        """The findings of the study in ``files``, from the cache where its input was read before.

        Of what was ``entered`` only that counts which the node itself asks for; ``roles`` are words by series UID.
        Raises Refused for what is no study.
        """
        own = {name: entered[name] for name in OWN if entered.get(name)}
        known = digest(files, self.shaping, json.dumps([own, dict(roles)]))
        kept = self._place(known, self.package)
        if not kept.is_file():
            packages = (self.package, *self.beside)
            told = self.read(open_study(files, tolerant=True), packages, own, roles)
            self.cache.mkdir(parents=True, exist_ok=True)
            for package in packages:
                _keep(_found(told, package), self._place(known, package))
        return _restored(json.loads(kept.read_text(encoding="utf-8")))

    def _place(self, known: str, package: Package) -> Path:
        """Where the findings of one of the packages in a study are kept, by what all of them want of it."""
        all_of_them = sorted({_wanted(one) for one in (self.package, *self.beside)})
        named = hashlib.sha256("\n".join([known, _wanted(package), *all_of_them]).encode()).hexdigest()
        return self.cache / f"{named}.json"


def _keep(found: Findings, place: Path) -> None:
    part = place.with_suffix(".part")
    part.write_text(json.dumps(_stored(found), ensure_ascii=False), encoding="utf-8")
    part.replace(place)


def _wanted(package: Package) -> str:
    """What of a package shapes what it is measured on."""
    said = package.manifest
    network = package.sha256 if isinstance(said, Image) else ""
    return repr((said.roi, said.requires, said.age_years, package.features, network))


def digest(files: Sequence[Path], *shaping: str) -> str:
    """SHA-256 over the bytes of the files (in whatever order), the node's version, the form of what is kept, and what
    shapes the result."""
    of_files = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("\n".join([her2node.__version__, _KEPT, *shaping, *of_files]).encode()).hexdigest()


def patient_of(study: Study) -> tuple[str, str]:
    """Digests of who it is: of PatientID and its issuer, of a study without PatientID the study itself; and, where
    there is an issuer, of PatientID alone."""
    header = study.series[0].first
    number, issuer = text(header, "PatientID"), text(header, "IssuerOfPatientID")
    if not number:
        return _of_person(study.study_instance_uid), ""
    return _of_person(f"{number}\n{issuer}"), _of_person(f"{number}\n") if issuer else ""


def persons(said: Sequence[tuple[str, str]]) -> list[str]:
    """Whose each study of a cohort is, by its ``patient`` and ``unissued``. Where a PatientID comes once without its
    issuer, all of that number count as one person: to part one person is a leak, to join two is none."""
    without = {patient for patient, unissued in said if not unissued}
    return [unissued if unissued in without else patient for patient, unissued in said]


def _of_person(who: str) -> str:
    return hashlib.sha256(who.encode()).hexdigest()[:16]


def _found(reading: Reading, package: Package) -> Findings:
    study = reading.study
    header = study.series[0].first
    studied = moment(header, "StudyDate", "StudyTime")
    standing = _standing(reading, package)
    images = [series for series in study.series if series.modality in ("CT", "MR", "PT")] or list(study.series)
    told = () if isinstance(standing, Refused) else standing.where.scanners
    patient, unissued = patient_of(study)
    return Findings(
        study_instance_uid=study.study_instance_uid,
        patient=patient,
        studied=studied.date() if studied else None,
        age_years=age_years(header),
        scanner=next(filter(None, told), scanner(images[0].first)),
        quantities=tuple(q for q in reading.quantities if q.roi == reading.tumour),
        refusals=tuple(r for r in reading.not_measured if r.roi in ("", reading.tumour)),
        made={} if isinstance(standing, Refused) else _made(reading.study, standing.where),
        standing=standing,
        synthetic=is_synthetic(study),
        answer=_answer(reading, package) if isinstance(package.manifest, Image) else None,
        unissued=unissued,
    )


def _answer(reading: Reading, package: Package) -> Prediction | Refused:
    """What one of the packages that the study was read for says."""
    predicted = [one for one in reading.predictions if one.package == package.ref]
    refused = [one.refused for one in reading.not_predicted if one.package == package.ref]
    told: list[Prediction | Refused] = [*predicted, *refused]
    (said,) = told
    return said


def is_synthetic(study: Study) -> bool:
    """Whether a study is of a phantom, by its own word: Quality Control Subject (PS3.3 C.7.1.1), or the maker of the
    node's phantoms."""
    return any(
        text(series.first, "QualityControlSubject") == "YES" or text(series.first, "Manufacturer") == MANUFACTURER
        for series in study.series
    )


def _standing(reading: Reading, package: Package) -> Standing | Refused:
    tumour: str | Refused = reading.tumour or next(
        (one.refused for one in reading.not_measured if isinstance(one.refused, NoRoi | AmbiguousRoi)), NoRoi()
    )
    found = predicting.Findings(reading.study, reading.selection, reading.quantities, reading.not_measured, tumour)
    try:
        return predicting.standing(package, found)
    except Refused as error:
        return error


def _made(study: Study, where: Where) -> dict[Played, Made]:
    series_of = {played: study.series_of(uid) for played, uid in where.series_uids.items()}
    return {
        played: Made(
            thickness_mm(series.first),
            header_number(series.first, "KVP", "CTXRayDetailsSequence"),
            kernel_of(series.first),
            scanner(series.first),
        )
        for played, series in series_of.items()
        if series is not None
    }


def _stored(found: Findings) -> dict[str, Any]:
    return {
        "study_instance_uid": found.study_instance_uid,
        "patient": found.patient,
        "studied": found.studied.isoformat() if found.studied else None,
        "age_years": found.age_years,
        "scanner": found.scanner,
        "quantities": [_quantity(quantity) for quantity in found.quantities],
        "refusals": [_refusal(refusal) for refusal in found.refusals],
        "made": [[*played, *astuple(made)] for played, made in found.made.items()],
        "standing": _standing_as_json(found.standing),
        "synthetic": found.synthetic,
        "answer": _answer_as_json(found.answer),
        "unissued": found.unissued,
    }


def _restored(stored: dict[str, Any]) -> Findings:
    return Findings(
        study_instance_uid=stored["study_instance_uid"],
        patient=stored["patient"],
        studied=date.fromisoformat(stored["studied"]) if stored["studied"] else None,
        age_years=stored["age_years"],
        scanner=stored["scanner"],
        quantities=tuple(map(_quantity_of, stored["quantities"])),
        refusals=tuple(map(_refusal_of, stored["refusals"])),
        made={(Role(role), _role_of(phase)): Made(*made) for role, phase, *made in stored["made"]},
        standing=_standing_of(stored["standing"]),
        synthetic=stored["synthetic"],
        answer=_answer_of(stored["answer"]),
        unissued=stored["unissued"],
    )


def _answer_as_json(found: Prediction | Refused | None) -> dict[str, Any] | None:
    if found is None:
        return None
    if isinstance(found, Refused):
        return {"refused": _refused(found)}
    return {"predicted": _PREDICTION.dump_python(found, mode="json")}


def _answer_of(stored: dict[str, Any] | None) -> Prediction | Refused | None:
    if stored is None:
        return None
    return _refused_of(stored["refused"]) if "refused" in stored else _PREDICTION.validate_python(stored["predicted"])


def _standing_as_json(found: Standing | Refused) -> dict[str, Any]:
    if isinstance(found, Refused):
        return {"refused": _refused(found)}
    where = found.where
    return {
        "tumour": where.tumour,
        "series": [[*played, uid] for played, uid in where.series_uids.items()],
        "passed_over": sorted(where.passed_over),
        "scanners": where.scanners,
        "flags": [[flag.kind, flag.said] for flag in found.flags],
    }


def _standing_of(stored: dict[str, Any]) -> Standing | Refused:
    if "refused" in stored:
        return _refused_of(stored["refused"])
    series = {(Role(role), _role_of(phase)): uid for role, phase, uid in stored["series"]}
    where = Where(stored["tumour"], series, frozenset(stored["passed_over"]), tuple(stored["scanners"]))
    return Standing(where, tuple(Flag(*flag) for flag in stored["flags"]))


def _refused(error: Refused) -> dict[str, str]:
    return {"error": type(error).__name__, "detail": error.detail, "remedy": error.remedy}


def _refused_of(stored: dict[str, str]) -> Refused:
    kind = getattr(errors, stored["error"], Refused)
    error: Refused = kind(stored["detail"], remedy=stored["remedy"])
    return error


def _code(code: Code | None) -> dict[str, str] | None:
    return None if code is None else code.as_json()


def _code_of(stored: dict[str, str] | None) -> Code | None:
    return None if stored is None else Code(**stored)


def _role_of(stored: str | None) -> Role | None:
    return Role(stored) if stored else None


def _quantity(quantity: Quantity) -> dict[str, Any]:
    return {
        "roi": quantity.roi,
        "role": quantity.role,
        "code": _code(quantity.code),
        "value": quantity.value,
        "unit": _code(quantity.unit),
        "modifier": _code(quantity.modifier),
        "method": _code(quantity.method),
        "series_uids": quantity.series_uids,
        "flags": quantity.flags,
        "parameters": quantity.parameters,
        "phase": quantity.phase,
    }


def _quantity_of(stored: dict[str, Any]) -> Quantity:
    return Quantity(
        roi=stored["roi"],
        role=_role_of(stored["role"]),
        code=Code(**stored["code"]),
        value=stored["value"],
        unit=Code(**stored["unit"]),
        modifier=_code_of(stored["modifier"]),
        method=_code_of(stored["method"]),
        series_uids=tuple(stored["series_uids"]),
        flags=tuple(stored["flags"]),
        parameters=tuple(stored["parameters"]),
        phase=_role_of(stored["phase"]),
    )


def _refusal(refusal: NotMeasured) -> dict[str, Any]:
    return {
        "roi": refusal.roi,
        "role": refusal.role,
        "refused": _refused(refusal.refused),
        "code": _code(refusal.code),
        "series_uids": refusal.series_uids,
        "phase": refusal.phase,
    }


def _refusal_of(stored: dict[str, Any]) -> NotMeasured:
    return NotMeasured(
        stored["roi"],
        _role_of(stored["role"]),
        _refused_of(stored["refused"]),
        _code_of(stored["code"]),
        tuple(stored["series_uids"]),
        phase=_role_of(stored["phase"]),
    )
