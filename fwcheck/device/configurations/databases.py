"""Databases. Sources: redis.conf as shipped, mysqld(8) and MariaDB's option files, postgresql.conf and pg_hba.conf, memcached(1).

Redis has had ``protected-mode`` since 3.2: without a password and without ``bind`` it answers the loopback interface alone.
"""

from __future__ import annotations

import posixpath
import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import (
    ANY,
    Authentication,
    Bound,
    Includes,
    Note,
    Reading,
    Start,
    host_of,
    include,
    is_local,
    last,
    number,
    on,
)

NAMES = (
    "redis-server",
    "valkey-server",
    "mysqld",
    "mariadbd",
    "postgres",
    "memcached",
    "systemd-memcached-wrapper",
    "start-memcached",
)


def read(start: Start) -> Reading:
    """Addresses and whether a password is asked for."""
    if start.name in ("mysqld", "mariadbd"):
        return _mysql(start)
    if start.name == "postgres":
        return _postgres(start)
    return _memcached(start) if "memcached" in start.name else _redis(start)


def _redis(start: Start) -> Reading:
    path = next((word for word in start.words[:1] if word.startswith("/")), "")
    settings = start.keywords(path) if path else []
    for at, word in enumerate(start.words[:-1]):
        if word.startswith("--"):
            settings.append(Setting(word[2:].lower(), start.words[at + 1], "", 0, f"{word} {start.words[at + 1]}"))
    for each in [each for each in settings if each.key == "include"][:8]:
        settings += [row for name in start.files(each.value) for row in start.keywords(name)]
    port, bind = last(settings, "port"), last(settings, "bind")
    asks = last(settings, "requirepass", "aclfile") or next(
        (
            each
            for each in settings
            if each.key == "user" and "default" in each.value and ("off" in each.value or ">" in each.value)
        ),
        None,
    )
    mode = last(settings, "protected-mode")
    guarded = mode is None or on(mode.value)
    tls = last(settings, "tls-port")
    hosts = [host_of(word.lstrip("-")) for word in bind.value.split()] if bind is not None and bind.value else []
    opened = number(port.value) if port is not None else 6379
    bounds = [Bound(opened, "tcp", host, bind or port, tls=False) for host in hosts or [ANY]] if opened else []
    if tls is not None and number(tls.value):
        bounds += [Bound(number(tls.value), "tcp", host, tls, tls=True) for host in hosts or [ANY]]
    wide = any(not is_local(each.address) for each in bounds)
    if not hosts and asks is None and guarded:
        # Protected mode: others are refused; versions before 3.2 do not know it.
        old = re.match(r"[12]\.|3\.0", start.version("redis"))
        wide = bool(old)
        bounds = bounds if old else [each._replace(address="127.0.0.1") for each in bounds]
    is_open = asks is None and wide and ((mode is not None and not guarded) or not hosts)
    return Reading(
        tuple(bounds),
        authentication="password" if asks else "none" if is_open or not wide else "unknown",
        encryption="tls" if tls and not opened else "optional" if tls else "none",
        notes=(Note("no-password", mode or bind, "redis"),) if is_open else (),
        decided_by=tuple(each._replace(text=each.key) for each in (asks, mode) if each is not None),
    )


def _mysql(start: Start) -> Reading:
    settings: list[Setting] = []
    includes = Includes()
    for path in (*start.option("--defaults-file"), "/etc/my.cnf", "/etc/mysql/my.cnf", "/etc/mysql/mariadb.cnf"):
        _options(start, path, settings, includes)
    held = [each for each in settings if each.section.split("-")[0] in ("mysqld", "server", "mariadb", "mariadbd")]
    held += [
        Setting(key.lower(), value, "", 0, word)
        for word in start.words
        if word.startswith("--")
        for key, _, value in [word[2:].partition("=")]
    ]
    held = [each._replace(key=each.key.replace("_", "-")) for each in held]
    off_, skip = last(held, "skip-networking"), last(held, "skip-grant-tables")
    host, port = last(held, "bind-address"), last(held, "port")
    opened = (number(port.value) if port is not None else None) or 3306
    closed = off_ is not None and off_.value.lower() not in ("0", "off", "false")
    bound = Bound(opened, "tcp", host_of(host.value) if host is not None else ANY, host or port)
    return Reading(
        (bound,) if not closed else (),
        closed=closed,
        authentication="none" if skip is not None else "password",
        encryption="optional" if last(held, "ssl-cert") else "unknown",
        notes=(Note("no-password", skip, "mysql"),) if skip is not None else (),
        decided_by=(off_,) if closed and off_ is not None else (),
    )


def _options(start: Start, path: str, into: list[Setting], includes: Includes) -> None:
    for each in start.assignments(path):
        if each.text.startswith("!include"):
            target = each.text.split(None, 1)[-1].strip()
            pattern = f"{target.rstrip('/')}/*.cnf" if each.text.startswith("!includedir") else target
            for name in includes.follow(start.files(include(posixpath.dirname(path), pattern))):
                _options(start, name, into, includes)
        else:
            into.append(each)


def _postgres(start: Start) -> Reading:
    top = next(iter(start.option("-D")), "/var/lib/postgresql/data")
    named = next((word.partition("=")[2] for word in start.words if word.startswith("config_file=")), f"{top}/postgresql.conf")
    settings = start.assignments(named)
    settings = [each._replace(value=each.value.split("#")[0].strip(" '\"\t")) for each in settings]
    hosts, port = last(settings, "listen_addresses"), last(settings, "port")
    names = [host_of(word) for word in hosts.value.split(",") if word.strip()] if hosts is not None else ["127.0.0.1"]
    opened = (number(port.value) if port is not None else None) or 5432
    rules = start.keywords(posixpath.join(posixpath.dirname(named), "pg_hba.conf"))
    trusting = [each for each in rules if each.key.startswith("host") and each.value.split()[-1:] == ["trust"]]
    wide = [each for each in trusting if not re.search(r"\s(127\.|::1|localhost|samehost)", each.value)]
    asks: Authentication = "none" if wide else "password" if rules else "unknown"
    return Reading(
        tuple(Bound(opened, "tcp", host, hosts or port) for host in names),
        closed=not names,
        authentication=asks,
        notes=(Note("no-password", wide[0], "postgres"),) if wide else (),
        decided_by=tuple(rules[:1]),
    )


def _memcached(start: Start) -> Reading:
    """No login unless SASL (``-S``) is on; one option per line in the configuration of the wrapper."""
    words = list(start.words)
    found = all(start.disk.exists(word) is True for word in start.words if word.startswith("/"))
    for path in [word for word in start.words if word.startswith("/")][:2]:
        words += [word for each in start.keywords(path) for word in each.text.split()]
    held = Start(start.disk, start.name, tuple(words))
    if held.option("-s"):
        return Reading(closed=True)
    ports = [number(text) for text in held.option("-p", "--port")]
    hosts = [host_of(host) for text in held.option("-l", "--listen") for host in text.split(",")]
    asks = held.flag("S")
    bounds = tuple(Bound(ports[-1] if ports else 11211, "tcp", host) for host in hosts or [ANY])
    wide = any(not is_local(each.address) for each in bounds)
    return Reading(
        bounds,
        authentication="password" if asks else "none",
        encryption="none",
        user=next(iter(held.option("-u")), ""),
        notes=(Note("no-password", None, "memcached", sure=found),) if wide and not asks else (),
    )
