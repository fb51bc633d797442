"""What an installation decides: a TOML file, then environment variables ``FWCHECK_...``, then options of the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

PREFIX = "FWCHECK_"

Strictness = Literal["on", "required", "off"]


class SettingsError(Exception):
    """A setting that is none: one line that names it."""


class OidcGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody may do whose claim has this value; ``*``: everybody that the provider knows."""

    value: str
    role: Literal["uploader", "auditor", "admin"]
    products: tuple[str, ...] = ()  # none: all


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting with its default. Bytes and seconds are plain numbers."""

    data: Path = Path("fwcheck-data")  # images, reports, unfinished uploads, and the database when it is SQLite
    database: str = ""  # an SQLAlchemy URL; "": SQLite in the data folder
    storage: str = ""  # s3://bucket/prefix; "": the data folder
    s3_endpoint: str = ""  # of an object store that is not Amazon's
    broker: str = ""  # redis://... or amqp://...: workers are started with fwcheck worker; "": local ones
    workers: int = 0  # local worker processes; 0: one per two cores; -1: none
    jobs: int = 2  # processes that read one image
    cache: bool = True  # facts about contents are kept in the data folder
    knowledge: Path | None = None  # the knowledge file (fwcheck db); None: the user's own, else the one shipped
    max_image: int = 4 << 30  # bytes of one upload
    reserve: int = 256 << 20  # bytes that must stay free on the disk for an upload to be taken
    tries: int = 2  # times that an image may take its worker down
    lease: float = 30.0  # seconds without a sign of life after which a worker counts as lost
    scan_seconds: float = 3600.0  # wall time of one scan
    scan_memory: int = 4 << 30  # bytes that the process of one scan may write to
    sandbox: Strictness = "on"  # around the processes that touch images; "required": no scan without all of it; "off"
    grace: float = 20.0  # seconds that running scans get to finish when a worker is told to stop
    secret: str = ""  # what signatures follow from, when several servers share a database; "": kept in the data folder
    requests_per_minute: float = 1200.0  # of one token
    failures_per_minute: float = 30.0  # bad tokens from one address
    trusted_proxies: str = ""  # addresses, separated by commas, whose X-Forwarded-For is believed
    hooks_inside: bool = False  # whether webhooks may be on this machine
    public_url: str = ""  # where browsers find the service, when it cannot tell from their requests
    oidc_issuer: str = ""  # an OpenID Connect provider that people may sign in by; its discovery document says the rest
    oidc_name: str = ""  # what the page to sign in calls it
    oidc_client: str = ""
    oidc_secret: str = ""  # "": a public client (PKCE is used in any case)
    oidc_scope: str = "openid profile email"
    oidc_claim: str = "groups"  # of the ID token, that grants are by; dots go into objects
    oidc_grants: tuple[OidcGrant, ...] = ()
    attach_role: Literal["uploader", "auditor", "admin"] = "uploader"  # who may send declarations, VEX and keys with an image
    keep_images_days: int = 0  # 0: for ever
    keep_reports_days: int = 0
    keep_accesses_days: int = 400
    keep_uploads_hours: int = 24  # unfinished ones

    @property
    def local(self) -> bool:
        """Whether workers take scans from the database themselves."""
        return not self.broker

    @property
    def database_url(self) -> str:
        """Where the tables are."""
        return self.database or f"sqlite:///{self.data.resolve() / 'fwcheck.sqlite'}"

    @property
    def worker_count(self) -> int:
        """How many local workers ``serve`` starts."""
        return max(0, self.workers) if self.workers else max(1, (os.cpu_count() or 2) // 2)


def as_path(kind: type, value: object) -> object:
    """How msgspec reads a path."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    if isinstance(value, kind):
        return value
    raise NotImplementedError


def load(file: Path | None, given: dict[str, Any] | None = None, environment: dict[str, str] | None = None) -> Settings:
    """The settings; raises SettingsError with one line that says which one is wrong."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values.update(msgspec.toml.decode(file.read_bytes(), type=dict[str, Any]))
        except (OSError, msgspec.MsgspecError) as error:
            raise SettingsError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    surroundings = os.environ if environment is None else environment
    for name in Settings.__struct_fields__:
        text = surroundings.get(PREFIX + name.upper())
        if text is not None:
            values[name] = _listed(name, text)
    values.update({name: value for name, value in (given or {}).items() if value is not None})
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=as_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings: {error}") from error
    for name in ("max_image", "tries", "lease", "scan_seconds", "scan_memory", "jobs"):
        if getattr(settings, name) <= 0:
            raise SettingsError(f"settings: {name} has to be more than 0")
    _check_addresses(settings)
    return settings


def _listed(name: str, text: str) -> Any:
    """A list in an environment variable is JSON."""
    if name != "oidc_grants":
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SettingsError(f"settings: {name}: {error}") from error


def _check_addresses(settings: Settings) -> None:
    for name in ("oidc_issuer", "public_url"):
        address = getattr(settings, name)
        parts = urlsplit(address)
        inside = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if address and (parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment):
            raise SettingsError(f"settings: {name} has to be https://...")
        if name == "oidc_issuer" and parts.scheme == "http" and not inside:
            raise SettingsError(f"settings: {name} has to be https://...")
    if settings.oidc_issuer and not settings.oidc_client:
        raise SettingsError("settings: oidc_issuer needs oidc_client")
    if settings.oidc_issuer and not settings.oidc_grants:
        raise SettingsError("settings: oidc_issuer needs oidc_grants, else nobody may do anything")
