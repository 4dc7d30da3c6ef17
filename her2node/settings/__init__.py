"""Every setting of the node, each with its sentence: one TOML file, overridden by environment variables.

Order of precedence: ``HER2NODE_SECTION__KEY`` environment variables, then the file, then the defaults here. Secrets
are given by file: ``..._file`` keys name a file whose stripped content is the secret. Only ``service`` and ``cli``
read the settings; the rooms below get values, or the section that is theirs.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from her2node.errors import SettingsRefused
from her2node.settings.methods import Dce, Diffusion, DualEnergy, Enhancement, Perfusion, Pet, Section, Segmenter

Network = IPv4Network | IPv6Network


def _ae_title(value: str) -> str:
    """An AE title (PS3.5 6.2): 1 to 16 printable ASCII characters, no backslash, not only spaces."""
    title = value.strip()
    if not 1 <= len(title) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError(f"{value!r} is no AE title: 1 to 16 printable ASCII characters without backslash")
    return title


def _expand(value: Path) -> Path:
    return Path(os.path.expandvars(value)).expanduser()


def _network(value: object) -> object:
    return ip_network(value, strict=False) if isinstance(value, str) else value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    return value


def _keyword(value: str) -> str:
    from pydicom.datadict import tag_for_keyword  # here, for it brings in numpy, and only site rules need it

    if tag_for_keyword(value) is None:
        raise ValueError(f"{value!r} is no DICOM keyword")
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
ExpandedPath = Annotated[Path, AfterValidator(_expand)]
AddressRange = Annotated[Network, BeforeValidator(_network), PlainSerializer(str)]
Regex = Annotated[str, AfterValidator(_pattern)]
Keyword = Annotated[str, AfterValidator(_keyword)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[timedelta, Field(gt=timedelta(0)), PlainSerializer(lambda span: span.total_seconds())]
ObjectKind = Literal[
    "report", "outline", "segmentation", "summary-image", "summary-document", "could-not", "parametric-map"
]
CtRole = Literal[
    "plain", "arterial", "portal", "equilibrium", "iodine", "monoenergetic", "effective-z", "perfusion", "ignore"
]


class TlsFiles(Section):
    """Certificate, key and authorities of one direction."""

    certificate: ExpandedPath | None = Field(None, description="PEM file with the node's certificate (chain).")
    key: ExpandedPath | None = Field(None, description="PEM file with the node's private key.")
    key_password_file: ExpandedPath | None = Field(None, description="File with the password of the key.")
    ca: ExpandedPath | None = Field(
        None, description="PEM file with the authorities that the other side's certificate must come from."
    )


class ReceptionTls(TlsFiles):
    """TLS for associations that peers open to the node."""

    port: Port = Field(0, description="Port for DICOM over TLS (2762 is the registered one); 0 switches it off.")
    client_certificate_required: bool = Field(True, description="Refuse peers without a certificate from `ca`.")


class Reception(Section):
    """The C-STORE and C-ECHO SCP."""

    ae_title: AETitle = Field(
        "HER2NODE", description="The node's AE title; associations to another title are rejected."
    )
    host: str = Field("0.0.0.0", description="Address to listen on; who may connect is decided by `allow_addresses`.")
    port: Port = Field(11112, description="Port to listen on without TLS; 0 switches it off (with tls.port set).")
    allow_ae_titles: tuple[AETitle, ...] = Field(
        (), description="Calling AE titles that are accepted; empty accepts any."
    )
    allow_addresses: tuple[AddressRange, ...] = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Addresses and networks that may associate. Only this machine by default.",
    )
    maximum_associations: int = Field(64, ge=1, description="Associations at one time; more are rejected as transient.")
    maximum_pdu_bytes: int = Field(131_072, ge=4096, le=16_777_216, description="PDU size offered to peers.")
    maximum_instance_bytes: int = Field(4_294_967_296, ge=1, description="Larger objects are refused with 0xA700.")
    network_timeout: Seconds = Field(
        timedelta(seconds=30), description="A peer silent inside a PDU or handshake for so long is cut off."
    )
    idle_timeout: Seconds = Field(
        timedelta(minutes=10), description="An association without any message for so long is aborted."
    )
    free_space_watermark_bytes: int = Field(
        2_147_483_648, ge=0, description="Below this free space in the spool C-STORE is answered 0xA700."
    )
    receivers: int = Field(1, ge=1, le=64, description="Pre-forked receiver processes on one listener.")
    tls: ReceptionTls = Field(ReceptionTls(), description="TLS for associations that peers open to the node.")


class Ledger(Section):
    """Where the node keeps what it knows."""

    url: str = Field(
        "",
        description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/her2node; empty: SQLite in state_dir.",
    )
    url_file: ExpandedPath | None = Field(
        None, description="File that holds the URL (with its password) instead of `url`."
    )


class Jobs(Section):
    """How work is queued."""

    broker: str = Field("embedded", description="`embedded` (a disposable file, nothing to install) or a Redis URL.")
    broker_file: ExpandedPath | None = Field(None, description="File that holds the broker URL instead of `broker`.")
    workers: int = Field(1, ge=1, description="Worker processes that analyse studies in one `work`.")
    lease: Seconds = Field(
        timedelta(seconds=60), description="A job whose worker gave no sign for so long is given to another."
    )
    heartbeat: Seconds = Field(timedelta(seconds=10), description="How often a worker says that it lives.")
    resend: Seconds = Field(
        timedelta(seconds=60), description="A job message that nobody took for so long is sent again."
    )
    tick: Seconds = Field(timedelta(seconds=0.5), description="How often the leader looks at the ledger.")
    window: int = Field(16, ge=1, description="Jobs in the queue at one time.")
    attempts: int = Field(5, ge=1, description="A job that fails or kills its worker so often is given up.")
    time_limit: Seconds = Field(
        timedelta(minutes=30), description="A job that takes longer is killed and counts as an attempt."
    )


class Completion(Section):
    """When a study is complete."""

    settle: Seconds = Field(
        timedelta(seconds=5), description="By content: so long after the last object when every need is met."
    )
    quiet: Seconds = Field(timedelta(seconds=60), description="By quiet: nothing new for so long.")
    patience: Seconds = Field(timedelta(hours=1), description="At the latest so long after the first object.")


class Delivery(Section):
    """Where results go and how long the node tries."""

    to_sender: bool = Field(True, description="Send results to the peer whose AE title called with the study.")
    destinations: tuple[str, ...] = Field((), description="Names of [peers] that get every result.")
    first_pause: Seconds = Field(
        timedelta(seconds=5), description="Pause after the first failure; it doubles every time."
    )
    longest_pause: Seconds = Field(timedelta(minutes=10), description="The pause grows no longer than this.")
    confirm: bool = Field(
        True, description="Ask the peer by C-FIND, where it offers that, whether the objects are there."
    )
    tls: TlsFiles = Field(TlsFiles(), description="TLS for associations that the node opens.")


class Retention(Section):
    """How long things are kept."""

    days: float = Field(30, gt=0, description="Studies and results are kept so long after their last change.")
    set_aside_days: float = Field(30, gt=0, description="Objects that were set aside are kept so long.")


class RoleRule(Section):
    """A site's own word on which series plays which role: every pattern must be found in its attribute."""

    role: CtRole = Field(description="The role that a matching series plays; `ignore` keeps a series out.")
    patterns: dict[Keyword, Regex] = Field(
        min_length=1, description="DICOM keyword to regular expression, searched without regard to case."
    )


