"""Extended attributes worth showing, in words. File capabilities: Linux kernel, ``include/uapi/linux/capability.h``."""

from __future__ import annotations

_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
    "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
    "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend",
    "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip
_SIGNATURE = 2200  # characters of a signature in hexadecimal: that of RSA-8192 with its header
_SIZES = {1: 12, 2: 20, 3: 24}  # by revision


def capabilities(value: bytes) -> str:
    """The value of ``security.capability`` as ``cap_net_raw+ep``; its bytes when it is none that Linux writes."""
    revision = value[3] if len(value) >= 4 else 0
    if _SIZES.get(revision) != len(value):
        return value.hex()
    words = [int.from_bytes(value[at : at + 4], "little") for at in range(0, len(value), 4)]
    permitted, inheritable = words[1], words[2]
    if revision > 1:
        permitted, inheritable = permitted | words[3] << 32, inheritable | words[4] << 32
    effective = "e" if words[0] & 1 else ""
    out = [f"{_listed(permitted)}+{effective}p"] if permitted else []
    out += [f"{_listed(inheritable)}+i"] if inheritable else []
    return " ".join(out) or "none"


def _listed(bits: int) -> str:
    known = [f"cap_{name}" for number, name in enumerate(_NAMES) if bits >> number & 1]
    return ",".join(known + [f"cap_{number}" for number in range(len(_NAMES), 64) if bits >> number & 1])


def attribute(name: str, value: bytes) -> tuple[str, str]:
    """An attribute as a row of detail; names keep their prefix (``security.capability``)."""
    if name == "security.capability":
        return name, capabilities(value)
    text = value.rstrip(b"\0")
    shown = text.decode("ascii", "replace") if text.isascii() and text.decode("ascii").isprintable() else value.hex()
    return name, shown[: _SIGNATURE if name == "security.ima" else 200]
