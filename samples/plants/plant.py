"""What a plant is, and the changes to the repaired router that several plants share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from contents import REPAIRED, Tree, text
from elf import build

Change = tuple[int, bytes | str] | None  # None: the file is taken out
BOOT = "bootdelay=-2\nbootargs=root=/dev/mtdblock3 ro\nbootcmd=bootm 0x8000\n"


class Plant(NamedTuple):
    """One weakness: what is changed, and what must be found. Without ``boot`` the image is the root file system alone."""

    name: str
    finds: tuple[tuple[str, str], ...]
    tree: Mapping[str, Change] = MappingProxyType({})
    boot: str = ""  # the boot loader's environment
    kernel: str = "6.12.57"
    writable: bool = False  # the root file system is JFFS2, which can be written, and not SquashFS
    key: str = ""  # the kernel is a signed FIT image, and its key in the boot loader's own tree is "required" or "optional"

    def contents(self, common: Tree) -> Tree:
        """The whole tree of the spoilt router."""
        whole: dict[str, Change] = {**common, **REPAIRED, **self.tree}
        return {path: held for path, held in whole.items() if held is not None}


def also(path: str, *lines: str) -> Change:
    """A text of the repaired router with further lines."""
    mode, held = REPAIRED[path]
    return mode, (held if isinstance(held, bytes) else held.encode()) + text(mode, *lines)[1]


def instead(path: str, old: str, new: str) -> dict[str, Change]:
    """A text of the repaired router with one place changed."""
    mode, held = REPAIRED[path]
    raw = held if isinstance(held, bytes) else held.encode()
    if old.encode() not in raw:
        raise ValueError(f"{path} does not hold {old!r}")
    return {path: (mode, raw.replace(old.encode(), new.encode()))}


def started(*lines: str) -> dict[str, Change]:
    return {"/etc/init.d/rcS": also("/etc/init.d/rcS", *lines)}


def daemon(*strings: str, imports: tuple[str, ...] = ("bind", "accept")) -> Change:
    return 0o755, build(imports=imports, strings=strings, hardened=True)


def shadow(field: str) -> dict[str, Change]:
    return {"/etc/shadow": text(0o600, f"root:{field}:19675:0:99999:7:::", "www:*:19675:0:99999:7:::")}


# crypt(3) of "admin" and of a password that stands in no list
ADMIN = "$6$samples1$Mxwkcs6X/xtR6aSFccQxEuwVQ4YhCtj0zZOK84DAkEeg.ucorSPXF1KKQHVSgIp99VJKq1Vv8SjGXjz6DgGlh."
STRONG = "$6$samples2$zDcE3XAQYb3PCHqfJGkwKcmMIH94RsFuRuzgpJ4rmAxDka4V64shEvb6Dc00DpMm85wens5TckrLAtNYacGOc1"
WEAK = "$1$samples3$vhBXiqUFBvQzOtfxjka/o1"

# the line of the repaired update script that refuses older versions
NEWER = """new=$(dd if=/tmp/fw.bin bs=16 count=1) && [ "$new" \\> "$(cat /etc/firmware-version)" ] || exit 1  # no rollback"""

TELNET: dict[str, Change] = {"/usr/sbin/telnetd": (0o777, "../../bin/busybox")}
DROPBEAR: dict[str, Change] = {"/usr/sbin/dropbear": daemon("Dropbear sshd v2025.88", "SSH-2.0-dropbear_2025.88")}
SSHD: dict[str, Change] = {"/usr/sbin/sshd": daemon("OpenSSH_10.0p2", "sshd_config")}
SNMPD: dict[str, Change] = {"/usr/sbin/snmpd": daemon("NET-SNMP version 5.9.4", "rocommunity", imports=("bind", "recvfrom"))}