class Selection(Section):
    """Which series plays which role."""

    rules: tuple[RoleRule, ...] = Field((), description="Site rules; the first that matches decides.")
    images: bool = Field(
        True,
        description="Let the images of a CT series name, bear out or refute the contrast phase; false: headers alone.",
    )


class Packages(Section):
    """Model packages."""

    enabled: tuple[str, ...] = Field(
        (
            "lee2017-portal-liver",
            "zheng-portal-node",
            "ji2017-adc",
            "ji2017-d",
            "zhangjn2016-suvmax",
            "ji2017-f",
            "ji2017-d-star",
            "pumc2022-mtv",
        ),
        description="Packages to run, by name or name@version; `her2node packages enable` goes before.",
    )
    shadow: tuple[str, ...] = Field(
        (), description="Packages whose answers are computed and kept in the ledger, but sent to nobody."
    )
    stability: bool = Field(
        True, description="Measure a tumour a voxel otherwise drawn too, and say whether estimates hold; takes longer."
    )
    folders: tuple[ExpandedPath, ...] = Field((), description="Folders with the site's own packages.")
    trusted_keys: tuple[ExpandedPath, ...] = Field(
        (), description="Ed25519 public keys (PEM) whose packages are trusted."
    )
    prior: float | None = Field(
        None, gt=0, lt=1, description="HER-2 prevalence at the site, for packages that take a prior."
    )
    prior_source: str = Field("", description="Where the prior comes from; printed with it.")


