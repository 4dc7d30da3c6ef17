"""A cohort: studies in folders or in the node's ledger, a table of tissue results, and the cases that both give.

The table is CSV with a header. Columns: ``study`` (Study Instance UID, or the name of its folder), ``ihc``, ``ish`` or
``ratio`` (HER2/CEP17); optional ``patient`` (else PatientID), ``scanner`` (else manufacturer and model), ``fold``,
``specimen`` (biopsy, resection or nothing), ``specimen_date``, ``treated`` (date of the first treatment; the earliest
of these dates counts in all rows of a patient), one column for each
input that a reader enters, and ``INPUT_date`` for when it became known; and what the node itself asks readers for
(``glucose_mg_dl``, ``signet_ring``, ``mucinous``). Dates are YYYY-MM-DD.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from her2node.errors import CohortRefused, LabelRefused, Refused
from her2node.models.inputs import gather, scanner_of
from her2node.models.manifest import SCANNER, Form
from her2node.models.prediction import InputUsed
from her2node.selection.study import open_instance
from her2node.training.arrays import Cases, Integers
from her2node.training.findings import OWN, Findings, persons
from her2node.training.labels import Rule, Tissue, tissue

_NEEDED = ("study", "ihc")
_KNOWN = frozenset({*_NEEDED, "ish", "ratio", "patient", "scanner", "fold", "specimen", "specimen_date", "treated"})
_SPECIMENS = ("biopsy", "resection", "")


@dataclass(frozen=True)
class Row:
    """One line of the table. ``dates``: when each entered value became known, by input."""

    study: str
    tissue: Tissue
    patient: str = ""
    scanner: str = ""
    fold: str = ""
    specimen: str = ""
    specimen_date: date | None = None
    treated: date | None = None
    entered: Mapping[str, str] = field(default_factory=dict)
    dates: Mapping[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where a study's objects lie, and what readers have entered of it in the node: values by input name, roles (a
    word) by series UID."""

    files: tuple[Path, ...]
    entered: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """A study with its row: what was found, what pathology said, and the inputs that both give."""

    row: Row
    findings: Findings
    inputs: tuple[InputUsed, ...] = ()

    @property
    def patient(self) -> str:
        return self.row.patient or self.findings.patient

    @property
    def scanner(self) -> str:
        return self.row.scanner or self.findings.scanner or "unknown"


@dataclass(frozen=True)
class Cohort:
    """``members`` and ``cases`` are in one order. ``excluded``: (study, why)."""

    members: tuple[Member, ...]
    cases: Cases
    excluded: tuple[tuple[str, str], ...]

    @property
    def given_folds(self) -> Integers | None:
        """The folds that the table names, as numbers, or None. Raises CohortRefused when only some rows name one."""
        named = [member.row.fold for member in self.members]
        if not any(named):
            return None
        if not all(named) or len(set(named)) < 2:
            raise CohortRefused("the column fold must be filled everywhere, with two names or more")
        return np.unique(named, return_inverse=True)[1].astype(np.int64)

    @property
    def synthetic(self) -> int:
        """Of how many studies nobody was scanned."""
        return sum(member.findings.synthetic for member in self.members)

    @property
    def reasons(self) -> dict[str, int]:
        """How many studies were left out for each reason."""
        return dict(Counter(why for _, why in self.excluded).most_common())


