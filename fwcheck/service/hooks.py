"""Webhooks: endings of scans are told to other services, signed, and told again until they have heard it.

The signature is HMAC-SHA256 over ``<time>.<body>`` in ``X-Fwcheck-Signature: t=<time>,v1=<hexadecimal>``.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fwcheck.service.database import Database
from fwcheck.service.log import log
from fwcheck.service.secret import InstallationKey
from fwcheck.service.tables import Delivery, Product, Scan, Webhook, new_id, now

_TRIES = 10
_FIRST = 5.0  # seconds before the second try; twice as much before each further one: an hour and a half in all
_TIMEOUT = 10.0
_EVERY = 1.0


class Refused(Exception):
    """An address that nothing is sent to."""


def enter(session: Session, scan: Scan, product: str) -> None:
    """Notes who is to be told that a scan has ended, in the transaction that ends it."""
    hooks = session.scalars(select(Webhook.id).where((Webhook.product == product) | Webhook.product.is_(None)))
    rows = [
        {"id": new_id(), "webhook_id": hook, "scan_id": scan.id, "state": "waiting", "due": now(), "tries": 0} for hook in hooks
    ]
    if rows:
        session.execute(insert(Delivery), rows)


def secret_of(key: InstallationKey, hook: str) -> str:
    """What this webhook's messages are signed with."""
    return key.derived("webhook", hook)


class Teller:
    """Tells what is due, one after the other. ``inside``: whether addresses of this machine are allowed."""

    def __init__(self, database: Database, key: InstallationKey, *, inside: bool) -> None:
        self._database = database
        self._key = key
        self._inside = inside
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the message at hand."""
        self._stop.set()
        self._thread.join(_TIMEOUT * 2)

    def _loop(self) -> None:
        while not self._stop.wait(_EVERY):
            try:
                while not self._stop.is_set() and self._next():
                    pass
            except SQLAlchemyError as error:
                log("database", error=type(error).__name__)

    def _next(self) -> bool:
        with self._database.read() as session:
            due = select(Delivery, Webhook, Scan, Product).join(Webhook, Webhook.id == Delivery.webhook_id)
            due = due.join(Scan, Scan.id == Delivery.scan_id).join(Product, Product.id == Scan.product_id)
            row = session.execute(
                due.where(Delivery.state == "waiting", Delivery.due <= now()).order_by(Delivery.due).limit(1)
            ).first()
        if row is None:
            return False
        delivery, hook, scan, product = row
        wait = timedelta(seconds=_FIRST * 2**delivery.tries)
        mine = update(Delivery).where(Delivery.id == delivery.id, Delivery.tries == delivery.tries, Delivery.state == "waiting")
        with self._database.write() as session:  # several servers: who counts the try makes it
            if not session.execute(mine.values(tries=delivery.tries + 1, due=now() + wait)).rowcount:  # type: ignore[attr-defined]
                return True
        answer = self._tell(hook, _message(delivery.id, scan, product.name))
        told = answer.startswith("2")
        state = "told" if told else "given up" if delivery.tries + 1 >= _TRIES else "waiting"
        with self._database.write() as session:
            session.execute(update(Delivery).where(Delivery.id == delivery.id).values(state=state, answer=answer[:200]))
        log("webhook", webhook=hook.id, scan=scan.id, answer=answer[:200], state=state)
        return True

    def _tell(self, hook: Webhook, body: bytes) -> str:
        stamp = str(int(time.time()))
        secret = secret_of(self._key, hook.id)
        mark = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "User-Agent": "fwcheck", "X-Fwcheck-Signature": f"t={stamp},v1={mark}"}
        try:
            return _post(hook.url, body, headers, inside=self._inside)
        except (OSError, http.client.HTTPException, Refused, ValueError) as error:
            return f"{type(error).__name__}: {error}"


def check(url: str) -> None:
    """Raises Refused for what is no address of a service."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or len(url) > 1000 or not url.isascii():
        raise Refused("an address is http:// or https:// with a host, without a user")
    _ = parts.port


def _post(url: str, body: bytes, headers: dict[str, str], *, inside: bool) -> str:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = _resolved(host, port, inside=inside)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    connection.sock = socket.create_connection((address, port), timeout=_TIMEOUT)  # the address that was looked at, no other
    try:
        if parts.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
        return str(connection.getresponse().status)  # redirects are not followed
    finally:
        connection.close()


def _resolved(host: str, port: int, *, inside: bool) -> str:
    """An address of the host that may be asked: none of this machine or its link, where cloud providers keep credentials."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, (address, *_rest) in found:
        plain = ipaddress.ip_address(str(address).split("%")[0])
        plain = getattr(plain, "ipv4_mapped", None) or plain
        if inside or not (plain.is_loopback or plain.is_link_local or plain.is_multicast or plain.is_unspecified):
            return str(address)
    raise Refused("addresses of this machine and its link are not asked")


def _message(delivery: str, scan: Scan, product: str) -> bytes:
    said = {
        "event": f"scan.{scan.state}", "delivery": delivery, "scan": scan.id, "product": product,
        "version": scan.version, "status": scan.state, "target": scan.judged, "highest_not_refuted": scan.highest,
        "score": scan.score, "findings": scan.findings, "status_url": f"/api/v1/scans/{scan.id}",
    }  # fmt: skip
    return msgspec.json.encode(said)
