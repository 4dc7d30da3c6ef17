"""The commands of training: `train`, `evaluate`, `packages from-paper`, `packages import-nnunet`.

What they need is imported when they run.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from her2node import settings
from her2node.errors import Refused
from her2node.models.prediction import Level

if TYPE_CHECKING:
    from her2node.service.cohorts import Query

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).")]
Studies = Annotated[
    Path | None,
    typer.Option("--studies", exists=True, help="Folder with a folder for each study, or a list of folders."),
]
FromLedger = Annotated[
    bool, typer.Option("--ledger", help="Take the studies from the node's own ledger: those that the table names.")
]
Since = Annotated[
    datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="With --ledger: received since this day.")
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", formats=["%Y-%m-%d"], help="With --ledger: received on this day or before."),
]
Table = Annotated[Path, typer.Option("--table", exists=True, help="CSV with the tissue results and entered values.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the results go.")]
NetworkLevel = Literal["site-trained", "published-complete", "synthetic-demo"]
"""Those of ``Level`` that a network may have."""
Key = Annotated[Path, typer.Option("--key", exists=True, help="Private key (PEM) to sign the package with.")]


def register(app: typer.Typer, packages_app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(train)
    app.command()(evaluate)
    packages_app.command("from-paper")(from_paper)
    packages_app.command("import-nnunet")(import_nnunet)


def train(
    form: Annotated[str, typer.Argument(help="A package of the kind form: its name or its folder.")],
    table: Table,
    out: Out,
    key: Key,
    studies: Studies = None,
    ledger: FromLedger = False,
    since: Since = None,
    until: Until = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits; the same seed gives the same package.")] = 1,
    result: Annotated[
        str, typer.Option("--as", metavar="NAME[@VERSION]", help="The package that comes out.", show_default=False)
    ] = "",
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="The studies are of phantoms: make a package for demonstrations alone.")
    ] = False,
    label: Annotated[
        Literal["guideline", "ihc-3", "ihc-2-3"],
        typer.Option(
            "--label", help="What is positive: by the guideline (3+, or 2+ with ISH), IHC 3+, or IHC 2+ and 3+."
        ),
    ] = "guideline",
    config: Config = None,
) -> None:
    """Train a package on the site's own studies and tissue results, validate it, write report and signed package."""
    from her2node.service import training

    out_, err = _console(), _console(stderr=True)
    site, place = settings.read(config), _place(studies, ledger, since, until)
    told = training.train(site, form, result, place, table, out, key, seed, err.print, synthetic=synthetic, rule=label)
    area = told.validation.fitted_auc
    out_.print(f"AUC on new cases: {area.value:.3f} (95 % interval {area.low:.3f} to {area.high:.3f})")
    out_.print(f"report: {told.report[0]}, {told.report[1]}")
    out_.print(f"package: {told.package}")
    if told.level is Level.SYNTHETIC_DEMO:
        out_.print("it is fitted on phantoms and runs with demonstration = true alone")
    out_.print("to run it, name these in the settings:")
    out_.print(f'[packages]\nenabled = ["{told.package.name}"]\nfolders = ["{told.package.parent.absolute()}"]')
    out_.print('trusted_keys = ["FILE OF THE PUBLIC KEY"]')


def evaluate(
    package: Annotated[str, typer.Argument(help="The package: its name or its folder.")],
    table: Table,
    out: Out,
    studies: Studies = None,
    ledger: FromLedger = False,
    since: Since = None,
    until: Until = None,
    config: Config = None,
) -> None:
    """Run a package on an external cohort: discrimination, calibration, decision curve, flags."""
    from her2node.service import training

    place = _place(studies, ledger, since, until)
    told = training.evaluate(settings.read(config), package, place, table, out)
    area = told.evaluation.auc
    said = f"{len(told.evaluation.answered)} cases answered, {len(told.evaluation.excluded)} left out"
    _console().print(f"{said}; AUC {area.value:.3f} (95 % interval {area.low:.3f} to {area.high:.3f})")
    _console().print(f"report: {told.report[0]}, {told.report[1]}")


def from_paper(
    first: Annotated[Path, typer.Argument(exists=True, help="The whole package, with [paper] (TOML).")],
    second: Annotated[
        Path, typer.Argument(exists=True, help="[paper] and [[inputs]] as a second person typed them (TOML).")
    ],
    out: Out,
    key: Key,
) -> None:
    """A package from coefficients that two people typed from a paper, independently of each other."""
    from her2node.service import training

    _console().print(f"package: {training.from_paper(first, second, out, key)}")


def _place(studies: Path | None, ledger: bool, since: datetime | None, until: datetime | None) -> Path | Query:
    """Where the studies are. Raises Refused where that is said twice or not at all."""
    from her2node.service.cohorts import Query

    if ledger is (studies is not None) or (studies is not None and (since or until)):
        raise Refused("the studies come from --studies DIR or from --ledger", remedy="name one of the two")
    return studies or Query(since and since.date(), until and until.date())


def import_nnunet(
    model: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with plans.json and fold_*.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder in which the package's folder is made.")],
    name: Annotated[str, typer.Option(help="Of the package: small letters, digits, hyphens.")],
    channel: Annotated[list[str], typer.Option(help="Role of each channel in its order: portal, arterial...")],
    title: Annotated[str, typer.Option(help="What the network draws, in one line.")],
    citation: Annotated[str, typer.Option(help="Where the network is from.")],
    intended_use: Annotated[str, typer.Option(help="Of which patients and scans it is for.")],
    reference_test: Annotated[str, typer.Option(help="Who drew the regions that it was trained on.")],
    level: Annotated[NetworkLevel, typer.Option(help="On what it was trained: own cases, others', or phantoms.")],
    tumour: Annotated[str, typer.Option(help="The tumour's label in dataset.json.")] = "tumour",
    configuration: Annotated[str, typer.Option(help="Default: as the folder's name ends.")] = "",
    orientation: Annotated[str, typer.Option(help="Where x, y, z of the training images lead.")] = "LPS",
) -> None:
    """Make a segmenter package of a model that nnU-Net trained, ready to sign (needs the extra `nnunet`)."""
    from her2node.training import nnunet

    said = nnunet.Said(
        name, title, citation, intended_use, reference_test, tuple(channel), tumour, configuration, orientation, level
    )
    folder = nnunet.import_nnunet(model, out, said)
    _console().print(f"made: {folder}; sign it with `her2node packages sign`")


def _console(*, stderr: bool = False) -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True, stderr=stderr)
