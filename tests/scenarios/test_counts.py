"""A PACS that is asked how many objects a study has: what it has not routed yet is waited for, and not longer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node.ledger.story_records import EditionStory
from tests.orthanc import Orthanc
from tests.scenarios.node import Node, until
from tests.scenarios.sending import small_study

pytestmark = pytest.mark.servers
NODE = "her2node"
WHOLE = "PACS has 104 objects in 4 series, all are here"


def _route(pacs: Orthanc, objects: Sequence[str]) -> None:
    """Orthanc sends these by C-STORE and says when it is done."""
    sent = pacs.post(f"/modalities/{NODE}/store", {"Resources": list(objects), "Synchronous": True})
    assert sent["FailedInstancesCount"] == 0


def _portal(files: Sequence[Path]) -> tuple[str, list[Path]]:
    """UID and files of the portal series, from one end to the other."""
    headers = {file: dcmread(file, stop_before_pixels=True) for file in files}
    portal = [file for file in files if "portal" in str(headers[file].SeriesDescription).lower()]
    ordered = sorted(portal, key=lambda file: float(headers[file].ImagePositionPatient[2]))
    return str(headers[ordered[0]].SeriesInstanceUID), ordered


def _edition(node: Node, study: str) -> EditionStory | None:
    story = node.story(study)
    return story.editions[-1] if story else None


def _completions(node: Node, study: str) -> list[str]:
    story = node.story(study)
    return [event.detail for event in story.events if event.kind == "edition-complete"] if story else []


def test_half_a_series_is_not_complete_by_content_before_the_rest_that_the_pacs_has_is_here(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", {"completion.quiet": 300})
    pacs = Orthanc(tmp_path / "pacs", ae_title="PACS", modalities={NODE: ("HER2NODE", node.port)})
    node.peer("pacs", "PACS", pacs.port, counts=True)
    study, files = small_study(tmp_path / "study", 71)
    series, portal = _portal(files)
    with pacs:
        node.start()
        try:
            ids = {file: pacs.upload(file) for file in files}
            late = portal[13:]
            _route(pacs, [ids[file] for file in files if file not in late])
            waits = f"PACS has 26 objects of series {series}, 13 are here; until "
            until(lambda: (e := _edition(node, study)) and e.reason.startswith(waits), 60, waits)
            _route(pacs, [ids[file] for file in late])
            until(lambda: node.settled(study), 90, "delivered results")
            (how,) = _completions(node, study)
            assert (
                how == f"content: lee2017-portal-liver, zheng-portal-node: every role that is needed is here; {WHOLE}"
            )

            # The PACS has the node's own results by now: they are no part of what is waited for.
            node.run("enter", study, "hepatic_metastasis=1")
            until(lambda: node.settled(study, editions=2), 90, "a second edition")
            assert _completions(node, study)[1].endswith(WHOLE)
            assert len(pacs.instances(study, "SR")) > 2
        finally:
            node.kill()


def test_a_pacs_without_queries_leaves_it_to_the_extents_and_the_evidence_says_so(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", {"completion.quiet": 300})
    closed = {"DicomAlwaysAllowFind": False}
    pacs = Orthanc(tmp_path / "pacs", ae_title="PACS", modalities={NODE: ("HER2NODE", node.port)}, more=closed)
    pacs.more["DicomModalities"] = {
        NODE: {"AET": "HER2NODE", "Host": "127.0.0.1", "Port": node.port, "AllowFind": False}
    }
    node.peer("pacs", "PACS", pacs.port, counts=True)
    study, files = small_study(tmp_path / "study", 72)
    with pacs:
        node.start()
        try:
            _route(pacs, [pacs.upload(file) for file in files])
            until(lambda: _completions(node, study), 60, "completion")
            (how,) = _completions(node, study)
            assert how.startswith("content: ")
            assert "PACS was asked in vain how many objects it has" in how
            assert how.endswith("the phases' extents decided instead")
        finally:
            node.kill()
