"""The commands. Each reads its arguments, asks ``service``, prints, and sets the exit status.

Exit status: 0 done; 1 nothing was found or something is wrong (``doctor``, ``measure``); 2 refused, with the reason and
the remedy; 70 our own fault; 75 try again later; 78 the settings cannot be used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from her2node import __version__, settings
from her2node.errors import Her2nodeError, Refused, SettingsRefused, Transient
from her2node.service import training_commands

app = typer.Typer(
    name="her2node",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A DICOM node beside the PACS that estimates HER-2 positivity of gastric cancer. Research software, not a "
    "medical device.",
)
packages_app = typer.Typer(no_args_is_help=True, help="Model packages.")
settings_app = typer.Typer(no_args_is_help=True, help="The settings.")
app.add_typer(packages_app, name="packages")
app.add_typer(settings_app, name="settings")

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
StudyUID = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]


def main() -> None:
    """The console script: errors become a sentence, a remedy and an exit status."""
    try:
        app()
    except Her2nodeError as error:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"error: {error}")
        if error.remedy:
            Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"remedy: {error.remedy}")
        sys.exit(_status(error))
    except BrokenPipeError:
        sys.exit(0)


def _status(error: Her2nodeError) -> int:
    if isinstance(error, SettingsRefused):
        return 78
    if isinstance(error, Refused):
        return 2
    return 75 if isinstance(error, Transient) else 70


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write("\n")


def _out() -> Console:
    return Console(highlight=False, markup=False, soft_wrap=True)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        _out().print(f"her2node {__version__}")
        raise typer.Exit


# --- the running node --------------------------------------------------------------------------------------


@app.command()
def up(config: Config = None) -> None:
    """Run receiver, worker and courier under one supervisor."""
    from her2node.service import roles

    raise typer.Exit(roles.up(settings.read(config), config))


@app.command()
def receive(config: Config = None) -> None:
    """Receive studies by C-STORE."""
    from her2node.service.lean import without_decoders

    without_decoders()
    from her2node.service import roles

    roles.receive(settings.read(config))


@app.command()
def work(config: Config = None) -> None:
    """Analyse studies."""
    from her2node.service import roles

    roles.work(settings.read(config))


@app.command()
def deliver(config: Config = None) -> None:
    """Send results."""
    from her2node.service.lean import without_decoders

    without_decoders()
    from her2node.service import roles

    roles.deliver(settings.read(config))


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the files go.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KIND", help="ct, perfusion, dual-energy, diffusion, dce or pet; may repeat."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Phantom studies through the whole running node into a small test PACS, with the truth beside the numbers."""
    from her2node.service import demo as demonstration

    told = demonstration.run(out, only or [], say=(lambda line: None) if as_json else _out().print)
    if as_json:
        _print_json(told.as_json())
    else:
        told.print(_out())
    raise typer.Exit(0 if told.succeeded else 1)


# --- files in, files out -----------------------------------------------------------------------------------


