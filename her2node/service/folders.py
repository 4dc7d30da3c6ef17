"""`read` and `measure`: one study from a folder, no network, no ledger."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from her2node import reading
from her2node.dicom.attributes import moment
from her2node.errors import Refused, SettingsRefused
from her2node.jobs.classify import entered_roles
from her2node.quantities import signature
from her2node.quantities.signature import Signature
from her2node.reading import Reading
from her2node.reports import wording
from her2node.reports.report import Report, Stamp
from her2node.reports.writing import write
from her2node.selection.study import Study, group, open_study
from her2node.service import measuring
from her2node.service.clock import now
from her2node.service.leading import rules_of
from her2node.service.shelf import check_entries, shelf_of
from her2node.service.workshop import kinds_of, maker_of, methods_of, read_study
from her2node.settings import Settings

_ROI_MODALITIES = frozenset({"SEG", "RTSTRUCT"})


@dataclass(frozen=True)
class Features:
    """`measure --features`: which quantities are wanted.

    - ``codes``: code values of quantities, as 112031 or RNU0, and no other is given; none means all.
    - ``signature``: what is measured beside what always is.
    """

    codes: tuple[str, ...] = ()
    signature: Signature | None = None


@dataclass(frozen=True)
class Written:
    """The objects that were written, and what they say."""

    reading: Reading
    files: tuple[tuple[str, Path], ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "study": self.reading.study.study_instance_uid,
            "notices": [said.text for said in wording.notices()],
            "quantities": measuring.as_list(self.reading),
            "estimates": [
                {
                    "package": f"{p.package.name}@{p.package.version}",
                    "level": p.package.level.value,
                    "prior": p.prior,
                    "prior_source": p.prior_source,
                    "open_inputs": list(p.open_inputs),
                    "answers": [
                        {
                            "inputs": {used.name: {"value": used.value, "source": used.source} for used in a.inputs},
                            "probability": a.probability,
                            "interval": a.interval,
                            "interval_kind": a.interval_kind.value if a.interval else None,
                            "category": a.category.value,
                        }
                        for a in p.answers
                    ],
                    "flags": [str(flag) for flag in p.flags],
                    "stability": asdict(p.stability) if p.stability else None,
                }
                for p in self.reading.predictions
            ],
            "observations": [
                {"package": f"{o.package.name}@{o.package.version}", "remarks": list(o.remarks)}
                for o in self.reading.observations
            ],
            "not_predicted": [
                {"package": n.package.name, **measuring.why(n.refused)} for n in self.reading.not_predicted
            ],
            "files": [{"kind": kind, "file": str(path)} for kind, path in self.files],
        }

    def print(self, console: Console) -> None:
        """What was measured, and then every sentence of the report: no estimate stands without what it rests on."""
        measuring.print_rows((row for row in measuring.as_list(self.reading) if "refused" not in row), console)
        for said in wording.statements(self.reading):
            console.print(f"{said.concept.meaning}: {said.text}")
        for line in self._remedies():
            console.print(line)
        for kind, path in self.files:
            console.print(f"{kind}: {path}")

    def _remedies(self) -> list[str]:
        """Beside the report's sentences, not in them: what helps against each refusal, the same one once."""
        refusals = [one.refused for one in self.reading.not_predicted]
        refusals += [one.refused for one in self.reading.not_measured]
        return list(dict.fromkeys(f"remedy for {one.reason}: {one.remedy}" for one in refusals if one.remedy))


def read(settings: Settings, folder: Path, out: Path, roi: Path | None, entries: Mapping[str, str]) -> Written:
    """Read the study in ``folder`` and write the result objects into ``out``.

    The date and time in the objects are the study's own, so that the same input gives the same files. Raises Refused.
    """
    check_entries(settings, entries)
    study = _open(folder, roi)
    roles = entered_roles(
        {name.removeprefix("role:"): value for name, value in entries.items() if name.startswith("role:")}
    )
    values = {name: value for name, value in entries.items() if not name.startswith("role:")}
    shelf = shelf_of(settings)
    found = read_study(settings, shelf, study, roles, values)
    maker = maker_of(settings, shelf.on)
    stamp = Stamp(
        edition=1,
        moment=_moment_of(study),
        version=maker.version,
        device_uid=maker.device_uid,
        site=maker.site,
        ae_title=maker.ae_title,
        input_hash=_input_hash(study, entries, maker.shaping),
    )
    return Written(found, _store(write(found, stamp, kinds_of(settings)), out))


def measure(
    settings: Settings, folder: Path, roi: Path | None, features: str | None, *, histograms: bool = False
) -> list[dict[str, Any]]:
    """The quantities of the study in ``folder``, in every region or in those of ``roi``. Raises Refused.

    ``features``: a file that lists codes, and no other quantity is given; or one that asks for radiomics or MaZda-like
    texture, by file or by the name of one that ships, and these are given too. ``histograms``: every percentile of
    every distribution too.
    """
    wanted = _features(features)
    study = _open(folder, roi)
    found = reading.read(
        study,
        (),
        rules=rules_of(settings),
        every_roi=True,
        methods=replace(
            methods_of(settings), signatures=(wanted.signature,) if wanted.signature else (), histograms=histograms
        ),
    )
    rows = [*measuring.as_list(found), *map(measuring.unreadable, study.set_aside)]
    if not wanted.codes:
        return rows
    return [row for row in rows if row["code"] is None or row["code"]["value"] in wanted.codes]


def _open(folder: Path, roi: Path | None) -> Study:
    """The study; with ``roi`` given, its regions take the place of those in the folder."""
    study = open_study(measuring.files_of(folder), tolerant=True)
    if roi is None:
        return study
    images = [i.path for s in study.series if s.modality not in _ROI_MODALITIES for i in s.instances]
    regions = open_study([roi])
    if regions.study_instance_uid == study.study_instance_uid:
        return open_study([*images, roi])
    # Regions drawn elsewhere may name another study; geometry alone decides whether they lie on these images.
    return group([i for path in images for i in open_study([path]).instances] + list(regions.instances))


def _features(named: str | None) -> Features:
    if named is None:
        return Features()
    file = Path(named)
    if not file.is_file():
        return Features(signature=signature.shipped(named))  # no file: the name of one that ships
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{file}: {error}", remedy='for example: codes = ["112031"]') from error
    codes = content.pop("codes", [])
    if not isinstance(codes, list) or any(type(code) is not str for code in codes):
        raise SettingsRefused(f"{file}: codes is {codes!r}", remedy='for example: codes = ["112031"]')
    asked = signature.signature_of(content, str(file)) if content else None
    return Features(tuple(codes), asked)


def _moment_of(study: Study) -> datetime:
    first = study.series[0].first
    return moment(first, "StudyDate", "StudyTime") or now()


def _input_hash(study: Study, entries: Mapping[str, str], shaping: str) -> str:
    parts = sorted(instance.identity.sop_instance_uid for instance in study.instances)
    parts += [f"{name}={value}" for name, value in sorted(entries.items())]
    return hashlib.sha256("\n".join([*parts, shaping]).encode()).hexdigest()


def _store(reports: Sequence[Report], out: Path) -> tuple[tuple[str, Path], ...]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        files: list[tuple[str, Path]] = []
        for report in reports:
            count = sum(kind == report.kind.value for kind, _ in files)
            path = out / f"{report.kind.value}{f'-{count + 1}' if count else ''}.dcm"
            path.write_bytes(report.content())
            files.append((report.kind.value, path))
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}", remedy="name another folder with --out") from error
    return tuple(files)
