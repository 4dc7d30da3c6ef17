"""Studies, readings and written objects that many tests look at; made once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.reading import Reading
from her2node.reports import ObjectKind, Report, write
from tests.reports import making


@dataclass(frozen=True)
class Case:
    """A study's files, its reading, and the objects written of it: with results, and as if nothing could run."""

    sources: tuple[Path, ...]
    reading: Reading
    reports: dict[ObjectKind, Report]
    files: dict[ObjectKind, Path]


def case_of(reading: Reading, sources: tuple[Path, ...], folder: Path) -> Case:
    stamp = replace(making.STAMP, predecessors=())
    reports = (
        *write(reading, stamp, making.ALL),
        *write(making.nothing_read(reading), stamp, (ObjectKind.COULD_NOT,)),
    )
    return Case(sources, reading, {r.kind: r for r in reports}, making.write_files(reports, folder))


@pytest.fixture(scope="session")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("classic")
    making.folder_of(folder / "study", making.SMALL)
    sources = tuple(sorted((folder / "study").rglob("*.dcm")))
    return case_of(making.reading_of(folder / "study"), sources, folder / "reports")


@pytest.fixture(scope="session")
def enhanced(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Multi-frame images and the region as an RTSTRUCT."""
    folder = tmp_path_factory.mktemp("enhanced")
    options = replace(making.SMALL, form=phantoms.Form.ENHANCED, rois=(phantoms.RoiForm.CONTOURS,))
    making.folder_of(folder / "study", options)
    sources = tuple(sorted((folder / "study").rglob("*.dcm")))
    return case_of(making.reading_of(folder / "study"), sources, folder / "reports")


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Case:
    sources = tuple(sorted((shared / "data" / "ct-abdomen-portal-crlm1004").glob("*.dcm")))
    return case_of(making.real_reading(shared), sources, tmp_path_factory.mktemp("real"))


@pytest.fixture(params=["classic", "enhanced", "real"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found