@app.command()
def read(
    folder: Annotated[Path, typer.Argument(exists=True, help="Folder with the DICOM files of one study.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the result objects go.")],
    roi: Annotated[Path | None, typer.Option("--roi", exists=True, help="SEG or RTSTRUCT with the tumour.")] = None,
    enter: Annotated[
        list[str] | None, typer.Option("--enter", metavar="INPUT=VALUE", help="A value that a reader knows.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Read one study from a folder and write SR, SEG and summary into another. No network."""
    from her2node.service import folders

    written = folders.read(settings.read(config), folder, out, roi, _entries(enter or []))
    if as_json:
        _print_json(written.as_json())
    else:
        written.print(_out())


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(exists=True, help="Folder with the DICOM files of one study.")],
    roi: Annotated[Path | None, typer.Option("--roi", exists=True, help="SEG or RTSTRUCT to measure in.")] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="FILE",
            help="TOML file: codes = [...], radiomics, texture. Ship by name: ibsi-a to ibsi-e, mazda-like.",
        ),
    ] = None,
    histograms: Annotated[
        bool,
        typer.Option("--histograms", help="Percentiles 1 to 99, skewness, kurtosis and entropy of every distribution."),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Measure one study from a folder: a list of quantities, refusals in the same list."""
    from her2node.service import folders, measuring

    rows = folders.measure(settings.read(config), folder, roi, features, histograms=histograms)
    if as_json:
        _print_json(rows)
    else:
        measuring.print_rows(rows, _out())
    raise typer.Exit(0 if measuring.anything_measured(rows) else 1)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write the study into.")],
    kind: Annotated[str, typer.Option(help="ct, textured, dual-energy, perfusion, diffusion, dce or pet.")] = "ct",
    variant: Annotated[
        str,
        typer.Option(
            help="ct: classic, enhanced; textured: checker, grating, random; dual-energy: unit of iodine; "
            "perfusion, dce: layout; diffusion: vendor's tagging; pet: units. An unknown one is answered with all "
            "that there are."
        ),
    ] = "",
    decay: Annotated[str, typer.Option(help="pet: start, start-ge, start-counted, admin or none.")] = "",
    outlined_on: Annotated[str, typer.Option("--outlined-on", help="pet: pet or ct.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of anatomy and noise.")] = 1,
    matrix: Annotated[
        int | None, typer.Option(min=48, max=1024, help="Rows and columns; each kind has its own.")
    ] = None,
    slices: Annotated[
        int | None, typer.Option(min=4, max=2000, help="Slices of each volume; each kind has its own.")
    ] = None,
    roi: Annotated[bool, typer.Option("--roi/--no-roi", help="Write SEG and RTSTRUCT of the tumour too.")] = True,
) -> None:
    """Write a digital phantom study of any kind with known truth."""
    from her2node.service import phantoms

    asked = phantoms.Asked(seed, matrix, slices, variant, decay, outlined_on, roi)
    _out().print(phantoms.write(out, kind, asked))


# --- what is known, and what readers say -------------------------------------------------------------------


@app.command()
def status(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Study Instance UID.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Every study with the reason for its state and the time each step took; how often each flag fires, by package,
    among the latest 1000."""
    from her2node.service import stories

    found = stories.tell(settings.read(config), study)
    if as_json:
        _print_json(found.as_json())
    else:
        found.print(_out())


@app.command()
def rerun(study: StudyUID, config: Config = None) -> None:
    """Analyse a study again: a new edition with today's packages and settings."""
    from her2node.service import stories

    _out().print(stories.rerun(settings.read(config), study))


@app.command()
def resend(study: StudyUID, config: Config = None) -> None:
    """Send the latest results of a study again."""
    from her2node.service import stories

    _out().print(stories.resend(settings.read(config), study))


@app.command()
def enter(
    study: StudyUID,
    values: Annotated[
        list[str], typer.Argument(metavar="INPUT=VALUE...", help="e.g. hepatic_metastasis=1 role:1.2.3=portal")
    ],
    config: Config = None,
) -> None:
    """Enter what only a reader knows, or take it back (INPUT=); the study gets a new edition."""
    from her2node.service import stories

    _out().print(stories.enter(settings.read(config), study, _entries(values, may_be_empty=True)))


def _entries(values: list[str], *, may_be_empty: bool = False) -> dict[str, str]:
    entries = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name.strip() or not (content.strip() or may_be_empty):
            raise Refused(f"{value!r} is not INPUT=VALUE", remedy="write for example hepatic_metastasis=1")
        entries[name.strip()] = content.strip()
    return entries


# --- packages ----------------------------------------------------------------------------------------------


@packages_app.command("list")
def packages_list(as_json: AsJson = False, config: Config = None) -> None:
    """The packages that ship and those in the site's folders: level, version, enabled, trusted."""
    from her2node.service import shelf

    rows = shelf.listing(settings.read(config))
    if as_json:
        _print_json(rows)
        return
    for line in shelf.lines(rows):
        _out().print(line)


@packages_app.command("show")
def packages_show(name: Annotated[str, typer.Argument(help="Name of the package.")], config: Config = None) -> None:
    """The card of a package."""
    from her2node.service import shelf

    _out().print(shelf.card(settings.read(config), name))


@packages_app.command("verify")
def packages_verify(
    folder: Annotated[
        Path | None, typer.Argument(exists=True, help="Folder of one package; default: all known.")
    ] = None,
    config: Config = None,
) -> None:
    """Check hashes, signature, graph and worked cases."""
    from her2node.service import shelf

    fine = True
    for line, good in shelf.verify(settings.read(config), folder):
        fine &= good
        _out().print(line)
    raise typer.Exit(0 if fine else 2)


@packages_app.command("keygen")
def packages_keygen(
    private: Annotated[Path, typer.Argument(help="File for the private key (PEM); must not exist.")],
    public: Annotated[Path, typer.Argument(help="File for the public key (PEM); goes into packages.trusted_keys.")],
) -> None:
    """Make an Ed25519 key pair for signing packages."""
    from her2node.service import shelf

    shelf.keygen(private, public)
    _out().print(
        f"private key: {private} (keep it off the node)\npublic key: {public} (name it in packages.trusted_keys)"
    )


@packages_app.command("sign")
def packages_sign(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the package.")],
    key: Annotated[Path, typer.Option("--key", exists=True, help="Private key (PEM).")],
) -> None:
    """Sign a package's manifest."""
    from her2node.service import shelf

    _out().print(f"signed: {shelf.sign(folder, key)}")


@packages_app.command("install")
def packages_install(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the package.")],
    config: Config = None,
) -> None:
    """Copy a trusted package to the node, beside its other versions; nothing that runs changes."""
    from her2node.service import shelf

    _out().print(shelf.install(settings.read(config), folder))


@packages_app.command("remove")
def packages_remove(name: Annotated[str, typer.Argument(metavar="NAME@VERSION")], config: Config = None) -> None:
    """Delete an installed package that does not run."""
    from her2node.service import register

    _out().print(f"removed: {register.remove(settings.read(config), name)}")


@packages_app.command("enable")
def packages_enable(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")],
    shadow: Annotated[bool, typer.Option("--shadow", help="Keep its answers, send them to nobody.")] = False,
    config: Config = None,
) -> None:
    """Let a package run, in place of other versions of it."""
    from her2node.service import shelf

    _out().print(shelf.enable(settings.read(config), name, shadow=shadow))


@packages_app.command("disable")
def packages_disable(name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = None) -> None:
    """Let a package run no longer."""
    from her2node.service import shelf

    _out().print(shelf.disable(settings.read(config), name))


@packages_app.command("rollback")
def packages_rollback(name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = None) -> None:
    """Let the version and mode before the last enable, disable or rollback hold again."""
    from her2node.service import shelf

    _out().print(shelf.roll_back(settings.read(config), name))


@packages_app.command("keys")
def packages_keys(config: Config = None) -> None:
    """The trusted public keys by fingerprint."""
    from her2node.service import shelf

    for mark, file in shelf.keys(settings.read(config)):
        _out().print(f"{mark}  {file}")


@packages_app.command("trust")
def packages_trust(
    public: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Public key (PEM).")],
    config: Config = None,
) -> None:
    """Trust the packages that a key signed."""
    from her2node.service import register

    _out().print(f"trusted: {register.trust(settings.read(config), public)}")


@packages_app.command("distrust")
def packages_distrust(
    mark: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="As `packages keys` prints it.")],
    config: Config = None,
) -> None:
    """Trust a key no longer; what it signed is refused from the next start on."""
    from her2node.service import register

    register.distrust(settings.read(config), mark)
    _out().print(f"no longer trusted: {mark}")


