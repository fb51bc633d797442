"""TFTP servers, which know no login. Sources: tftpd(8) of tftp-hpa, atftpd(8), ``tftpd --help`` of busybox."""

from __future__ import annotations

from fwcheck.device.configurations.reading import Bound, Note, Reading, Start, host_of, number, split_address

NAMES = ("tftpd", "in.tftpd", "atftpd", "tftpd-hpa")


def read(start: Start) -> Reading:
    """Address, and whether files may be made or overwritten."""
    bounds = []
    for text in start.option("-a", "--address", "--bind-address"):
        host, port = split_address(text) if ":" in text and not text.endswith("]") else (host_of(text), None)
        bounds.append(Bound(port or 69, "udp", host))
    for text in start.option("--port"):
        if port := number(text):
            bounds = [each._replace(port=port) for each in bounds] or [Bound(port, "udp")]
    creates = start.flag("c") or start.has("--create")
    user = next(iter(start.option("-u", "--user")), "")
    return Reading(
        tuple(bounds),
        authentication="none",
        encryption="none",
        user=user,
        notes=(Note("anonymous-write" if creates else "anonymous-read"),),
    )
