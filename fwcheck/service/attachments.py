"""What goes along with an image: what its maker states (product.toml), VEX documents, public update keys; and policies.

A product keeps its own; what comes with an upload stands in for what the product keeps of that kind. A scan is made with what was
there when its image came. What is no such file is refused at once, with its line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec
import zstandard
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from fwcheck.declaration import DeclarationError
from fwcheck.declaration import parse as parse_declaration
from fwcheck.device.update_keys import NoKey
from fwcheck.device.update_keys import parse as parse_keys
from fwcheck.gate import BrokenFile, Policy
from fwcheck.inspection.pgp_keys import keys_of
from fwcheck.pipeline import check_criteria
from fwcheck.service import nouns
from fwcheck.service.problems import Problem, unknown
from fwcheck.service.tables import Attachment, Content, Product, ScanFile, Token, now
from fwcheck.service.tokens import Principal
from fwcheck.vulnerabilities.vex import NotVex
from fwcheck.vulnerabilities.vex import parse as parse_vex

Along = Literal["declaration", "vex", "update_key"]
Kind = Literal["declaration", "vex", "update_key", "policy"]
ALONG: tuple[Along, ...] = get_args(Along)  # what decides a report; a policy is held against it
SINGLE = {"declaration", "policy"}  # kinds of which there is one at a time
LIMITS: dict[str, int] = {"declaration": 64 << 10, "policy": 64 << 10, "vex": 8 << 20, "update_key": 1 << 20}
ALTOGETHER = 16 << 20  # bytes of all that comes with one upload
MOST = 32  # files of one kind
_NAME = 200  # bytes of a name: with them a file is called in the folder of a scan
_LINE = 16 << 10  # characters of a line of TOML: its reader takes quadratic time for a key with many parts
_RAW = 64  # bytes up to which a file is a bare key, whose first byte may be any
_SECRET_PGP = {0x94, 0x95, 0x96, 0xC5}  # RFC 9580, 4.2: the first octet of a secret-key packet


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has arrived and is what it has to be. ``name`` is a label."""

    kind: Kind
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Its digest."""
        return hashlib.sha256(self.content).hexdigest()


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a scan is made with."""

    kind: str
    name: str
    sha256: str
    own: bool = False


def check(kind: Kind, name: str, content: bytes) -> Sent:
    """The file, when it is one of its kind; raises Problem that says what is wrong, and in which line."""
    name = name.encode()[:_NAME].decode(errors="ignore")
    if len(content) > LIMITS[kind]:
        raise Problem(413, "Content Too Large", f"{kind}: {name} may have {LIMITS[kind]} bytes", limit=LIMITS[kind])
    try:
        _read(kind, name, content)
    except (DeclarationError, BrokenFile, NotVex, NoKey) as error:
        words = error.of(name) if isinstance(error, NotVex) else str(error)
        head = re.match(rf"{re.escape(name)}(?::(\d+))?: ", words)
        line = int(head[1]) if head and head[1] else None
        reason = words[head.end() :] if head else words
        where = f", line {line}" if line is not None else ""
        raise Problem(400, "Bad Request", f"{kind} {name}{where}: {reason}", field=kind, file=name, line=line) from error
    return Sent(kind=kind, name=name, content=content)


def _read(kind: Kind, name: str, content: bytes) -> None:
    if kind in SINGLE:
        for number, line in enumerate(content.split(b"\n"), 1):
            if len(line) > _LINE:
                raise BrokenFile(f"{name}:{number}: a line of more than {_LINE} bytes")
    if kind == "declaration":
        declared = parse_declaration(content, name)
        check_criteria(declared, name, content)
    elif kind == "policy":
        Policy.parse(content, name)
    elif kind == "vex":
        parse_vex(content, name)
    elif b"PRIVATE KEY" in content or (len(content) > _RAW and content[0] in _SECRET_PGP):
        raise NoKey("a private key, which is no business of a service: give its public half; it was not stored")
    else:
        parse_keys(content, name, keys_of)


def store(session: Session, sent: Sent) -> str:
    """Keeps its bytes; gives their digest."""
    sha256 = sent.sha256
    if session.get(Content, sha256) is None:
        session.add(Content(sha256=sha256, size=len(sent.content), packed=zstandard.compress(sent.content, 9)))
        session.flush()
    return sha256


