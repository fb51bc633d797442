"""Services: which daemons the shipped default starts, from where, as whom, and which are present without being started.

"yes" is said only of what certainly runs, "no" only where the whole boot could be followed; everything else is "unknown", with
the condition in words. What a program of the vendor's own starts by itself cannot be seen here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from fwcheck.device import super_servers
from fwcheck.device.boot import Boot, boots
from fwcheck.device.configuration import Setting
from fwcheck.device.configurations import registry
from fwcheck.device.configurations.reading import Bound, Reading, Start, is_local
from fwcheck.device.daemons import Daemon, daemon_of, daemons
from fwcheck.device.firmware import Firmware
from fwcheck.device.key_files import key_files
from fwcheck.device.shell.state import negated
from fwcheck.device.shell.vocabulary import COMMANDS
from fwcheck.device.shell.world import Place, Run
from fwcheck.model import Evidence, NodeKind, Remark, Service

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
        "wg-quick",
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
_OPEN_PROTOCOLS = (
    "tftp",
    "gdb",
    "adb",
    "relay",
    "serial",
    "rsh",
    "dns",
    "dhcp",
    "mdns",
    "upnp",
    "dlna",
    "ws-discovery",
    "netbios",
    "rpc",
)
_WRAPPER = re.compile(r"^start-|-wrapper$")  # becomes the daemon that it is named after
_ORDINARY = frozenset(("web", "name", "discovery", "management", "media", "time", "print", "vpn", "transfer"))
# A daemon that only prints something or checks its configuration.
_ASKS = ("--version", "--help", "-V")
_CHECKS = {
    "dnsmasq": ("--test",), "nginx": ("-t", "-T", "-s"), "sshd": ("-t", "-T"), "apache2": ("-t", "configtest", "stop"),
    "lighttpd": ("-t", "-tt", "-p"), "smbd": ("-b", "--build-options"), "mosquitto": ("-h",), "dropbear": ("-h",),
    "unbound": ("-h",), "haproxy": ("-c", "-v", "-vv"), "avahi-daemon": ("-k", "--kill", "-c", "--check", "-r", "--reload"),
    "squid": ("-z", "-k"), "rpcbind": ("-h",), "dockerd": ("--validate",), "wg-quick": ("down", "save", "strip"),
    "dhcpd": ("-t", "-T"), "named": ("-V",), "openvpn": ("--genkey", "--version"), "postfix": ("check", "stop", "status"),
    "proftpd": ("-t", "--configtest"), "squid3": ("-z", "-k"), "ntpd": ("-q", "--version"), "exim4": ("-bV",),
}  # fmt: skip
# Programs of the system itself, known not to start services of the vendor on their own account.
_SYSTEM = frozenset({
    *("procd", "netifd", "ubusd", "logd", "klogd", "haveged", "rngd", "jitterentropy-rngd", "watchdog", "urandom_seed"),
    *("mdev", "mdevd", "udevd", "eudev", "ueventd", "hotplug2", "fw3", "fw4", "button", "systemd-udevd", "systemd-journald"),
    *("systemd-logind", "systemd-networkd", "systemd-resolved", "systemd-timesyncd", "systemd-userdbd", "systemd-homed"),
    *("systemd-oomd", "systemd-machined", "systemd-hostnamed", "systemd-localed", "systemd-timedated", "systemd-portabled"),
    *("systemd-coredump", "systemd-pstore", "systemd-tty-ask-password-agent", "systemd-network-generator"),
    *("systemd-networkd-wait-online", "systemd-executor", "dbus-daemon", "dbus-broker", "dbus-broker-launch", "polkitd"),
    *("elogind", "seatd", "rtkit-daemon", "accounts-daemon", "upowerd", "udisksd", "acpid", "irqbalance", "thermald"),
    *("multipathd", "lvmetad", "dmeventd"),
})  # fmt: skip
_CUSTOM = frozenset(
    ("httpd", "webs", "goahead", "alphapd", "web_server", "webserver", "jjhttpd")
)  # usually the vendor's own build
_SPAWNS = frozenset(("system", "popen", "execve", "execv", "execl", "execlp", "execvp", "posix_spawn", "execle", "posix_spawnp"))
_MERGE_LIMIT = 32
_READ_LIMIT = 64  # configuration files of one service
_CONDITION_LIMIT = 12


class Started(NamedTuple):
    """A service with its start and what its configuration says; ``start`` is None for one that no line starts."""

    service: Service
    start: Start | None
    reading: Reading


def services(firmware: Firmware) -> tuple[Service, ...]:
    """Every service of every root file system, started ones first, in boot order."""
    return tuple(each.service for each in started(firmware))


@lru_cache(maxsize=1)
def started(firmware: Firmware) -> tuple[Started, ...]:
    """The services with what was read about them; made once per firmware."""
    return tuple(each for boot in boots(firmware) for each in _of_root(boot))


def _of_root(boot: Boot) -> list[Started]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in boot.runs:
        daemon = daemon_of(run.name)
        if is_service(run, daemon):
            groups.setdefault((run.name, run.program, " ".join(run.shown[1:])), []).append(run)
    first = [Started(service, None, Reading()) for service in _by_init(boot)]
    result = [*first, *(_started(boot, runs) for runs in groups.values())]
    names = {each.service.name for each in result if each.service.present or each.service.enabled != "no"}
    names |= {daemon.name for name in names if _WRAPPER.search(name) and (daemon := daemon_of(name)) is not None}
    return result + [Started(service, None, Reading()) for service in _idle(boot, names)]


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
    if any(word in _ASKS for word in run.words[1:]) or any(word in _CHECKS.get(run.name, ()) for word in run.words[1:]):
        return False
    if run.name == "rsync":
        return "--daemon" in run.words
    if daemon is not None:
        return not (daemon.name in ("hostapd", "openvpn") and len(run.words) == 1)
    if run.present is False or run.manner == "oneshot":
        return False
    return bool(run.manner) or (run.background and run.name not in COMMANDS and not run.name.endswith(".sh"))


def _started(boot: Boot, runs: list[Run]) -> Started:
    first = next((run for run in runs if not run.conditions), runs[0])
    daemon = daemon_of(first.name)
    enabled, condition = _verdict(boot, runs)
    shown = mask_arguments(" ".join(first.shown[1:]))
    evidence = tuple(dict.fromkeys(_evidence(run) for run in runs))[:8]
    ports = super_servers.opened(boot.disk, first)
    start = Start(boot.disk, first.name, tuple(first.words[1:]), first.manner, first.found, evidence, ports)
    boot.disk.asked.clear()
    reading = registry.read(start)
    read = tuple(dict.fromkeys(boot.disk.asked))[:_READ_LIMIT]
    decided = dict.fromkeys(f"{each.path}:{each.line}" for each in (*_settings(reading), *reading.decided_by) if each.path)
    bare = super_servers.hands_out_a_shell(first, ports)
    service = Service(
        name=first.name,
        program=_program(first),
        arguments=shown,
        enabled=enabled,
        user=first.user or reading.user or "root",
        started_by=f"{first.place.path}:{first.place.line}" if first.place.line else first.place.path,
        condition=condition,
        protocol=daemon.protocol if daemon else "raw shell" if bare else "",
        authentication="none" if bare else _authentication(reading, daemon),
        encryption="none" if bare else _encryption(reading, daemon),
        reachable=_reachable(first, daemon, enabled, ports or reading.bounds),
        present=first.present is True,
        root=boot.root.label,
        applet=_applet(first),
        configuration=tuple(decided)[:16],
        keys=key_files(start, read),
        remarks=tuple(_remarks(start, reading)),
        evidence=evidence,
    )
    return Started(service, start, reading)


def _settings(reading: Reading) -> list[Setting]:
    return [bound.setting for bound in reading.bounds if bound.setting is not None]


def _remarks(start: Start, reading: Reading) -> Iterable[Remark]:
    for note in reading.notes:
        shown = start.shown(note.setting)
        if shown is not None:
            masked = Evidence(location=shown.location, text=mask_arguments(shown.text))
            yield Remark(topic=note.topic, detail=note.detail, certain=note.sure, evidence=masked)


def _applet(run: Run) -> str:
    """The multi-call binary that a link leads to, with the applet: ``busybox telnetd``."""
    if run.found is None:
        return ""
    name = posixpath.basename(run.found.node.path)
    return (
        f"{name} {run.name}"
        if name != run.name and re.match(r"busybox|toybox|toolbox|dropbearmulti|samba_multicall", name)
        else ""
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
    # The same for every order of the set: the fewest conditions, and rather what a script says than what a program may run.
    shortest = min(sets, key=lambda each: (len(each), sum(" runs " in text for text in each), sorted(each)))
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


def _authentication(reading: Reading, daemon: Daemon | None) -> Literal["none", "password", "key", "certificate", "unknown"]:
    """What a service asks for before it serves: its configuration says it, else the protocol that knows no login."""
    if reading.authentication != "unknown":
        return reading.authentication
    return "none" if daemon is not None and daemon.protocol in _OPEN_PROTOCOLS else "unknown"


def _encryption(reading: Reading, daemon: Daemon | None) -> Literal["none", "tls", "ssh", "optional", "unknown"]:
    if reading.encryption != "unknown" or daemon is None:
        return reading.encryption
    return "none" if daemon.plain and daemon.kind not in ("web", "iot", "management") else "unknown"


def _reachable(
    run: Run, daemon: Daemon | None, enabled: str, bounds: Sequence[Bound]
) -> Literal["yes", "loopback", "no", "unknown"]:
    if enabled == "no":
        return "no"
    if bounds:
        return "loopback" if all(is_local(bound.address) for bound in bounds) else "unknown"
    values = [
        value
        for option, value in zip(run.words[1:], (*run.words[2:], ""), strict=False)
        if option in ("-p", "-s", "-b", "-a", "--listen", "--bind", "--address")
    ]
    hosts = [value for value in values if _LOOPBACK.match(value)]
    return (
        "loopback" if hosts and all(value in hosts or value.isdigit() for value in values) and daemon is not None else "unknown"
    )


def _idle(boot: Boot, started: set[str]) -> Iterable[Service]:
    """Known daemons that are in the image and that nothing starts."""
    seen: set[str] = set()
    vendor = ", ".join(vendor_programs(boot)[:4])
    running = {run.found.node.path for run in boot.runs if run.found is not None and "box" not in run.found.node.path}
    for name, daemon in daemons().items():
        if name in started or daemon.name in started or name in _ONE_SHOT or (not daemon.ports and daemon.kind == "system"):
            continue
        path = next((f"{top}/{name}" for top in _DIRECTORIES if _is_program(boot, f"{top}/{name}")), "")
        node = boot.root.resolve(path) if path else None
        if node is None or daemon.name in seen or node.path in running:
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


def vendor_programs(boot: Boot) -> list[str]:
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
