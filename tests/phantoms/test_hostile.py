"""The hostile objects are what their names say, so that tests which use them prove something."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from her2node.dicom.identity import identify
from her2node.errors import InstanceUnreadable, InvalidAttribute, MissingAttribute
from her2node.phantoms import PhantomOptions, Phase, make
from her2node.selection.study import open_instance
from tests import hostile

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what is meant to be wrong here


def _read(content: bytes) -> Dataset:
    ds = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    ds.walk(lambda _, __: None)
    return ds


@pytest.fixture(scope="module")
def kinds() -> dict[str, list[hostile.Pair]]:
    kinds = (hostile.unreadable, hostile.without_identity, hostile.without_use)
    return {kind.__name__: list(kind()) for kind in kinds}


def test_the_unreadable_are_refused_at_the_door(kinds: dict[str, list[hostile.Pair]], tmp_path: Path) -> None:
    path = tmp_path / "object.dcm"
    for name, content in kinds["unreadable"]:
        path.write_bytes(content)
        with pytest.raises(InstanceUnreadable):
            pytest.fail(f"{name}: {open_instance(path)}")


def test_those_without_identity_can_be_read_and_not_identified(kinds: dict[str, list[hostile.Pair]]) -> None:
    for name, content in kinds["without_identity"]:
        ds = _read(content)
        with pytest.raises((MissingAttribute, InvalidAttribute)):
            pytest.fail(f"{name}: {identify(ds)}")


def test_those_without_use_say_who_they_are(kinds: dict[str, list[hostile.Pair]]) -> None:
    found = [identify(_read(content)) for _, content in kinds["without_use"]]
    assert len({identity.sop_instance_uid for identity in found}) == len(found) > 70
    assert len({identity.study_instance_uid for identity in found}) == 1


def test_names_are_unique_and_files_small(kinds: dict[str, list[hostile.Pair]]) -> None:
    pairs = [pair for kind in kinds.values() for pair in kind]
    assert len({name for name, _ in pairs}) == len(pairs)
    assert max(len(content) for _, content in pairs) < 1 << 20


def test_they_belong_to_the_study_that_a_test_gives() -> None:
    options = PhantomOptions(seed=3, rows=64, columns=64, slices=1, phases=(Phase.PLAIN,), rois=())
    base = next(make(options).datasets)
    before = hostile.encoded(base)
    for _, content in islice(hostile.without_use(base), 5):
        assert identify(_read(content)).study_instance_uid == base.StudyInstanceUID
    assert hostile.encoded(base) == before