class Reports(Section):
    """What is written."""

    could_not: bool = Field(True, description="Write a report with the reasons when nothing could run.")
    summary: Literal["on-refusal", "always", "never"] = Field(
        "on-refusal",
        description="One-page summary as Secondary Capture and PDF: always, never, or when a peer refuses the SR.",
    )
    device_uid: str = Field(
        "", description="UID of this installation as observer; empty: derived from site and AE title."
    )
    site: str = Field("", description="Name of the institution that runs the node.")


class Peer(Section):
    """Another application entity."""

    ae: AETitle = Field(description="Its AE title.")
    host: str = Field(min_length=1, description="Its host name or address.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(104, description="Its port.")
    tls: bool = Field(False, description="Speak TLS to it.")
    receives: tuple[ObjectKind, ...] = Field(
        ("report", "outline", "segmentation", "could-not", "summary-image", "summary-document", "parametric-map"),
        description="Which objects it gets.",
    )
    commitment: bool = Field(False, description="It offers storage commitment.")
    counts: bool = Field(
        False,
        description="Ask it by C-FIND how many objects a study has; a study is not complete by content before they "
        "are here.",
    )


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/her2node``, or ``~/.local/state/her2node``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "her2node"


def default_config_file() -> Path:
    """``$XDG_CONFIG_HOME/her2node/her2node.toml``, or under ``~/.config``."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "her2node" / "her2node.toml"


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="HER2NODE_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    state_dir: ExpandedPath = Field(
        default_factory=default_state_dir, description="Folder for ledger, spool and results."
    )
    run_dir: ExpandedPath | None = Field(
        None, description="Folder for the disposable broker file; default: run/ in state_dir."
    )
    demonstration: bool = Field(
        False, description="Demonstration mode: synthetic-demo packages may run. Never in a clinic."
    )
    log_format: Literal["console", "json"] = Field("console", description="Form of log lines.")
    reception: Reception = Field(Reception(), description="The C-STORE and C-ECHO SCP.")
    ledger: Ledger = Field(Ledger(), description="Where the node keeps what it knows.")
    jobs: Jobs = Field(Jobs(), description="How work is queued.")
    completion: Completion = Field(Completion(), description="When a study is complete.")
    delivery: Delivery = Field(Delivery(), description="Where results go and how long the node tries.")
    retention: Retention = Field(Retention(), description="How long things are kept.")
    selection: Selection = Field(Selection(), description="Which series plays which role.")
    enhancement: Enhancement = Field(Enhancement(), description="Attenuation compared from phase to phase.")
    dual_energy: DualEnergy = Field(DualEnergy(), description="Dual-energy CT.")
    perfusion: Perfusion = Field(Perfusion(), description="What turns CT perfusion curves into flow.")
    diffusion: Diffusion = Field(Diffusion(), description="How diffusion-weighted MR is fitted.")
    pet: Pet = Field(Pet(), description="FDG PET: between which limits uptake may be compared.")
    dce: Dce = Field(Dce(), description="What turns the signal of dynamic MR into transfer of contrast.")
    packages: Packages = Field(Packages(), description="Model packages.")
    segmenter: Segmenter = Field(Segmenter(), description="What networks that look at images run on.")
    reports: Reports = Field(Reports(), description="What is written.")
    peers: dict[str, Peer] = Field({}, description="Other application entities, by a name of your choice.")

    @property
    def spool_dir(self) -> Path:
        return self.state_dir / "spool"

    @property
    def broker_dir(self) -> Path:
        return self.run_dir or self.state_dir / "run"

    @property
    def ledger_url(self) -> str:
        """The ledger's URL, from its file, its key, or SQLite in ``state_dir``."""
        given = _secret(self.ledger.url_file) or self.ledger.url
        return given or f"sqlite:///{self.state_dir / 'ledger.sqlite'}"

    @property
    def broker_url(self) -> str:
        """``embedded`` or a Redis URL."""
        return _secret(self.jobs.broker_file) or self.jobs.broker

    @property
    def network_seconds(self) -> float:
        """``segmenter.seconds``; where the site does not set it, within the time of a job."""
        if "seconds" in self.segmenter.model_fields_set:
            return self.segmenter.seconds
        return min(self.segmenter.seconds, self.jobs.time_limit.total_seconds() * 2 / 3)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _toml_of(settings_cls)


_config_file: Path | None = None


def _toml_of(settings_cls: type[BaseSettings]) -> PydanticBaseSettingsSource:
    return TomlConfigSettingsSource(settings_cls, toml_file=_config_file)


def read(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings from ``config``, else ``$HER2NODE_CONFIG``, else the default file where it exists.

    Raises SettingsRefused, which names every key that cannot be used.
    """
    global _config_file
    named = config or (Path(os.environ["HER2NODE_CONFIG"]) if os.environ.get("HER2NODE_CONFIG") else None)
    if named is not None and not named.is_file():
        raise SettingsRefused(f"there is no file {named}", remedy="name an existing file with --config")
    chosen = named or default_config_file()
    _config_file = there = chosen if chosen.is_file() else None
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingsRefused("; ".join(lines), remedy=f"correct {there or 'the environment'}") from error
    except ValueError as error:  # tomllib.TOMLDecodeError
        raise SettingsRefused(f"{there}: {error}", remedy="correct the TOML syntax") from error
    finally:
        _config_file = None  # settings that are made without a file are not of the file that was read last
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """What pydantic cannot see: relations between keys."""
    unknown = [name for name in settings.delivery.destinations if name not in settings.peers]
    if unknown:
        raise SettingsRefused(
            f"delivery.destinations names {', '.join(unknown)}",
            remedy="\n".join(f"add [peers.{name}] with ae, host and port" for name in unknown),
        )
    if settings.reception.port == 0 and settings.reception.tls.port == 0:
        raise SettingsRefused("reception.port and reception.tls.port are both 0: nobody could send anything")
    tls = settings.reception.tls
    if tls.port and not (tls.certificate and tls.key):
        raise SettingsRefused("reception.tls.port is set without certificate and key")
    if tls.port and tls.client_certificate_required and not tls.ca:
        raise SettingsRefused("reception.tls requires client certificates but names no ca")
    if not 0 <= settings.pet.uptake_minutes[0] <= settings.pet.uptake_minutes[1]:
        raise SettingsRefused("pet.uptake_minutes must be two times of which the second is not the earlier one")
    if settings.jobs.heartbeat * 2 >= settings.jobs.lease:
        raise SettingsRefused("jobs.heartbeat must be less than half of jobs.lease")
    if settings.network_seconds >= settings.jobs.time_limit.total_seconds():
        raise SettingsRefused("segmenter.seconds must be less than jobs.time_limit, which ends the whole job")


def _secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsRefused(f"the secret file {file} cannot be read: {error.strerror}") from error
