"""Variables of UEFI in flash (EDK II MdeModulePkg/Include/Guid/VariableFormat.h; UEFI Specification 2.10, 8.2 and 32.4).

Store: GUID (plain or authenticated variables), size, 0x5a (formatted), 0xfe (healthy), 6 reserved bytes; or ``$VSS``,
size, the same two bytes, 6 reserved. Variable: 0x55aa, state, reserved, attributes; authenticated ones: count (64 bit),
time (16 bytes), index of the key; sizes of name and data, GUID of the vendor; the name in UCS-2, the data; aligned to
four bytes. Flash clears bits: a live variable has the state 0x3f, one about to be replaced 0x3e.

Keys of secure boot are signature lists: type, size of the list, of its header, of one signature (32 bits each), header,
then signatures: owner, data. Test keys of reference firmware say in their subject that they must not be trusted or
shipped.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from uuid import UUID

import msgspec

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.format import Entry
from fwcheck.extraction.limits import Limits
from fwcheck.extraction.source import ByteSource

AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792")
PLAIN = UUID("ddcf3616-3275-4164-98b6-fe85707ffe7d")
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_ENABLE = UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_VENDORS = {
    _GLOBAL: "global",
    _SECURITY: "image-security",
    UUID("c076ec0c-7028-4399-a072-71ee5c448b9f"): "custom-mode",
    _ENABLE: "secure-boot-enable",
    UUID("605dab50-e046-4300-abb6-3dd810dd8b23"): "shim",
    UUID("eb704011-1402-11d3-8e77-00a0c969723b"): "memory-type",
}
_KEYS = {(_GLOBAL, "PK"), (_GLOBAL, "KEK"), (_SECURITY, "db"), (_SECURITY, "dbx"), (_SECURITY, "dbt"), (_SECURITY, "dbr")}
_X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_LIST = struct.Struct("<16sIII")
_CERTIFICATES_LIMIT = 64
_KEY_LIMIT = 64 << 10
_TEST_KEY = re.compile(rb"DO NOT (?:TRUST|SHIP)", re.IGNORECASE)
_LIVE = {0x3F, 0x3E}
_STATES = {0x3F: "live", 0x3E: "about to be replaced"}
_HEADER = {False: struct.Struct("<HBBIII16s"), True: struct.Struct("<HBBIQ16sIII16s")}
_NAME_LIMIT = 2048
_ATTRIBUTES = (
    (1, "non-volatile"),
    (2, "boot service"),
    (4, "runtime"),
    (0x10, "count-authenticated"),
    (0x20, "time-authenticated"),
)


class Store(msgspec.Struct):
    """A variable store: where it begins and ends in the source, and what it holds."""

    size: int
    header: int
    authenticated: bool
    keys: set[str] = set()
    live: int = 0
    deleted: int = 0
    enabled: str = ""
    test_keys: set[str] = set()


def store(source: ByteSource, at: int) -> Store:
    """The store at ``at``; raises FormatError."""
    raw = source.peek(at, 28)
    if raw[:4] == b"$VSS" and raw[8:10] == b"\x5a\xfe":
        size, header, authenticated = int.from_bytes(raw[4:8], "little"), 16, False
    elif len(raw) == 28 and raw[20:22] == b"\x5a\xfe" and (guid := UUID(bytes_le=raw[:16])) in {AUTHENTICATED, PLAIN}:
        size, header, authenticated = int.from_bytes(raw[16:20], "little"), 28, guid == AUTHENTICATED
    else:
        raise FormatError("no store of UEFI variables")
    if size <= header:
        raise FormatError("implausible size of a store of UEFI variables")
    return Store(size=min(size, source.size - at), header=header, authenticated=authenticated)


def variables(source: ByteSource, at: int, found: Store, limits: Limits) -> Iterator[Entry]:
    """The live variables as files ``/vendor/name``; deleted ones are counted."""
    layout, end = _HEADER[found.authenticated], at + found.size
    at += found.header
    taken: set[str] = set()
    for _ in range(limits.nodes):
        raw = source.peek(at, layout.size)
        if at + layout.size > end or raw[:2] != b"\xaa\x55":
            return
        fields = layout.unpack(raw)
        state, attributes, name_size, data_size, guid = fields[1], fields[3], fields[-3], fields[-2], UUID(bytes_le=fields[-1])
        begin = at + layout.size
        data = begin + name_size
        if not 0 < name_size <= _NAME_LIMIT or data + data_size > end:
            return
        at = data + data_size
        at += -at % 4
        if state not in _LIVE:
            found.deleted += 1
            continue
        found.live += 1
        name = _name(source.read(begin, name_size))
        if (guid, name) in _KEYS and data_size:
            found.keys.add(name)
            if _TEST_KEY.search(source.peek(data, min(data_size, _KEY_LIMIT))):
                found.test_keys.add(name)
        if name == "SecureBootEnable" and guid == _ENABLE and data_size:
            found.enabled = "on" if source.read(data, 1) == b"\1" else "off"
        path = f"/{_VENDORS.get(guid, str(guid))}/{name}"
        if path in taken:
            path += f"@{begin - layout.size:x}"
        taken.add(path)
        if (guid, name) in _KEYS:
            yield from _certificates(source, path, data, data + data_size)
        yield _entry(
            source, path, data, data_size, {"vendor": str(guid), "state": _STATES[state], "attributes": _words(attributes)}
        )


def _certificates(source: ByteSource, path: str, at: int, end: int) -> Iterator[Entry]:
    """The X.509 certificates of the signature lists of a key variable."""
    number = 0
    while at + _LIST.size <= end and number < _CERTIFICATES_LIMIT:
        kind, size, header, length = _LIST.unpack(source.read(at, _LIST.size))
        begin, stop = at + _LIST.size + header, at + size
        if not _LIST.size < size <= end - at or length <= 16 or begin + length > stop:
            return
        for place in range(begin, stop - length + 1, length) if kind == _X509.bytes_le else ():
            owner = UUID(bytes_le=source.read(place, 16))
            yield _entry(source, f"{path}.{number}.der", place + 16, length - 16, {"owner": str(owner)})
            number += 1
            if number >= _CERTIFICATES_LIMIT:
                return
        at = stop


def _entry(source: ByteSource, path: str, at: int, size: int, detail: dict[str, str | int]) -> Entry:
    return Entry(path=path, size=size, offset=at, detail=detail, locality=at, open=lambda: source.window(at, size))


def _name(raw: bytes) -> str:
    text = raw[: len(raw) & ~1].decode("utf-16-le", "replace").split("\0", 1)[0]
    return "".join(char if char.isprintable() and char != "/" else "?" for char in text) or "unnamed"


def _words(attributes: int) -> str:
    return ", ".join(word for bit, word in _ATTRIBUTES if attributes & bit)


def describe(found: Store) -> dict[str, str | int]:
    """What the store says of secure boot; to be asked when the variables were listed."""
    tests = {"test_keys": ", ".join(sorted(found.test_keys))} if found.test_keys else {}
    switch = {"secure_boot": found.enabled} if found.enabled else {}
    return {
        **switch,
        **tests,
        "variables": found.live,
        "deleted_variables": found.deleted,
        "authenticated": "yes" if found.authenticated else "no",
        "secure_boot_keys": ", ".join(sorted(found.keys)) or "none",
        "platform_key": "enrolled" if "PK" in found.keys else "not enrolled: setup mode",
    }