def read_table(
    file: Path, entered: Sequence[str], *, alone: bool = True, rule: Rule = Rule.GUIDELINE
) -> tuple[Row, ...]:
    """Read the table; ``entered`` names the inputs that a reader enters. Their columns must be there where the table is
    ``alone``, and may lack where the node was told of its studies too. Labels go by ``rule``.

    Raises CohortRefused and LabelRefused, naming the line.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            lines = [(reader.line_num, _cells(line)) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CohortRefused(f"the table {file} cannot be read: {error}") from error
    _check_columns(columns, entered, needed=(*_NEEDED, *entered) if alone else _NEEDED)
    first: dict[str, int] = {}
    for number, line in lines:
        before = first.setdefault(line["study"], number)
        if before != number:
            raise CohortRefused(f"line {number}: the study {line['study']} stands in line {before} already")
    return tuple(_row(line, entered, number, rule) for number, line in lines)


def _cells(line: Mapping[str | None, str | None]) -> dict[str, str]:
    return {key: (value or "").strip() for key, value in line.items() if key}


def _check_columns(columns: Sequence[str], entered: Sequence[str], *, needed: Sequence[str]) -> None:
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise CohortRefused(f"the table lacks the column {lacking[0]}")
    known = {*_KNOWN, *OWN, *entered, *(f"{name}_date" for name in entered)}
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise CohortRefused(f"nobody asks for the column {unknown[0]}", remedy="leave it out, or name it as an input")


def _row(line: Mapping[str, str], entered: Sequence[str], number: int, rule: Rule) -> Row:
    try:
        return Row(
            study=line["study"],
            tissue=tissue(line["ihc"], line.get("ish", ""), line.get("ratio", ""), rule),
            patient=line.get("patient", ""),
            scanner=line.get("scanner", ""),
            fold=line.get("fold", ""),
            specimen=_specimen(line.get("specimen", "").lower()),
            specimen_date=_day(line, "specimen_date"),
            treated=_day(line, "treated"),
            entered={name: line[name] for name in (*entered, *OWN) if line.get(name)},
            dates={name: day for name in entered if (day := _day(line, f"{name}_date"))},
        )
    except (CohortRefused, LabelRefused) as error:
        raise type(error)(f"line {number}: {error.detail}", remedy=error.remedy) from error


def _specimen(said: str) -> str:
    """Another word for a resection would pass for a biopsy, whose date ends nothing."""
    if said not in _SPECIMENS:
        raise CohortRefused(f"specimen '{said}'", remedy="biopsy, resection, or empty")
    return said


def _day(line: Mapping[str, str], column: str) -> date | None:
    said = line.get(column, "")
    try:
        return date.fromisoformat(said) if said else None
    except ValueError as error:
        raise CohortRefused(f"{column} '{said}' is no date", remedy="write YYYY-MM-DD") from error


def studies_in(place: Path) -> dict[str, Source]:
    """Each study, by name of its folder and by Study Instance UID where one can be read: of each folder in ``place``,
    or of each folder that ``place``, a text file, lists.

    Raises CohortRefused when there is none, or when two folders are of one study.
    """
    if place.is_file():
        listed = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
        folders = [place.parent / line for line in listed if line and not line.startswith("#")]
    else:
        folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {folder.name: Source(files) for folder in folders if (files := _files(folder))}
    if not found:
        raise CohortRefused(f"{place} holds no folder with a study")
    if len({folder.name for folder in folders}) < len(folders):
        raise CohortRefused(f"{place} lists folders of the same name")
    names: dict[str, str] = {}
    for name, source in found.items():
        uid = _study_of(source)
        if uid is not None:
            name_once(names, uid, name)
    return found | {uid: found[name] for uid, name in names.items()}


def _study_of(source: Source) -> str | None:
    """Its Study Instance UID, by its first file; None where that cannot be read."""
    with suppress(Refused):
        return open_instance(source.files[0]).identity.study_instance_uid
    return None


def name_once(names: dict[str, str], study_instance_uid: str, name: str) -> None:
    """Keep in ``names``, by UID, what a study is called. Raises CohortRefused where it is called otherwise already."""
    first = names.setdefault(study_instance_uid, name)
    if first != name:
        raise CohortRefused(f"{first} and {name} are one and the same study", remedy="keep one of the two")


def with_entered(row: Row, source: Source | None, names: Sequence[str]) -> Row:
    """The row with what readers entered of its study in the node, of the inputs ``names`` and of what the node itself
    asks for. What stands in the table goes before it; when the node's became known is not told, so it has no date."""
    told = {} if source is None else source.entered
    scanner = row.scanner or told.get(SCANNER, "").strip()
    known = {name: told[name] for name in (*names, *OWN) if told.get(name)}
    return replace(row, scanner=scanner, entered={**known, **row.entered})


def _files(folder: Path) -> tuple[Path, ...]:
    """The DICOM files below a folder: those that are named so, or all where none is."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return tuple([path for path in files if path.suffix == ".dcm"] or files)


def join(form: Form, rows: Sequence[Row], found: Mapping[str, Findings | Refused], *, scanners: bool) -> Cohort:
    """The cases: rows with a label whose study was found and has every input. ``found`` is by name of the study's
    folder. What has no label or lacks an input is excluded with the reason, never filled in; with ``scanners`` so is
    what nobody knows the scanner of.

    Raises CohortRefused when nothing is left or only one class, or when two rows name one study.
    """
    by_name: dict[str, Findings | Refused] = dict(found)
    by_name |= {f.study_instance_uid: f for f in found.values() if isinstance(f, Findings)}
    members: list[Member] = []
    excluded: list[tuple[str, str]] = []
    for row in rows:
        try:
            member = _member(form, row, _found(row, by_name))
            if scanners:
                scanner_of(member.findings.where, row.scanner)
            members.append(member)
        except Refused as error:
            excluded.append((row.study, _said(error)))
    if not members:
        raise CohortRefused("no study has a label and every input", remedy=_first_reasons(excluded))
    members = of_persons(members)
    names: dict[str, str] = {}
    for member in members:
        name_once(names, member.findings.study_instance_uid, member.row.study)
    cases = Cases(
        tuple(given.name for given in form.inputs),
        np.array([[used.value for used in member.inputs] for member in members], dtype=np.float64),
        np.array([member.row.tissue.label for member in members], dtype=np.bool_),
        tuple(member.patient for member in members),
        tuple(member.scanner for member in members) if scanners else (),
    )
    return Cohort(tuple(members), cases, tuple(excluded))


def of_persons(members: Sequence[Member]) -> list[Member]:
    """The members, one PatientID with and without its issuer as one person."""
    whose = persons([(member.findings.patient, member.findings.unissued) for member in members])
    return [
        replace(member, findings=replace(member.findings, patient=patient))
        for member, patient in zip(members, whose, strict=True)
    ]


def _found(row: Row, found: Mapping[str, Findings | Refused]) -> Findings:
    if row.tissue.label is None:
        raise LabelRefused("IHC 2+ without ISH")
    findings = found.get(row.study)
    if findings is None:
        raise CohortRefused("its study is not there")
    if isinstance(findings, Refused):
        raise findings
    return findings


def _member(form: Form, row: Row, found: Findings) -> Member:
    lacking = [given.name for given in form.inputs if given.source == "reader" and given.name not in row.entered]
    if lacking:
        raise CohortRefused(f"{lacking[0]} is neither in the table nor entered in the node")
    inputs = gather(form, found.quantities, found.refusals, found.where, row.entered)
    return Member(row, found, inputs.cases[0])


def _said(error: Refused) -> str:
    return f"{error.reason}: {error.detail or error}" if not isinstance(error, CohortRefused) else error.detail


def _first_reasons(excluded: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{study}: {why}" for study, why in excluded[:3])
