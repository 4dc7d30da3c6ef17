"""What the node's own reading finds in a study, kept on disk by a digest of everything that it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import her2node
from her2node import errors
from her2node.dicom.attributes import moment, text
from her2node.dicom.codes import Code
from her2node.errors import Refused
from her2node.models.applicability import Played, age_years, scanner
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading import Reading
from her2node.selection.reconstruction import header_number
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study

Read = Callable[[Study], Reading]
"""The reading of a study without packages, by the site's settings."""


@dataclass(frozen=True)
class Made:
    """How the series of one role was made: slice thickness in mm, tube voltage in kV."""

    slice_thickness_mm: float | None
    kvp: float | None


@dataclass(frozen=True)
class Findings:
    """One study as training sees it: of the patient a digest, of the images what was measured in the tumour.

    ``refusals``: why the tumour, or a quantity in it, could not be measured. ``scanner``: manufacturer and model.
    ``stands``: the UID of the series that stands for a role, and for a role in a contrast phase.
    """

    study_instance_uid: str
    patient: str
    studied: date | None
    age_years: float | None
    scanner: str
    tumour: str | None
    quantities: tuple[Quantity, ...]
    refusals: tuple[NotMeasured, ...]
    made: Mapping[Role, Made]
    stands: Mapping[Played, str]


def find(files: Sequence[Path], read: Read, shaping: str, cache: Path) -> Findings:
    """The findings of the study in ``files``, from ``cache`` where its input was read before.

    ``shaping`` names the settings that shape a reading. Raises Refused for what is no study.
    """
    kept = cache / f"{digest(files, shaping)}.json"
    if kept.is_file():
        return _restored(json.loads(kept.read_text(encoding="utf-8")))
    study = open_study(files, tolerant=True)
    found = _found(study, read(study))
    cache.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps(_stored(found), ensure_ascii=False), encoding="utf-8")
    part.replace(kept)
    return found


def digest(files: Sequence[Path], *shaping: str) -> str:
    """SHA-256 over the bytes of the files (in whatever order), the node's version and what shapes the result."""
    of_files = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("\n".join([her2node.__version__, *shaping, *of_files]).encode()).hexdigest()


def patient_of(study: Study) -> str:
    """A digest of who it is: PatientID and its issuer; of a study without one, the study itself."""
    header = study.series[0].first
    said = [text(header, "PatientID"), text(header, "IssuerOfPatientID")]
    who = "\n".join(said) if said[0] else study.study_instance_uid
    return hashlib.sha256(who.encode()).hexdigest()[:16]


def _found(study: Study, reading: Reading) -> Findings:
    header = study.series[0].first
    studied = moment(header, "StudyDate", "StudyTime")
    images = [series for series in study.series if series.modality in ("CT", "MR", "PT")] or list(study.series)
    return Findings(
        study_instance_uid=study.study_instance_uid,
        patient=patient_of(study),
        studied=studied.date() if studied else None,
        age_years=age_years(header),
        scanner=scanner(images[0].first),
        tumour=reading.tumour,
        quantities=tuple(q for q in reading.quantities if q.roi == reading.tumour),
        refusals=tuple(r for r in reading.not_measured if r.roi in ("", reading.tumour)),
        made=_made(study, reading),
        stands=reading.stands,
    )


def _made(study: Study, reading: Reading) -> dict[Role, Made]:
    found: dict[Role, Made] = {}
    for assignment in reading.assignments:
        series = study.series_of(assignment.series_instance_uid)
        if series is not None and assignment.role is not None and assignment.role not in found:
            found[assignment.role] = Made(
                header_number(series.first, "SliceThickness", "PixelMeasuresSequence"),
                header_number(series.first, "KVP", "CTXRayDetailsSequence"),
            )
    return found


def _stored(found: Findings) -> dict[str, Any]:
    return {
        "study_instance_uid": found.study_instance_uid,
        "patient": found.patient,
        "studied": found.studied.isoformat() if found.studied else None,
        "age_years": found.age_years,
        "scanner": found.scanner,
        "tumour": found.tumour,
        "quantities": [_quantity(quantity) for quantity in found.quantities],
        "refusals": [_refusal(refusal) for refusal in found.refusals],
        "made": {role.value: [made.slice_thickness_mm, made.kvp] for role, made in found.made.items()},
        "stands": [[role, phase, uid] for (role, phase), uid in found.stands.items()],
    }


def _restored(stored: dict[str, Any]) -> Findings:
    return Findings(
        study_instance_uid=stored["study_instance_uid"],
        patient=stored["patient"],
        studied=date.fromisoformat(stored["studied"]) if stored["studied"] else None,
        age_years=stored["age_years"],
        scanner=stored["scanner"],
        tumour=stored["tumour"],
        quantities=tuple(map(_quantity_of, stored["quantities"])),
        refusals=tuple(map(_refusal_of, stored["refusals"])),
        made={Role(role): Made(*made) for role, made in stored["made"].items()},
        stands={(Role(role), _role_of(phase)): uid for role, phase, uid in stored["stands"]},
    )


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
        "error": type(refusal.refused).__name__,
        "detail": refusal.refused.detail,
        "code": _code(refusal.code),
        "series_uids": refusal.series_uids,
        "phase": refusal.phase,
    }


def _refusal_of(stored: dict[str, Any]) -> NotMeasured:
    kind = getattr(errors, stored["error"], Refused)
    return NotMeasured(
        stored["roi"],
        _role_of(stored["role"]),
        kind(stored["detail"]),
        _code_of(stored["code"]),
        tuple(stored["series_uids"]),
        phase=_role_of(stored["phase"]),
    )
