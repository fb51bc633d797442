"""Debug and relay services. Sources: gdbserver(1), socat(1), nc(1), ser2net(8) and ser2net.yaml(5), AOSP ``adb`` daemon.

adbd listens on TCP where ``service.adb.tcp.port`` or ``persist.adb.tcp.port`` says so; otherwise it speaks over USB, or over
TCP port 5555 where the kernel has no USB gadget.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, is_local, number, split_address

NAMES = ("gdbserver", "adbd", "ser2net", "socat", "nc", "ncat", "netcat")
_PROPERTIES = (
    "/default.prop",
    "/system/build.prop",
    "/build.prop",
    "/system/etc/prop.default",
    "/vendor/build.prop",
    "/prop.default",
)
_LISTEN = re.compile(r"(?i)^(tcp|udp|openssl|ssl|sctp)[46]?-(?:l|listen|recvfrom|recv):(\d{1,5})(.*)")


def read(start: Start) -> Reading:
    """Ports of a debug service; none of them asks for a password, adbd for a known key where it is told to."""
    if start.name == "gdbserver":
        return _gdbserver(start)
    if start.name == "adbd":
        return _adbd(start)
    if start.name == "ser2net":
        return _ser2net(start)
    return _socat(start) if start.name == "socat" else _nc(start)


def _gdbserver(start: Start) -> Reading:
    found = next((word for word in start.words if re.fullmatch(r"[\w.\[\]-]*:\d{1,5}", word)), "")
    host, port = split_address(found) if found else (ANY, None)
    return Reading((Bound(port, "tcp", host),) if port else (), authentication="none", encryption="none")


def _adbd(start: Start) -> Reading:
    settings = [each for path in _PROPERTIES for each in start.assignments(path)]
    port = next(
        (each for each in settings if each.key in ("service.adb.tcp.port", "persist.adb.tcp.port") and number(each.value)), None
    )
    secure = next((each for each in settings if each.key == "ro.adb.secure"), None)
    return Reading(
        (Bound(number(port.value), setting=port),) if port is not None else (),
        authentication="key" if secure is not None and secure.value == "1" else "none",
        encryption="none",
        notes=(Note("network-port", port),) if port is not None else (),
        decided_by=(secure,) if secure is not None else (),
    )


def _ser2net(start: Start) -> Reading:
    """``2000:telnet:0:/dev/ttyS0:...`` of the old file; ``accepter: telnet,tcp,localhost,2000`` of the new one."""
    named = start.option("-c")
    rows: list[Setting] = []
    for path in named or ["/etc/ser2net.conf", "/etc/ser2net.yaml", "/etc/ser2net/ser2net.yaml"]:
        rows += start.keywords(path)
    bounds = []
    for each in rows:
        text = each.text.lstrip("- ")
        if old := re.match(r"(?:BANNER\b|DEFAULT\b)|(?:([\w.]+),)?(\d{2,5}):(?:raw|rawlp|telnet):", text):
            if old.group(2) and (port := number(old.group(2))):
                bounds.append(Bound(port, "tcp", host_of(old.group(1) or ANY), each))
        elif text.startswith("accepter:"):
            words = [word.strip() for word in text[9:].split("#")[0].split(",")]
            port = number(words[-1]) if words else None
            host = (
                words[-2]
                if len(words) > 1 and (words[-2] == "localhost" or re.fullmatch(r"[\d.]{7,15}|::1?", words[-2]))
                else ANY
            )
            if port:
                bounds.append(Bound(port, "udp" if "udp" in words[0] else "tcp", host_of(host), each))
    for text in start.option("-p"):
        host, port = split_address(text.replace(",", ":"))
        bounds += [Bound(port, "tcp", host)] if port else []
    bounds = bounds[:64]
    return Reading(tuple(bounds), closed=bool(rows) and not bounds, authentication="none", encryption="none")


def _socat(start: Start) -> Reading:
    bounds, shell = [], False
    for word in start.words:
        if (found := _LISTEN.match(word)) and (port := number(found.group(2))):
            host = re.search(r"bind=([\w.:\[\]-]{1,64})", found.group(3))
            tls = found.group(1).lower() in ("openssl", "ssl")
            bounds.append(
                Bound(port, "udp" if found.group(1).lower() == "udp" else "tcp", host_of(host.group(1)) if host else ANY, tls=tls)
            )
        shell = shell or bool(re.match(r"(?i)(exec|system|shell):.*\b(sh|ash|bash|login)\b", word))
    wide = [each for each in bounds if not is_local(each.address)]
    return Reading(tuple(bounds), authentication="none", encryption="none", notes=(Note("shell"),) if shell and wide else ())


def _nc(start: Start) -> Reading:
    words = " ".join(start.words)
    port = next((found for text in start.option("-p") if (found := number(text))), None)
    port = port or next((found for word in reversed(start.words) if (found := number(word))), None)
    host = next(iter(start.option("-s")), ANY)
    udp = any(re.fullmatch(r"-[a-z]*u[a-z]*", word) for word in start.words)
    shell = bool(re.search(r"(-e|-c|--exec)\s+\S*\b(sh|ash|bash)\b", words))
    return Reading(
        (Bound(port, "udp" if udp else "tcp", host_of(host)),) if port else (),
        authentication="none",
        encryption="none",
        notes=(Note("shell"),) if shell else (),
    )
