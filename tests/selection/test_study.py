"""Headers are read once, within bounds, and faults of the machine are not laid on the objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from her2node.errors import TimeIsUp
from her2node.selection import study
from tests.volumes import made


@pytest.mark.parametrize("fault", [MemoryError, TimeIsUp])
def test_a_fault_of_the_machine_is_not_laid_on_the_object(
    fault: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.classic(tmp_path).instances[0].path

    def fails(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(study, "dcmread", fails)
    with pytest.raises(fault):
        study.read_header(path)
