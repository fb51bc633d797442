"""Logging: which daemon keeps the log, where the log goes, how long it lasts, and whether it leaves the device protected.

Sources: busybox syslogd and klogd usage, OpenWrt ubox logd and /etc/config/system, rsyslog.conf(5), syslog-ng.conf(5),
journald.conf(5), logrotate(8), auditd(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from fwcheck.device import configuration
from fwcheck.device.boot import Boot, boots
from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Run
from fwcheck.model import Evidence, Trait

State = Literal["yes", "no", "unknown"]
_DAEMONS = ("syslogd", "logd", "rsyslogd", "syslog-ng", "metalog", "sysklogd", "socklog", "systemd-journald", "syslogd.sh")
_VOLATILE = re.compile(r"/(?:tmp|run|dev|var/(?:run|tmp|volatile))(?:/|$)")
_RSYSLOG = re.compile(r"^\s*[\w.*;,!=-]{1,80}\s+(@{1,2})(?:\([^)\s]{0,20}\))?\[?([\w.:-]{1,80})")
_RSYSLOG_NEW = re.compile(r"type\s*=\s*\"omfwd\"", re.IGNORECASE)
_NG = re.compile(r"\b(?:network|syslog|tcp|udp)\s*\(\s*[\"']([\w.:-]{1,80})[\"']")
_TIME = ("ntpd", "chronyd", "systemd-timesyncd", "ntpclient", "sntp", "rdate", "ntpdate", "htpdate", "openntpd", "msntp")
_PAGE = re.compile(
    r"(?i)/(?:www\w*|web\w*|htdocs|html|httpd|home)/(?:[\w.-]+/){0,6}\w*(?:sys(?:tem)?|event|security)[_-]?log\w*\.(?:html?|asp|php|cgi|js|lua)$"
)
_SHOWN = 6


def logs(firmware: Firmware) -> tuple[Trait, ...]:
    """Rows on the system log of every root file system."""
    return tuple(trait for boot in boots(firmware) if boot.root.is_root for trait in _of(boot))


def _of(boot: Boot) -> Iterator[Trait]:
    runs = [run for run in boot.runs if run.name in _DAEMONS and run.present is not False]
    first = next((run for run in runs if not run.conditions), runs[0] if runs else None)
    if first is not None:
        yield _row(
            boot, "system log", "unknown" if first.conditions else "yes", " ".join(_known(first)), [_proof(run) for run in runs]
        )
    elif boot.kind == "systemd" and (path := _journald(boot.root)):
        yield _row(boot, "system log", "yes", "systemd-journald", [boot.root.evidence(path, "part of the boot of systemd")])
    yield from _place(boot, first)
    yield from _remote(boot, runs)
    yield from _rotation(boot)
    yield from _pages(boot)
    for name, names in (("audit", ("auditd",)), ("time", _TIME)):
        found = [run for run in boot.runs if run.name in names and run.present is not False]
        if found:
            state: State = "unknown" if all(run.conditions for run in found) else "yes"
            yield _row(boot, name, state, found[0].name, [_proof(run) for run in found])


def _row(boot: Boot, name: str, state: State, detail: str, proofs: list[Evidence]) -> Trait:
    return Trait(name=name, state=state, detail=detail[:160], root=boot.root.label, evidence=tuple(proofs[:_SHOWN]))


def _proof(run: Run) -> Evidence:
    return run.place.fs.evidence(run.place.path, " ".join(_known(run)), line=run.place.line or None)


def _known(run: Run) -> list[str]:
    return [run.name, *run.shown[1:]]


def _journald(root: FileSystem) -> str:
    for path in ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald"):
        if root.exists(path):
            return path
    return ""


# --------------------------------------------------------------------------- where it goes


def _place(boot: Boot, run: Run | None) -> Iterator[Trait]:
    """Whether the log outlives a restart: "yes" for a file on storage, "no" for a buffer in memory."""
    if run is None:
        if boot.kind == "systemd":
            yield from _journal(boot)
        return
    words = list(run.words[1:])
    if run.name == "syslogd":
        if any(re.match(r"-\w*C", word) for word in words):
            yield _row(boot, "log kept over a restart", "no", "circular buffer in memory", [_proof(run)])
            return
        path = _option(words, "-O") or "/var/log/messages"
        yield from _file(boot, path, _proof(run))
    elif run.name == "logd":
        settings = [each for each in configuration.uci(boot.root, "system") if each.key == "log_file" and each.value]
        if settings:
            proof = boot.root.evidence(settings[0].path, settings[0].text, line=settings[0].line)
            yield from _file(boot, settings[0].value, proof)
        else:
            yield _row(boot, "log kept over a restart", "no", "ring buffer of logd in memory", [_proof(run)])


def _option(words: list[str], name: str) -> str:
    for at, word in enumerate(words):
        if word == name and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(name) and len(word) > len(name):
            return word[len(name) :]
    return ""


def _file(boot: Boot, path: str, proof: Evidence) -> Iterator[Trait]:
    if UNKNOWN in path or not path.startswith("/"):
        return
    real = boot.disk.real(path)
    if _VOLATILE.match(real):
        yield _row(boot, "log kept over a restart", "no", f"{path} lies in memory", [proof])
    elif any(path.startswith(top) for top in ("/overlay", "/mnt", "/data", "/media", "/opt", "/config", "/usr/data")):
        yield _row(boot, "log kept over a restart", "yes", path, [proof])


def _journal(boot: Boot) -> Iterator[Trait]:
    directories = ("/etc/systemd/journald.conf.d", "/usr/lib/systemd/journald.conf.d")
    paths = ["/etc/systemd/journald.conf", *(p for top in directories for p in configuration.files(boot.root, top, ".conf"))]
    found = [each for path in paths for each in configuration.assignments(boot.root, path) if each.key == "storage"]
    if found:
        value = found[-1].value.lower()
        state: State = "yes" if value == "persistent" else "no" if value in ("volatile", "none") else "unknown"
        proof = boot.root.evidence(found[-1].path, found[-1].text, line=found[-1].line)
        yield _row(boot, "log kept over a restart", state, f"journal storage {value}", [proof])
    elif boot.root.exists("/var/log/journal"):
        proof = boot.root.evidence("/var/log/journal", "the directory makes the journal persistent")
        yield _row(boot, "log kept over a restart", "yes", "/var/log/journal", [proof])


# --------------------------------------------------------------------------- who else gets it


def _remote(boot: Boot, runs: list[Run]) -> Iterator[Trait]:
    for run in runs:
        host = _option(list(run.words[1:]), "-R") if run.name == "syslogd" else ""
        if host and UNKNOWN not in host and not run.conditions:
            yield _row(boot, "remote log", "yes", f"udp to {host}", [_proof(run)])
    for each in configuration.uci(boot.root, "system"):
        if each.key == "log_ip" and each.value and each.value != "0.0.0.0":  # noqa: S104  # "nowhere" in this setting
            yield _row(boot, "remote log", "yes", f"to {each.value}", [boot.root.evidence(each.path, each.text, line=each.line)])
    if any(run.name == "rsyslogd" for run in runs) or (boot.kind == "systemd" and boot.root.exists("/usr/sbin/rsyslogd")):
        yield from _rsyslog(boot)
    if any(run.name == "syslog-ng" for run in runs):
        yield from _syslog_ng(boot)


def _rsyslog(boot: Boot) -> Iterator[Trait]:
    for path in ("/etc/rsyslog.conf", *configuration.files(boot.root, "/etc/rsyslog.d", ".conf")):
        text = boot.root.text(path) or ""
        secure = re.search(r"^[^#\n]*(?:gtls|ossl|\$ActionSendStreamDriverMode\s+1|StreamDriverMode=\"1\")", text, re.MULTILINE)
        for number, line in enumerate(text.splitlines()[:4000], 1):
            if line.lstrip().startswith("#"):
                continue
            found = _RSYSLOG.match(line[:500])
            if found or _RSYSLOG_NEW.search(line[:500]):
                kind = "TLS" if secure else "tcp" if found and found.group(1) == "@@" else "udp" if found else "no TLS"
                detail = f"{kind} to {found.group(2)}" if found else kind
                yield _row(boot, "remote log", "yes", detail, [boot.root.evidence(path, line, line=number)])


def _syslog_ng(boot: Boot) -> Iterator[Trait]:
    for path in (
        "/etc/syslog-ng/syslog-ng.conf",
        "/etc/syslog-ng.conf",
        *configuration.files(boot.root, "/etc/syslog-ng/conf.d", ".conf"),
    ):
        text = boot.root.text(path) or ""
        for number, line in enumerate(text.splitlines()[:4000], 1):
            found = None if line.lstrip().startswith("#") or "destination" not in line else _NG.search(line[:500])
            if found:
                kind = "TLS" if re.search(r"transport\s*\(\s*[\"']?tls|\btls\s*\(", text) else "no TLS"
                yield _row(
                    boot, "remote log", "yes", f"{kind} to {found.group(1)}", [boot.root.evidence(path, line, line=number)]
                )


def _rotation(boot: Boot) -> Iterator[Trait]:
    paths = [
        path
        for path in ("/etc/logrotate.conf", *[node.path for node in boot.root.children("/etc/logrotate.d")])
        if boot.root.exists(path)
    ]
    if paths and any(boot.root.exists(path) for path in ("/usr/sbin/logrotate", "/usr/bin/logrotate")):
        yield _row(
            boot,
            "log rotation",
            "unknown",
            f"logrotate with {len(paths)} files",
            [boot.root.evidence(path, "rules of logrotate") for path in paths],
        )


def _pages(boot: Boot) -> Iterator[Trait]:
    """Pages that show a log: some program keeps one."""
    pages = [path for path in sorted(boot.root.nodes) if "og" in path and _PAGE.search(path)]
    if pages:
        yield _row(
            boot, "log page", "unknown", pages[0], [boot.root.evidence(path, "page of the web interface") for path in pages]
        )
