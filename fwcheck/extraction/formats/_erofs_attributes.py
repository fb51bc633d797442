"""Extended attributes of EROFS inodes that say something of a file's rights: capabilities and SELinux contexts.

Behind an inode stand, when it has any: name filter (4), count of shared attributes (1), unused (7), their numbers (4 each:
units of 4 bytes from the block of shared attributes on), then attributes of its own. Each is: length of the name (1), index of
its prefix (1), size of the value (2), name, value, filled up to 4 bytes. Source: ``fs/erofs/erofs_fs.h`` of Linux;
``include/uapi/linux/capability.h`` for the value of ``security.capability``.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

from fwcheck.extraction.errors import FormatError
from fwcheck.extraction.formats._erofs_layout import Inode, Superblock
from fwcheck.extraction.source import ByteSource

_SECURITY = 6
_CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio",
    "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time",
    "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip


def attributes(source: ByteSource, head: Superblock, inode: Inode) -> dict[str, str | int]:
    """``security.capability`` and ``security.selinux`` of an inode, in words; raises FormatError."""
    if inode.behind == inode.body:
        return {}
    out: dict[str, str | int] = {}
    for index, name, value in _every(source, head, inode):
        if index == _SECURITY and name == b"capability":
            out["security.capability"] = capabilities(value)
        elif index == _SECURITY and name == b"selinux":
            out["security.selinux"] = value.rstrip(b"\0").decode("utf-8", "replace")
    return out


def _every(source: ByteSource, head: Superblock, inode: Inode) -> Iterator[tuple[int, bytes, bytes]]:
    raw = source.read(inode.body, inode.behind - inode.body)
    shared = raw[4]
    at = 12 + 4 * shared
    if at > len(raw):
        raise FormatError("more shared attributes than there is room for")
    for number in unpack_from(f"<{shared}I", raw, 12):
        yield _one(source.peek(head.attributes + number * 4, 4 + 255 + 0xFFFF), 0)
    while at + 4 <= len(raw) and raw[at : at + 4] != bytes(4):
        one = _one(raw, at)
        yield one
        at += 4 + len(one[1]) + len(one[2]) + 3 & ~3


def _one(raw: bytes, at: int) -> tuple[int, bytes, bytes]:
    if at + 4 > len(raw):
        raise FormatError("an attribute outside the image")
    length, index, size = unpack_from("<BBH", raw, at)
    name, value = raw[at + 4 : at + 4 + length], raw[at + 4 + length : at + 4 + length + size]
    if len(value) < size:
        raise FormatError("an attribute that is cut off")
    return index, name, value


def capabilities(value: bytes) -> str:
    """The value of ``security.capability``: the names of what is permitted, ``=ep`` when it is effective at once."""
    if len(value) < 12:
        return value.hex()
    magic = unpack_from("<I", value)[0]
    permitted = unpack_from("<I", value, 4)[0] | (unpack_from("<I", value, 12)[0] << 32 if len(value) >= 20 else 0)
    names = [f"cap_{name}" for bit, name in enumerate(_CAPABILITIES) if permitted >> bit & 1]
    return f"{','.join(names) or 'none'}={'ep' if magic & 1 else 'p'}"
