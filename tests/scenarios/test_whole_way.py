"""The whole way in its variants: the demonstration, enhanced objects, Redis with PostgreSQL, start and stop, gates."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node.phantoms import Form, RoiForm, write
from her2node.service import demo_weights
from her2node.service.demonstration import running
from her2node.service.demonstration.studies import Kind, plan
from her2node.service.demonstration.told import tell
from her2node.service.shelf import demonstration_name
from tests.delivery.objects import PDF, SC, SEG
from tests.delivery.peers import FakePacs
from tests.orthanc import Orthanc
from tests.reports import gates
from tests.scenarios.node import ROOT, Node, until
from tests.scenarios.said import report_of, returned
from tests.scenarios.sending import Sender, small_study
from tests.scenarios.test_kills import Redis

pytestmark = pytest.mark.servers


PATIENT = pytest.mark.timeout(1500)
"""Six studies are read; a machine at work on other things may be slow."""


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "her2node", "demo", "--out", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        said, errors = process.communicate(timeout=1400)
    except BaseException:
        process.terminate()  # not killed: it has a node to end
        process.communicate()
        raise
    assert process.returncode == 0, said + errors
    return json.loads(said)


@pytest.fixture(scope="module")
def shown(demonstration: dict) -> dict[str, dict]:
    """The studies by their kind."""
    return {study["kind"]: study for study in demonstration["studies"]}


@PATIENT
def test_the_demonstration_ends_with_numbers_that_agree_with_the_truth(
    demonstration: dict, shown: dict[str, dict]
) -> None:
    assert demonstration["succeeded"]
    assert {kind: len(study["comparisons"]) for kind, study in shown.items()} == {
        "ct": 8, "perfusion": 4, "dual-energy": 3, "diffusion": 5, "dce": 7, "pet": 10,
    }  # fmt: skip
    assert all(row["agrees"] for study in shown.values() for row in study["comparisons"])
    assert all(study["timeline"][0]["event"].startswith("edition-opened") for study in shown.values())


def fitted(cohort: demo_weights.Cohort) -> set[str]:
    """The packages of the forms that are fitted on a cohort."""
    return set(map(demonstration_name, cohort.forms))


@PATIENT
def test_the_demonstration_shows_an_estimate_of_every_modality(shown: dict[str, dict]) -> None:
    answered = {kind: {row["package"].split()[0] for row in study["estimates"]} for kind, study in shown.items()}
    wanted = {
        "ct": {
            "lee2017-portal-liver",
            "synthetic-demo-ct",
            "synthetic-demo-image",
            *fitted(demo_weights.CT),
            "zheng-portal-node",
        },
        "perfusion": fitted(demo_weights.PERFUSION),
        "dual-energy": {"lee2017-portal-liver", "zheng-portal-node", *fitted(demo_weights.IODINE)},
        "diffusion": {"ji2017-adc", "ji2017-d", *fitted(demo_weights.DIFFUSION)},
        "dce": {"ji2017-adc", *fitted(demo_weights.MR), *fitted(demo_weights.DIFFUSION)},
        "pet": {"zhangjn2016-suvmax", *fitted(demo_weights.PET)},
    }
    for kind, packages in wanted.items():
        assert packages <= answered[kind], kind
    for study in shown.values():
        names = {row["package"] for row in study["estimates"]} | {row["package"] for row in study["not_run"]}
        assert {"ji2017-f 1.0.0", "synthetic-demo-ct 1.0.0", "pumc2022-mtv 1.0.0"} <= names
        assert all(row["reason"] for row in study["not_run"])


@PATIENT
def test_the_region_of_the_demonstrations_ct_is_the_networks(shown: dict[str, dict]) -> None:
    overlap = shown["ct"]["comparisons"][0]
    assert overlap["name"].startswith("Dice")
    assert overlap["value"] >= 0.85
    (report,) = [Path(item["file"]) for item in shown["ct"]["arrived"] if item["series_description"].endswith("report")]
    texts = [str(element.value) for element in dcmread(report).iterall() if element.keyword == "TextValue"]
    assert any("synthetic-demo-segmenter" in text for text in texts)


@PATIENT
@pytest.mark.truth
def test_what_arrives_passes_the_gates(demonstration: dict, shown: dict[str, dict]) -> None:
    for kind, study in shown.items():
        files = [Path(item["file"]) for item in study["arrived"]]
        assert len(files) >= 5
        for file in files:
            errors, _ = gates.dciodvfy(file)
            assert not errors, (file, errors)
        sources = (Path(demonstration["folder"]) / "phantom" / kind).rglob("*.dcm")
        assert not gates.dcentvfy([*files, *sources]), kind


@PATIENT
def test_every_object_says_that_it_is_not_for_diagnosis(shown: dict[str, dict]) -> None:
    for study in shown.values():
        for item in study["arrived"]:
            assert item["series_description"].startswith("HER2 AI - not for diagnosis -")


@PATIENT
@pytest.mark.soak
def test_the_demonstrations_studies_come_back_to_an_orthanc_with_one_report_each(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "pacs", ae_title="DEMOPACS") as pacs, running.node(tmp_path, pacs.port) as node:
        plans = [plan(kind) for kind in Kind]
        sent = {one.study.study_instance_uid: write(one.study, tmp_path / "phantom" / one.kind) for one in plans}
        for files in sent.values():
            running.send(node, files)
        stories = running.wait(node, sent)
        for one in plans:
            uid = one.study.study_instance_uid
            back = returned(pacs, uid)
            report_of(back)  # there is one, and no second
            files = [tmp_path / f"{one.kind}-{number}.dcm" for number in range(len(back))]
            for ds, file in zip(back, files, strict=True):
                ds.save_as(file, enforce_file_format=True)
            told = tell(one, None, files, 0.0, delivered=uid in stories)
            assert told.succeeded, (one.kind, told.comparisons)


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