def content(session: Session, sha256: str) -> bytes:
    """The bytes of a digest."""
    row = session.get_one(Content, sha256)
    return zstandard.decompress(row.packed, max_output_size=max(1, row.size))


def keep(session: Session, principal: Principal, product: Product | None, sent: Sent) -> nouns.Attachment:
    """Keeps a file for a product, or a policy for all; one of its kind (of several: of its name) that is there ends."""
    before = update(Attachment).where(_of(product), Attachment.kind == sent.kind, Attachment.ended.is_(None))
    if sent.kind not in SINGLE:
        before = before.where(Attachment.name == sent.name)
    session.execute(before.values(ended=now()))
    count = select(func.count()).select_from(Attachment).where(_of(product), Attachment.kind == sent.kind)
    if (session.scalar(count.where(Attachment.ended.is_(None))) or 0) >= MOST:
        raise Problem(409, "Conflict", f"a product keeps at most {MOST} files of one kind")
    row = Attachment(
        product_id=product.id if product is not None else None, kind=sent.kind, name=sent.name, sha256=store(session, sent),
        token_id=principal.token,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return next(each for each in kept(session, product) if each.id == row.id)


def end(session: Session, product: Product | None, id: str) -> Attachment:
    """It counts no longer; reports that were made with it stay as they are."""
    row = session.get(Attachment, id)
    if row is None or row.product_id != (product.id if product is not None else None) or row.ended is not None:
        raise unknown("file")
    row.ended = now()
    return row


def kept(session: Session, product: Product | None) -> list[nouns.Attachment]:
    """What a product keeps, by kind and name; or what the service keeps for all."""
    rows = session.execute(
        select(Attachment, Content.size, Token.name)
        .join(Content, Content.sha256 == Attachment.sha256)
        .join(Token, Token.id == Attachment.token_id)
        .where(_of(product), Attachment.ended.is_(None))
        .order_by(Attachment.kind, Attachment.name)
    )
    return [
        nouns.Attachment(
            id=row.id, kind=row.kind, name=row.name, size=size, sha256=row.sha256, by=by, created=row.created,
        )
        for row, size, by in rows
    ]  # fmt: skip


def told(kept: nouns.Attachment) -> str:
    """A file that is kept from now on, for the audit log."""
    return f"{kept.kind} {kept.name} {kept.sha256[:16]}"


def found(session: Session, product: Product | None, id: str) -> tuple[nouns.Attachment, bytes]:
    """One of them with its bytes."""
    for each in kept(session, product):
        if each.id == id:
            return each, content(session, each.sha256)
    raise unknown("file")


def gathered(session: Session, product: Product, own: Iterable[Sent]) -> list[Given]:
    """What a scan is made with: what came with its image, and what the product keeps of the other kinds."""
    mine = [Given(kind=each.kind, name=each.name, sha256=store(session, each), own=True) for each in own]
    replaced = {each.kind for each in mine}
    theirs = [
        Given(kind=each.kind, name=each.name, sha256=each.sha256)
        for each in kept(session, product)
        if each.kind in ALONG and each.kind not in replaced
    ]
    return sorted([*mine, *theirs], key=lambda each: (ALONG.index(each.kind), each.name, each.sha256))


def digest(given: Iterable[Given]) -> str:
    """What tells one set of files from another; empty for none. Names belong to it: reports say them."""
    said = [f"{each.kind}\0{each.name}\0{each.sha256}\0" for each in given]
    return hashlib.sha256("".join(said).encode()).hexdigest() if said else ""


def note(session: Session, scan: str, given: Iterable[Given]) -> None:
    """Notes what a scan is made with."""
    session.add_all(ScanFile(scan_id=scan, kind=each.kind, name=each.name, sha256=each.sha256, own=each.own) for each in given)


def of_scan(session: Session, scan: str) -> list[Given]:
    """What a scan is made with."""
    rows = session.scalars(select(ScanFile).where(ScanFile.scan_id == scan).order_by(ScanFile.id))
    return [Given(kind=row.kind, name=row.name, sha256=row.sha256, own=row.own) for row in rows]


def _of(product: Product | None) -> ColumnElement[bool]:
    return Attachment.product_id == product.id if product is not None else Attachment.product_id.is_(None)
