"""vsftpd. Source: vsftpd.conf(5). A file of one setting per line, ``key=value`` without blanks.

``anonymous_enable`` is YES where nothing says otherwise, save in builds of distributions that changed the compiled value.
"""

from __future__ import annotations

from fwcheck.device.configuration import Setting
from fwcheck.device.configurations.reading import ANY, Bound, Encryption, Note, Reading, Start, host_of, last, number, on

NAMES = ("vsftpd",)
_PATHS = ("/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf", "/usr/local/etc/vsftpd.conf")


def read(start: Start) -> Reading:
    """Address, anonymous access, what it may write, and encryption."""
    path = next((word for word in start.words if word.startswith("/")), start.first(*_PATHS))
    settings = start.assignments(path)
    for word in start.words:
        if word.startswith("-o") and "=" in word:
            key, _, value = word[2:].partition("=")
            settings.append(Setting(key, value, path, 0, word))
    host = last(settings, "listen_address", "listen_address6")
    port = last(settings, "listen_port")
    address = host_of(host.value) if host is not None else ANY
    bounds = [Bound(number(port.value), "tcp", address, port)] if port is not None and number(port.value) else []
    if not bounds and host is not None:
        bounds = [Bound(21, "tcp", address, host)]
    anonymous = last(settings, "anonymous_enable")
    open_ = on(anonymous.value) if anonymous is not None else bool(settings)
    notes = list(_anonymous(settings, anonymous)) if open_ else []
    local = last(settings, "local_enable")
    authentication = "none" if open_ else "password" if local is not None and on(local.value) else "unknown"
    return Reading(
        tuple(bounds),
        authentication=authentication if settings else "unknown",  # type: ignore[arg-type]
        encryption=_encryption(settings),
        notes=(*notes, *_versions(settings)),
        decided_by=tuple(each for each in (anonymous, local, last(settings, "ssl_enable")) if each is not None),
    )


def _anonymous(settings: list[Setting], anonymous: Setting | None) -> list[Note]:
    write = last(settings, "write_enable")
    upload = last(settings, "anon_upload_enable", "anon_other_write_enable", "anon_mkdir_write_enable")
    if write is not None and on(write.value) and upload is not None and on(upload.value):
        return [Note("anonymous-write", upload, sure=anonymous is not None)]
    return [Note("anonymous-read", anonymous, sure=anonymous is not None)]


def _encryption(settings: list[Setting]) -> Encryption:
    enabled = last(settings, "ssl_enable")
    if enabled is None or not on(enabled.value):
        return "none"
    forced = last(settings, "force_local_logins_ssl")
    return "tls" if forced is None or on(forced.value) else "optional"


def _versions(settings: list[Setting]) -> list[Note]:
    if _encryption(settings) == "none":
        return []
    old = (last(settings, key) for key in ("ssl_sslv2", "ssl_sslv3", "ssl_tlsv1", "ssl_tlsv1_1"))
    return [Note("old-tls", each) for each in old if each is not None and on(each.value)]
