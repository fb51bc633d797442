"""Mosquitto. Source: mosquitto.conf(5), mosquitto(8), and the notes on the change to version 2.0.

Version 2.0 turned ``allow_anonymous`` off where a listener is configured, and binds to the loopback interface where none is.
Before it, anonymous clients were let in by default on every address.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, is_local, last, number
from fwcheck.device.configurations.tls import server_notes

NAMES = ("mosquitto",)
_CERTIFICATES = ("certfile", "keyfile", "cafile", "capath")


def read(start: Start) -> Reading:
    """Listeners with and without TLS, and who is let in."""
    named = start.option("-c", "--config-file")
    settings = start.keywords(next(iter(named), "/etc/mosquitto/mosquitto.conf"))
    for each in [each for each in settings if each.key == "include_dir"][:4]:
        for path in start.files(f"{each.value.rstrip('/')}/*.conf"):
            settings += start.keywords(path)
    if not named:
        settings = settings if "-d" not in start.words or settings else []
    version = _major(start)
    bounds = _listeners(settings)
    port = next((found for text in start.option("-p", "--port") if (found := number(text))), None)
    if port:
        bounds = bounds or [Bound(port)]
    elif not bounds and version is not None:
        bounds = [Bound(1883, address="127.0.0.1" if version >= 2 else ANY)]
    open_bounds = [each for each in bounds if not is_local(each.address) and each.address != "unix"]
    asks, note = _asked(settings, version, open_bounds)
    certificate = last(settings, "require_certificate")
    client = certificate is not None and certificate.value == "true"
    used = any(each.tls for each in bounds)
    plain = any(not each.tls for each in open_bounds)
    decided = (last(settings, "allow_anonymous"), last(settings, "password_file"), certificate)
    insecure = [each for each in settings if each.key in ("bridge_insecure", "tls_insecure") and each.value == "true"]
    return Reading(
        tuple(bounds),
        authentication="certificate" if client and asks != "password" else asks,  # type: ignore[arg-type]
        encryption="optional" if used and plain else "tls" if used else "none" if bounds else "unknown",
        user=next((each.value for each in settings if each.key == "user"), ""),
        notes=(
            *([note] if note and open_bounds and not client else []),
            *server_notes(settings),
            *(Note("no-peer-check", each) for each in insecure),
        ),
        decided_by=tuple(each for each in decided if each is not None),
    )


def _listeners(settings: list[Setting]) -> list[Bound]:
    """``listener PORT [ADDRESS]`` begins a listener that the TLS settings behind it belong to; ``port`` is the default one."""
    bounds: list[Bound] = []
    address = ANY
    for each in settings:
        if each.key in ("listener", "port"):
            words = each.value.split()
            port = number(words[0]) if words else None
            if port is None:
                continue
            host = host_of(words[1]) if len(words) > 1 else address if each.key == "port" else ANY
            bounds.append(Bound(port, "tcp", host, each, tls=False))
        elif each.key == "bind_address":
            address = host_of(each.value)
            bounds = [one._replace(address=address) if one.setting and one.setting.key == "port" else one for one in bounds]
        elif each.key in ("certfile", "psk_hint") and bounds:
            bounds[-1] = bounds[-1]._replace(tls=True)
        elif each.key == "bind_interface" and bounds:
            bounds[-1] = bounds[-1]._replace(interface=each.value)
    return bounds[:32]


def _asked(settings: list[Setting], version: int | None, open_bounds: list[Bound]) -> tuple[str, Note | None]:
    """Who is let in from outside. With ``per_listener_settings true`` each listener has the settings that stand behind it."""
    apart = last(settings, "per_listener_settings")
    if apart is None or apart.value.lower() != "true":
        return _anonymous(settings, version, listening=bool(open_bounds))
    groups: list[list[Setting]] = [[]]
    for each in settings:
        if each.key == "listener":
            groups.append([])
        groups[-1].append(each)
    opened = [each.setting for each in open_bounds]
    found = [_anonymous(group, version, listening=True) for group in groups if any(each in opened for each in group)]
    anybody = next((each for each in found if each[0] == "none"), None)
    return anybody or (found[0] if found else _anonymous(groups[0], version, listening=False))


def _anonymous(settings: list[Setting], version: int | None, *, listening: bool) -> tuple[str, Note | None]:
    allowed = last(settings, "allow_anonymous")
    if allowed is not None:
        anybody = allowed.value.lower() == "true"
        return ("none", Note("anonymous-write", allowed)) if anybody else ("password", None)
    if last(settings, "password_file", "plugin", "auth_plugin") is not None:
        return "password", None
    if version is not None and version < 2 and listening:
        return "none", Note("anonymous-write", None, f"the default of version {version}")
    return ("password" if version is not None and version >= 2 and listening else "unknown"), None


def _major(start: Start) -> int | None:
    """The major version by the banner of the program, None when it has none."""
    found = start.version("mosquitto")
    return int(found.split(".")[0]) if re.match(r"\d{1,4}\.", found) else None
