"""What a worker needs to turn a study into results: reading and writing with the settings filled in."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from functools import partial

import her2node
from her2node import reading
from her2node.delivery import outbox
from her2node.jobs.analyse import Maker, Patience, Workshop
from her2node.models.package import Package
from her2node.quantities import diffusion, perfusion
from her2node.quantities.dce import DceFactors
from her2node.quantities.preparation import Gates
from her2node.reading import Methods, Reading
from her2node.reports.report import ObjectKind
from her2node.reports.writing import write
from her2node.selection.roles import Role
from her2node.selection.study import Study
from her2node.service.clock import now
from her2node.service.leading import rules_of
from her2node.service.parts import device_uid_of, ledger_of, spool_of
from her2node.service.shelf import Shelf, shelf_of
from her2node.settings import Settings


def workshop_of(settings: Settings) -> Workshop:
    """Everything that a worker process works with; opens a ledger of its own."""
    shelf = shelf_of(settings)
    return Workshop(
        name=f"{socket.gethostname()}:{os.getpid()}",
        ledger=ledger_of(settings),
        spool=spool_of(settings),
        read=partial(read_study, settings, shelf),
        write=partial(write, kinds=kinds_of(settings)),
        address=partial(
            outbox.address,
            peers=settings.peers,
            to_sender=settings.delivery.to_sender,
            destinations=settings.delivery.destinations,
            summary=settings.reports.summary,
        ),
        maker=maker_of(settings, shelf.on),
        patience=Patience(settings.jobs.lease, settings.jobs.heartbeat, settings.jobs.attempts),
        clock=now,
    )


def read_study(
    settings: Settings,
    shelf: Shelf,
    study: Study,
    entered_roles: Mapping[str, Role | None],
    entered: Mapping[str, str],
) -> Reading:
    """``reading.read`` with the site's rules, prior and mode."""
    return reading.read(
        study,
        shelf.on,
        shadow=shelf.shadow,
        stability=settings.packages.stability,
        rules=rules_of(settings),
        entered_roles=entered_roles,
        entered=entered,
        prior=settings.packages.prior,
        prior_source=settings.packages.prior_source,
        demonstration=settings.demonstration,
        methods=methods_of(settings),
    )


def methods_of(settings: Settings) -> Methods:
    """How the site wants things calculated."""
    return Methods(
        perfusion=perfusion.Factors(**settings.perfusion.model_dump()),
        diffusion=diffusion.Factors(**settings.diffusion.model_dump()),
        gates=Gates(**settings.pet.model_dump(exclude={"maps"})),
        suv_maps=settings.pet.maps,
        dce=DceFactors(**settings.dce.model_dump(exclude={"interval_s"})),
        interval_s=settings.dce.interval_s or None,
        decompose=settings.dual_energy.decompose,
        reference_vein_hu=settings.enhancement.reference_vein_hu,
        images=settings.selection.images,
        batch=settings.segmenter.batch,
        network_seconds=settings.network_seconds,
    )


def kinds_of(settings: Settings) -> tuple[ObjectKind, ...]:
    """The kinds of objects that the site wants written."""
    unwanted: set[ObjectKind] = set()
    if settings.reports.summary == "never":
        unwanted |= {ObjectKind.SUMMARY_IMAGE, ObjectKind.SUMMARY_DOCUMENT}
    if not settings.reports.could_not:
        unwanted.add(ObjectKind.COULD_NOT)
    return tuple(kind for kind in ObjectKind if kind not in unwanted)


def maker_of(settings: Settings, packages: tuple[Package, ...]) -> Maker:
    """Who makes the results; ``shaping`` is a digest of the packages and of every setting that shapes them."""
    shapes = {
        "packages": [package.sha256 for package in packages],
        "rules": [rule.model_dump(mode="json") for rule in settings.selection.rules],
        "prior": settings.packages.prior,
        "prior_source": settings.packages.prior_source,
        "stability": settings.packages.stability,
        "demonstration": settings.demonstration,
        "images": settings.selection.images,
        "enhancement": settings.enhancement.model_dump(mode="json"),
        "decompose": settings.dual_energy.decompose,
        "perfusion": settings.perfusion.model_dump(mode="json"),
        "diffusion": settings.diffusion.model_dump(mode="json"),
        "pet": settings.pet.model_dump(mode="json"),
        "dce": settings.dce.model_dump(mode="json"),
        "segmenter": settings.segmenter.model_dump(mode="json"),
        "kinds": [kind.value for kind in kinds_of(settings)],
    }
    return Maker(
        version=her2node.__version__,
        device_uid=device_uid_of(settings),
        site=settings.reports.site,
        ae_title=settings.reception.ae_title,
        shaping=hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest(),
    )
