"""The tables. Times are UTC; identifiers begin with their time of making, so their order is that of making."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """32 hexadecimal digits: 48 bits of milliseconds, then chance."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Moment(TypeDecorator[datetime]):
    """A time with its zone, also where the database (SQLite) keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """What all tables share."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: Moment(), str: String(200), dict[str, Any]: Text}  # noqa: RUF012  # read by SQLAlchemy


class Image(Base):
    """One content, stored once however often it is uploaded."""

    __tablename__ = "image"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]  # retention took the bytes; reports stay


class Product(Base):
    """What versions belong to."""

    __tablename__ = "product"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created: Mapped[datetime] = mapped_column(default=now)
    baseline: Mapped[str | None] = mapped_column(String(32))  # a scan, or "released": the newest one that is marked so


class Content(Base):
    """The bytes of a small file, compressed, once however often it is given."""

    __tablename__ = "content"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int]
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class Attachment(Base):
    """A file that a product (or, a policy, the service) keeps: what its maker states, VEX, update keys, what is asked of it."""

    __tablename__ = "attachment"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    product_id: Mapped[str | None] = mapped_column(ForeignKey("product.id"), index=True)  # None: for all products
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(ForeignKey("content.sha256"))
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]


class ScanFile(Base):
    """A file that a scan was made with, as it was when the image came. ``own``: it came along with the image."""

    __tablename__ = "scan_file"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    scan_id: Mapped[str] = mapped_column(ForeignKey("scan.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(ForeignKey("content.sha256"))
    own: Mapped[bool]


class Scan(Base):
    """One version of a product, held against one level. ``claim`` fences: only who holds it may report."""

    __tablename__ = "scan"
    __table_args__ = (Index("ix_scan_queue", "state", "priority", "id"), Index("ix_scan_product_id_id", "product_id", "id"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    product_id: Mapped[str] = mapped_column(ForeignKey("product.id"))
    image_sha256: Mapped[str] = mapped_column(ForeignKey("image.sha256"), index=True)
    image_name: Mapped[str] = mapped_column(String(100))
    version: Mapped[str] = mapped_column(String(100))
    target: Mapped[str | None] = mapped_column(String(20))  # None: the default of the pipeline
    token_id: Mapped[str | None] = mapped_column(ForeignKey("token.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    state: Mapped[str] = mapped_column(String(10), default="queued")  # queued, running, done, failed
    priority: Mapped[int] = mapped_column(default=5)  # smaller is sooner
    not_before: Mapped[datetime] = mapped_column(default=now)  # retries wait
    dispatched: Mapped[datetime | None]  # when a message was sent for it
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    claim: Mapped[str | None] = mapped_column(String(32))
    worker: Mapped[str | None]
    lease: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(Text, default="")  # why it failed, or why it is tried again
    report: Mapped[str | None]  # key in the store; a scan answered from history names that of the earlier one
    highest: Mapped[str | None] = mapped_column(String(20))
    score: Mapped[int | None]
    judged: Mapped[str | None] = mapped_column(String(20))  # the level that the score is for
    rules: Mapped[str | None] = mapped_column(String(64))  # digest
    knowledge: Mapped[str | None] = mapped_column(String(32))  # date
    findings: Mapped[int | None]  # violations and concerns that are not waived
    components: Mapped[int | None]
    indexed: Mapped[int] = mapped_column(default=0)  # the form in which the search knows its report; 0: not at all
    given: Mapped[str] = mapped_column(String(64), default="")  # digest over its files; "": none
    released: Mapped[datetime | None]  # when it was marked as one that went out


class Token(Base):
    """Who may do what. The secret itself is nowhere."""

    __tablename__ = "token"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(10))
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]
    used: Mapped[datetime | None]
    subject: Mapped[str | None] = mapped_column(String(64), unique=True)  # digest over issuer and subject: it cannot be presented


class Grant(Base):
    """A product that a token may see; a token without grants sees all."""

    __tablename__ = "grant"
    __table_args__ = (UniqueConstraint("token_id", "product"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id", ondelete="CASCADE"), index=True)
    product: Mapped[str] = mapped_column(String(100))


class Answered(Base):
    """An upload that was answered under a key of its client: sent again, it gets the same answer."""

    __tablename__ = "answered"
    __table_args__ = (UniqueConstraint("token_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"))
    key: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64))  # over what was sent
    scan_id: Mapped[str] = mapped_column(ForeignKey("scan.id"))
    created: Mapped[datetime] = mapped_column(default=now)


class Upload(Base):
    """An image that arrives in several requests."""

    __tablename__ = "upload"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(default=now)


class Waiver(Base):
    """A finding of a product that somebody answers for, until a date."""

    __tablename__ = "waiver"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    product_id: Mapped[str] = mapped_column(ForeignKey("product.id"), index=True)
    rule: Mapped[str] = mapped_column(String(200), default="")
    fingerprint: Mapped[str] = mapped_column(String(32), default="")
    path: Mapped[str] = mapped_column(String(1000), default="")
    reason: Mapped[str] = mapped_column(String(2000))
    owner: Mapped[str] = mapped_column(String(200))
    expires: Mapped[str] = mapped_column(String(10))  # its last day, ISO
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    ended: Mapped[datetime | None]


class Webhook(Base):
    """Where endings of scans are told. Its secret follows from its id and the key of the installation."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    url: Mapped[str] = mapped_column(String(1000))
    product: Mapped[str | None] = mapped_column(String(100))  # None: all
    created: Mapped[datetime] = mapped_column(default=now)


class Delivery(Base):
    """One ending that one webhook is told."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_due", "state", "due"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"), index=True)
    scan_id: Mapped[str] = mapped_column(ForeignKey("scan.id"))
    state: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, told, given up
    due: Mapped[datetime] = mapped_column(default=now)
    tries: Mapped[int] = mapped_column(default=0)
    answer: Mapped[str] = mapped_column(default="")  # of the last try


class Access(Base):
    """One request that was answered, or refused: the audit log."""

    __tablename__ = "access"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    token_id: Mapped[str | None] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100), default="")
    client: Mapped[str] = mapped_column(String(100), default="")
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(String(500))
    status: Mapped[int]
    request: Mapped[str] = mapped_column(String(32))
    what: Mapped[str] = mapped_column(String(500), default="")  # what it changed, where the path does not say it


class FoundComponent(Base):
    """A component that a report names."""

    __tablename__ = "found_component"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    report: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(index=True)
    version: Mapped[str] = mapped_column(default="")


class FoundVulnerability(Base):
    """A known vulnerability that a report names."""

    __tablename__ = "found_vulnerability"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    report: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(index=True)
    component: Mapped[str] = mapped_column(default="")


class FoundKey(Base):
    """A key or certificate that a report names, by the digest of its public half."""

    __tablename__ = "found_key"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    report: Mapped[str] = mapped_column(index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str]
    path: Mapped[str] = mapped_column(String(500), default="")


class Visit(Base):
    """Somebody who signed in with a token in a browser. The cookie itself is nowhere, only its digest."""

    __tablename__ = "visit"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("token.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
