"""Video servers over RTSP.

Sources: v4l2rtspserver's usage, live555's media server, mediamtx.yml (rtsp-simple-server.yml) as shipped.
"""

from __future__ import annotations

import re

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Note, Reading, Start, host_of, number, split_address

NAMES = ("v4l2rtspserver", "live555MediaServer", "mediamtx", "rtsp-simple-server")


def read(start: Start) -> Reading:
    """Port, and whether viewers have to log in."""
    if start.name in ("mediamtx", "rtsp-simple-server"):
        return _mediamtx(start)
    if start.name == "live555MediaServer":
        return Reading((Bound(554),), authentication="none", encryption="none", notes=(Note("anonymous-read", None, "rtsp"),))
    port = next((found for text in start.option("-P") if (found := number(text))), 8554)
    host = next(iter(start.option("-I")), ANY)
    users = start.option("-U")
    return Reading(
        (Bound(port, "tcp", host_of(host)),),
        authentication="password" if users else "none",
        encryption="none",
        notes=() if users else (Note("anonymous-read", None, "rtsp"),),
    )


def _mediamtx(start: Start) -> Reading:
    """Top-level ``key: value`` lines; viewers are asked where a reader has a user that is not ``any``."""
    path = next(
        (word for word in start.words if word.endswith((".yml", ".yaml"))),
        start.first(f"/{start.name}.yml", f"/etc/{start.name}.yml"),
    )
    held: dict[str, Setting] = {}
    users: list[Setting] = []
    for each in start.keywords(path):
        found = re.match(r"(-?\s*\w+):\s*(.*)$", each.text)
        if found:
            key, value = found.group(1), found.group(2).strip().strip("\"'")
            held.setdefault(key.lower(), each._replace(value=value))
            users += [each._replace(value=value)] if key.strip("- ") in ("user", "readUser") and value else []
    if not held:
        return Reading()
    address = held.get("rtspaddress")
    host, port = split_address(address.value) if address is not None else (ANY, 8554)
    disabled = held.get("rtsp", held.get("rtspdisable"))
    off = disabled is not None and disabled.value.lower() == ("no" if "rtsp" in held else "yes")
    secure = held.get("rtspencryption", held.get("encryption"))
    level = secure.value.strip("\"'").lower() if secure is not None else "no"
    anybody = next((each for each in users if each.value == "any"), None)
    is_open = anybody is not None or not users
    return Reading(
        (Bound(port or 8554, "tcp", host, address),) if not off else (),
        closed=off,
        authentication="none" if is_open else "password",
        encryption={"strict": "tls", "yes": "tls", "optional": "optional"}.get(level, "none"),  # type: ignore[arg-type]
        notes=(Note("anonymous-read", anybody or address, "rtsp", sure=anybody is not None),) if is_open and not off else (),
    )
