"""The door to onnxruntime tells a model's faults from those of the machine."""

from __future__ import annotations

import onnxruntime
import pytest

from her2node.errors import PackageRefused, TimeIsUp
from her2node.models.session import Session


@pytest.mark.parametrize(
    ("fault", "seen"), [(MemoryError, MemoryError), (TimeIsUp, TimeIsUp), (ValueError, PackageRefused)]
)
def test_a_fault_of_the_machine_is_not_laid_on_the_model(
    fault: type[BaseException], seen: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.raises(seen):
        Session(b"")