@packages_app.command("literature")
def packages_literature() -> None:
    """Every study of the review, and which package stands for it."""
    from her2node.service import shelf

    _out().print(shelf.literature())


training_commands.register(app, packages_app)


# --- settings, conformance, doctor -------------------------------------------------------------------------


@settings_app.command("show")
def settings_show(config: Config = None) -> None:
    """The settings in force, as JSON."""
    from her2node.service import settings_page

    _print_json(settings_page.in_force(settings.read(config)))


@settings_app.command("check")
def settings_check(config: Config = None) -> None:
    """Read the settings and name every key that cannot be used."""
    from her2node.service import checking

    checking.check(settings.read(config))
    _out().print("the settings can be used")


@settings_app.command("example")
def settings_example() -> None:
    """A commented settings file with every key and its default."""
    from her2node.service import settings_page

    sys.stdout.write(settings_page.example())


@app.command()
def conformance(config: Config = None) -> None:
    """The DICOM Conformance Statement, from the code and the settings."""
    from her2node.service import doctor as surgery

    sys.stdout.write(surgery.conformance(settings.read(config)))


@app.command()
def doctor(
    local: Annotated[bool, typer.Option("--local", help="This node only, no peers; for health checks.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Check disk, ledger, broker, the own receiver and every peer; say in plain words what to do."""
    from her2node.service import doctor as surgery

    findings = surgery.examine(settings.read(config), peers=not local)
    if as_json:
        _print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            _out().print(finding.as_text())
    raise typer.Exit(0 if all(finding.fine for finding in findings) else 1)
