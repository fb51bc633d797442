"""What the API answers with."""

from __future__ import annotations

from datetime import date, datetime

import msgspec


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The image of a scan."""

    name: str
    size: int
    sha256: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a scan is: ``done`` of ``total`` in its stage."""

    stage: str
    done: int
    total: int


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The level that the image was held against, and the highest one that it does not refute."""

    target: str
    highest_not_refuted: str | None


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is kept for a product, or for all: ``kind`` is declaration, vex, update_key or policy; ``by``: who gave it."""

    id: str
    kind: str
    name: str
    size: int
    sha256: str
    by: str
    created: datetime


class GivenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a scan was made with. ``own``: it came along with the image, and was not kept by the product."""

    kind: str
    name: str
    sha256: str
    own: bool


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a product and where its scan stands. ``status``: queued, running, done or failed."""

    id: str
    product: str
    version: str
    target: str | None
    image: ImageInfo
    status: str
    progress: Progress
    tries: int
    problem: str
    tier: Tier | None
    score: int | None
    findings: int | None
    components: int | None
    created: datetime
    started: datetime | None
    finished: datetime | None
    status_url: str
    report_url: str | None
    reused: bool = False  # answered from an earlier report on the same image
    released: datetime | None = None  # when it was marked as a version that went out


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that will be scanned."""

    id: str
    status_url: str
    status: str


class GatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that a scan was held against. ``of``: "product", or "server" for the one that holds for all."""

    of: str
    name: str
    sha256: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that is kept. ``of``: "product", or "server" for the one that holds for all."""

    of: str
    name: str
    file: Attachment
    text: str


class NewBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """The version since which only what is new counts: a scan, a version, or always the newest that was marked as released."""

    scan: str | None = None
    version: str | None = None
    released: bool = False


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen (``kind``: none, scan, released), and the scan that it is now."""

    kind: str
    scan: str | None
    version: str | None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a report meets what was asked. ``exit_status``: what ``fwcheck gate`` would end with."""

    passed: bool
    undecided: bool
    asked: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    exit_status: int
    policy: GatePolicy | None = None  # that of the server
    baseline: str | None = None  # the scan that the server chose


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product and its newest version."""

    name: str
    created: datetime
    versions: int
    latest: Scan | None


class Products(msgspec.Struct, frozen=True, kw_only=True):
    """The products that the token sees. ``next``: the cursor of the following page."""

    items: list[Product]
    next: str | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a product, the newest first. ``next``: the cursor of the following page."""

    product: str
    items: list[Scan]
    next: str | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is to be."""

    name: str
    role: str
    products: list[str] = []
    expires: datetime | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret."""

    id: str
    name: str
    role: str
    products: list[str]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None
    signed_on: bool = False  # it stands for somebody who signs in by the identity provider, and has no secret


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. ``secret`` is what its holder sends; it is not said again."""

    token: Token
    secret: str


class NewUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An image that is to come in several requests."""

    name: str
    size: int


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An image that arrives: ``offset`` bytes of ``size`` are here."""

    id: str
    url: str
    size: int
    offset: int


class NewWaiver(msgspec.Struct, frozen=True, kw_only=True):
    """Findings to answer for: those of a rule, of a fingerprint, of files of a path. ``owner`` is who asks, unless named."""

    reason: str
    expires: date
    owner: str = ""
    rule: str = ""
    fingerprint: str = ""
    path: str = ""


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that somebody answers for; ``expires`` is the last day."""

    id: str
    rule: str
    fingerprint: str
    path: str
    reason: str
    owner: str
    expires: date
    expired: bool
    created: datetime


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One request and how it was answered."""

    at: datetime
    token: str | None
    name: str
    client: str
    method: str
    path: str
    status: int
    request: str
    what: str = ""  # what it changed, where the path does not say it


class Accesses(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log, the newest first."""

    items: list[Access]
    next: str | None = None


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A version whose report names what was searched for. ``latest``: it is the newest one of its product."""

    product: str
    version: str
    scan: str
    latest: bool
    what: str
    where: str


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """What carries it. ``more``: not all are listed."""

    items: list[Hit]
    more: bool = False


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where endings of scans are to be told. ``product``: of this one alone."""

    url: str
    product: str | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where endings of scans are told."""

    id: str
    url: str
    product: str | None
    created: datetime


class AddedWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """A new webhook. ``secret`` is what its messages are signed with; it is not said again."""

    webhook: Webhook
    secret: str
