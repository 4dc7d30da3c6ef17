"""The whole way in its variants: the demonstration, enhanced objects, Redis with PostgreSQL, start and stop, gates."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from her2node.phantoms import Form, RoiForm
from tests.delivery.objects import PDF, SC, SEG
from tests.delivery.peers import FakePacs
from tests.orthanc import Orthanc
from tests.reports import gates
from tests.scenarios.node import ROOT, Node, until
from tests.scenarios.sending import Sender, small_study
from tests.scenarios.test_kills import Redis

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "her2node", "demo", "--out", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_demonstration_ends_with_numbers_that_agree_with_the_truth(demonstration: dict) -> None:
    assert demonstration["succeeded"]
    assert len(demonstration["comparisons"]) == 7
    assert all(row["agrees"] for row in demonstration["comparisons"])
    assert {row["package"].split()[0] for row in demonstration["estimates"]} == {
        "lee2017-portal-liver",
        "synthetic-demo-ct",
        "synthetic-demo-image",
        "wangna2020-attenuation-demo",
        "zhangxiao-texture-lda-demo",
        "zhangxiao-texture-nda-demo",
        "zheng-portal-node",
    }
    assert demonstration["timeline"][0]["event"].startswith("edition-opened")


@pytest.mark.truth
def test_what_arrives_passes_the_gates(demonstration: dict) -> None:
    files = [Path(item["file"]) for item in demonstration["arrived"]]
    assert len(files) == 6
    for file in files:
        errors, _ = gates.dciodvfy(file)
        assert not errors, (file, errors)
    sources = (Path(demonstration["folder"]) / "phantom").rglob("*.dcm")
    assert not gates.dcentvfy([*files, *sources])


def test_every_object_says_that_it_is_not_for_diagnosis(demonstration: dict) -> None:
    for item in demonstration["arrived"]:
        assert item["series_description"].startswith("HER2 AI - not for diagnosis -")


@pytest.mark.parametrize("roi", [RoiForm.CONTOURS, RoiForm.LABELMAP])
def test_enhanced_objects_with_any_kind_of_region_go_the_same_way(roi: RoiForm, tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    with Orthanc(tmp_path / "pacs", ae_title="PACS") as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.start()
        try:
            study, files = small_study(tmp_path / "study", 41, form=Form.ENHANCED, rois=(roi,))
            Sender(node.port).send(files)
            until(lambda: node.settled(study), 100, "delivered results")
            assert len(pacs.instances(study, "SEG")) == 1
            assert len(pacs.instances(study, "SR")) == 2
        finally:
            node.kill()


def test_redis_and_postgresql_carry_the_same_node(postgres: str, tmp_path: Path) -> None:
    redis = Redis()
    redis.start()
    node = Node(tmp_path / "node", {"jobs.broker": redis.url, "ledger.url": postgres})
    try:
        with Orthanc(tmp_path / "pacs", ae_title="PACS") as pacs:
            node.peer("pacs", "PACS", pacs.port)
            node.start("receive")
            node.start("work")
            node.start("deliver")
            study, files = small_study(tmp_path / "study", 51)
            Sender(node.port).send(files)
            until(lambda: node.settled(study), 100, "delivered results")
            assert len(pacs.instances(study, "SR")) == 2
            assert set(node.stop().values()) == {0}
    finally:
        node.kill(*tuple(node.processes))
        redis.kill()


def test_a_report_that_the_pacs_refuses_is_replaced_by_the_summary_and_the_rest_still_goes(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    with FakePacs(classes=(SEG, SC, PDF)) as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.start()
        try:
            study, files = small_study(tmp_path / "study", 61)
            Sender(node.port).send(files)
            until(lambda: len(pacs.stored) >= 3, 100, "segmentation and summaries")
            assert {str(ds.SOPClassUID) for ds in pacs.datasets.values()} == {SEG, SC, PDF}
            story = node.story(study)
            assert story is not None
            states = [d.state for e in story.editions for r in e.results for d in r.deliveries]
            assert "refused" in states
        finally:
            node.kill()


def test_up_stops_cleanly_on_sigterm_while_a_study_arrives(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    node.start()
    study, files = small_study(tmp_path / "study", 62)
    sender = Sender(node.port)
    sender.send(files[:40])
    began = time.monotonic()
    assert node.stop() == {"up": 0}
    assert time.monotonic() - began < 60
    stopped = {event.get("role") for event in node.events() if event["event"] == "stopped"}
    assert stopped == {"receive", "work", "deliver", "up"}
    node.start()
    try:
        sender.send(files[40:])
        until(
            lambda: (s := node.story(study)) and s.editions[-1].state == "read" and s.instances["filed"] == len(files),
            100,
        )
    finally:
        node.kill()


def test_the_demonstration_package_never_runs_in_an_ordinary_node(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", {"packages.enabled": ["synthetic-demo-ct"]})
    node.start()
    try:
        study, files = small_study(tmp_path / "study", 63)
        Sender(node.port).send(files)
        until(lambda: (s := node.story(study)) and s.editions[-1].state == "read", 100)
        told = node.run("status", study, "--json").stdout
        assert "demonstration-only" in told
    finally:
        node.kill()


def test_doctor_finds_a_running_node_and_its_pacs_well(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    with Orthanc(tmp_path / "pacs", ae_title="PACS") as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.start()
        try:
            until(lambda: any(e.get("role") == "up" and e["event"] == "started" for e in node.events()), 60)
            done = node.run("doctor", "--json", check=False)
            findings = json.loads(done.stdout)
            assert done.returncode == 0, findings
            assert any("1 workers answer" in finding["detail"] for finding in findings)
            assert any(finding["what"].startswith("peer pacs") for finding in findings)
        finally:
            node.kill()
