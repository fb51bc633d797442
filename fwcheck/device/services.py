"""Services: which daemons the shipped default starts, from where, as whom, and which are present without being started.

"yes" is said only of what certainly runs, "no" only where the whole boot could be followed; everything else is "unknown", with
the condition in words. What a program of the vendor's own starts by itself cannot be seen here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from fwcheck.device._disk import Disk
from fwcheck.device._login import login_asks
from fwcheck.device.boot import Boot, boots
from fwcheck.device.daemons import Daemon, daemon_of, daemons
from fwcheck.device.firmware import Firmware
from fwcheck.device.shell.state import negated
from fwcheck.device.shell.vocabulary import COMMANDS
from fwcheck.device.shell.world import Place, Run
from fwcheck.model import Evidence, NodeKind, Service

_DIRECTORIES = (
    "/sbin",
    "/usr/sbin",
    "/bin",
    "/usr/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/libexec",
    "/system/bin",
    "/opt/bin",
)
_APPLETS = frozenset(("telnetd", "ftpd", "httpd", "tftpd", "udhcpd", "inetd", "crond", "syslogd", "ntpd", "dnsd", "nc"))
_ONE_SHOT = frozenset(
    [
        "nc",
        "ncat",
        "netcat",
        "socat",
        "rsync",
        "openvpn",
        "starter",
        "cron",
        "ntpd",
    ]  # clients too: present alone they are no service
)
# What a vendor's own programs usually start by themselves; remote access is not among it.
_WITHOUT_MEDIA = re.compile(
    r"not \(\[ -[defsx] [\"']?/(?:[\w.-]+/)*(?:sd|sdcard|extsd|tf|tfcard|mmc\w*|usb\w*|udisk\w*|media)(?:/[\w./-]*)?[\"']? \]\)"
)
_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)(:\d+)?$")
_ORDINARY = frozenset(("web", "name", "discovery", "management", "media", "time", "print", "vpn", "transfer"))
_SYSTEM = frozenset(
    [
        "procd",
        "netifd",
        "ubusd",
        "logd",
        "klogd",
        "haveged",
        "rngd",
        "watchdog",
        "urandom_seed",
        "mdev",
        "udevd",
        "hotplug2",
        "fw3",
        "button",
    ]
)
_CUSTOM = frozenset(
    ("httpd", "webs", "goahead", "alphapd", "web_server", "webserver", "jjhttpd")
)  # usually the vendor's own build
_SPAWNS = frozenset(("system", "popen", "execve", "execv", "execl", "execlp", "execvp", "posix_spawn", "execle", "posix_spawnp"))
_MERGE_LIMIT = 32
_CONDITION_LIMIT = 12


def services(firmware: Firmware) -> tuple[Service, ...]:
    """Every service of every root file system, started ones first, in boot order."""
    found: list[Service] = []
    for boot in boots(firmware):
        found += _of_root(boot)
    return tuple(found)


def _of_root(boot: Boot) -> list[Service]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in boot.runs:
        daemon = daemon_of(run.name)
        if is_service(run, daemon):
            groups.setdefault((run.name, run.program, " ".join(run.shown[1:])), []).append(run)
    result = [*_by_init(boot), *(_started(boot, runs) for runs in groups.values())]
    started = {service.name for service in result if service.present or service.enabled != "no"}
    return result + list(_idle(boot, started))


def _by_init(boot: Boot) -> Iterable[Service]:
    """What procd starts before any script."""
    path = "/sbin/ubusd"
    if boot.kind == "procd" and _is_program(boot, path):
        proof = (boot.root.evidence(boot.init, "procd starts ubusd"),)
        yield Service(
            name="ubusd",
            program=path,
            enabled="yes",
            user="root",
            started_by="/sbin/procd",
            protocol="ubus",
            reachable="no",
            root=boot.root.label,
            evidence=proof,
        )


def is_service(run: Run, daemon: Daemon | None) -> bool:
    """Whether a started program keeps running: a known daemon, something supervised, or something put in the background."""
    if run.name in ("nc", "ncat", "netcat"):
        return any(word.startswith("-") and "l" in word for word in run.words[1:])
    if run.name == "socat":
        return "listen" in " ".join(run.words[1:]).lower()
    if any(word in ("--version", "--help", "-V") for word in run.words[1:]):
        return False
    if daemon is not None:
        return not (daemon.name in ("hostapd", "openvpn") and len(run.words) == 1)
    if run.present is False or run.manner == "oneshot":
        return False
    return bool(run.manner) or (run.background and run.name not in COMMANDS and not run.name.endswith(".sh"))


def _started(boot: Boot, runs: list[Run]) -> Service:
    first = next((run for run in runs if not run.conditions), runs[0])
    daemon = daemon_of(first.name)
    enabled, condition = _verdict(boot, runs)
    shown = mask_arguments(" ".join(first.shown[1:]))
    evidence = tuple(dict.fromkeys(_evidence(run) for run in runs))[:8]
    return Service(
        name=first.name,
        program=_program(first),
        arguments=shown,
        enabled=enabled,
        user=first.user or "root",
        started_by=f"{first.place.path}:{first.place.line}" if first.place.line else first.place.path,
        condition=condition,
        protocol=daemon.protocol if daemon else "",
        authentication=authentication(boot.disk, first, daemon),
        reachable=_reachable(first, daemon, enabled),
        present=first.present is True,
        root=boot.root.label,
        evidence=evidence,
    )


def _program(run: Run) -> str:
    return run.program if run.program.startswith("/") else ""


def _evidence(run: Run) -> Evidence:
    return run.place.fs.evidence(run.place.path, mask_arguments(" ".join(run.shown)), line=run.place.line or None)


def mask_arguments(text: str) -> str:
    """Arguments without the passwords they hold (``-u user:password``)."""
    return re.sub(r"(-u\s+[^\s:]+:)(\S+)", r"\1******", re.sub(r"(--?(?:pass|password|pw|psk)[= ])(\S+)", r"\1******", text))


def _verdict(boot: Boot, runs: list[Run]) -> tuple[Literal["yes", "no", "unknown"], str]:
    sets = _resolve([frozenset(run.conditions) for run in runs])
    present = runs[0].present
    if present is False:
        applet = runs[0].name in _APPLETS and any(
            boot.root.exists(path) for path in ("/bin/busybox", "/sbin/busybox", "/usr/bin/busybox")
        )
        return ("unknown", "busybox holds the applet without a link") if applet else ("no", "the program is not in the image")
    if frozenset() in sets:
        return ("yes", "") if present else ("unknown", f"{runs[0].program} is on the running device (it is not in the image)")
    shortest = min(sets, key=len)
    words = next(run.conditions for run in runs if frozenset(run.conditions) >= shortest)
    condition = "; ".join(text for text in words if text in shortest)
    # A memory card or stick is not inserted when the product comes out of its box.
    shipped = present is True and all(_WITHOUT_MEDIA.fullmatch(text) for text in shortest)
    return ("yes" if shipped else "unknown"), condition


def _resolve(sets: list[frozenset[str]]) -> set[frozenset[str]]:
    """What holds either way holds: {A, B} and {A, not B} give {A}."""
    known = set(sets[:_MERGE_LIMIT])
    changed = True
    while changed and len(known) <= _MERGE_LIMIT * 4:
        changed = False
        for one in [each for each in known if len(each) <= _CONDITION_LIMIT]:
            for text in one:
                rest = one - {text}
                if rest not in known and any(other <= rest | {negated(text)} and negated(text) in other for other in known):
                    known.add(rest)
                    changed = True
    return known


def authentication(disk: Disk, run: Run, daemon: Daemon | None) -> Literal["none", "password", "key", "certificate", "unknown"]:
    """What a service asks for before it serves, as far as its arguments say."""
    arguments = " ".join(run.words[1:])
    protocol = daemon.protocol if daemon else ""
    if protocol == "telnet":
        return _telnet(disk, run)
    if protocol == "ssh":
        return "key" if run.name == "dropbear" and re.search(r"(^|\s)-\w*s\w*(\s|$)", arguments) else "password"
    if protocol in ("tftp", "gdb", "adb", "relay", "serial", "rsh"):
        return "none"
    if protocol == "ftp" and run.name == "ftpd":
        return "password" if re.search(r"(^|\s)-\w*[aA]", arguments) else "none" if "tcpsvd" in run.manner else "password"
    return "unknown"


def _telnet(disk: Disk, run: Run) -> Literal["none", "password", "unknown"]:
    words = run.words
    login = next((words[at + 1] for at in range(1, len(words) - 1) if re.fullmatch(r"-[a-zA-Z]*l", words[at])), "")
    login = login or next((word[2:] for word in words if word.startswith("-l") and len(word) > 2), "") or "/bin/login"
    return login_asks(disk, login)


def _reachable(run: Run, daemon: Daemon | None, enabled: str) -> Literal["yes", "loopback", "no", "unknown"]:
    if enabled == "no":
        return "no"
    telnet = daemon is not None and daemon.protocol == "telnet"
    values = [
        value
        for option, value in zip(run.words[1:], (*run.words[2:], ""), strict=False)
        if option in (("-b",) if telnet else ("-p", "-s", "-b", "-a", "--listen", "--bind", "--address"))
    ]
    hosts = [value for value in values if _LOOPBACK.match(value)]
    if hosts and all(value in hosts or value.isdigit() for value in values) and not _open_port(values, telnet=telnet):
        return "loopback"
    listed = " ".join(word for word in run.words[1:] if not word.startswith("-"))
    return "loopback" if daemon is not None and daemon.protocol == "snmp" and re.search(r"(^|[\s:])127\.", listed) else "unknown"


def _open_port(values: list[str], *, telnet: bool) -> bool:
    """Whether one of several listening options names a port alone: that one is open to all."""
    return not telnet and len(values) > 1 and any(value.isdigit() for value in values) and any(":" in value for value in values)


def _idle(boot: Boot, started: set[str]) -> Iterable[Service]:
    """Known daemons that are in the image and that nothing starts."""
    seen: set[str] = set()
    vendor = ", ".join(_vendor_programs(boot)[:4])
    for name, daemon in daemons().items():
        if name in started or daemon.name in started or name in _ONE_SHOT or (not daemon.ports and daemon.kind == "system"):
            continue
        path = next((f"{top}/{name}" for top in _DIRECTORIES if _is_program(boot, f"{top}/{name}")), "")
        if not path or daemon.name in seen:
            continue
        seen.add(daemon.name)
        hole = next((hole for hole in boot.holes if not hole.conditional), next(iter(boot.holes), None))
        disabled = _switched_off(boot, name)
        if disabled is not None:
            where, text, enabled = disabled, f"{disabled.path}:{disabled.line} switches it off on the first boot", "no"
        elif hole is not None:
            line = f":{hole.place.line}" if hole.place.line else ""
            where, text, enabled = hole.place, f"{hole.place.path}{line} {hole.reason}", "unknown"
        else:
            where, text, enabled = None, "no boot script starts it", "no"
            if vendor:
                enabled = "unknown" if daemon.kind in _ORDINARY else "no"
                text = f"no boot script starts it; {vendor}, which the boot starts, may"
        proof = [boot.root.evidence(path, "present in the image")]
        proof += [where.fs.evidence(where.path, text, line=where.line or None)] if where is not None else []
        yield Service(
            name=name,
            program=path,
            enabled="unknown" if enabled == "unknown" else "no",
            condition=text,
            protocol=daemon.protocol,
            reachable="unknown" if enabled == "unknown" else "no",
            root=boot.root.label,
            evidence=tuple(proof),
        )


def _switched_off(boot: Boot, name: str) -> Place | None:
    """The line of a first-boot script that disables the init script of this daemon."""
    for script, place in boot.world.disabled.items() if boot.world is not None else ():
        if script == name or name in (boot.disk.text(f"/etc/init.d/{script}") or ""):
            return place
    return None


def _vendor_programs(boot: Boot) -> list[str]:
    """Started programs that are no known daemon or system tool and can start others."""
    names = []
    for run in boot.runs:
        daemon = daemon_of(run.name)
        if run.found is None or run.name in _SYSTEM or run.name in COMMANDS or (daemon is not None and run.name not in _CUSTOM):
            continue
        facts = run.found.fs.facts_of(run.found.node)
        if facts is not None and facts.elf is not None and _SPAWNS & set(facts.elf.imports) and is_service(run, daemon):
            names.append(run.name)
    return list(dict.fromkeys(names))


def _is_program(boot: Boot, path: str) -> bool:
    node = boot.root.resolve(path)
    if node is not None:
        return node.kind is NodeKind.FILE
    return False
