"""Planted weaknesses: hardening of programs and kernel."""

from __future__ import annotations

from contents import text
from elf import build

from plants.plant import BOOT, Plant, instead

HARDENING = (
    Plant(
        "hardening-weak-server",
        (("HRD-001", "/usr/sbin/lighttpd"),),
        {
            "/usr/sbin/lighttpd": (
                0o755,
                build(imports=("bind", "accept", "strcpy"), needed=("libssl.so.3", "libc.so.0"), strings=("lighttpd/1.4.82",)),
            )
        },
    ),
    Plant(
        "hardening-randomisation-off",
        (("HRD-005", "/etc/sysctl.conf"),),
        {"/etc/sysctl.conf": text(0o644, "kernel.randomize_va_space = 0")},
    ),
    Plant(
        "hardening-command-line",
        (("HRD-004", ""),),
        boot=BOOT.replace("ro\n", "ro nokaslr mitigations=off\n"),
    ),
    Plant(
        "hardening-kernel-options",
        (("HRD-002", "/boot/config-6.12.57"),),
        {
            "/boot/config-6.12.57": text(
                0o644, "CONFIG_MMU=y", "CONFIG_MODULE_SIG=y", "# CONFIG_STACKPROTECTOR is not set", "# CONFIG_SECCOMP is not set"
            )
        },
    ),
    Plant(
        "hardening-isolation-not-in-force",
        (("HRD-003", "/etc/selinux/config"),),
        {"/etc/selinux/config": text(0o644, "SELINUX=permissive", "SELINUXTYPE=targeted")},
    ),
    Plant(
        "web-server-as-root",
        (("FS-007", "/etc/init.d/rcS"),),
        instead("/etc/lighttpd.conf", 'server.username = "www"\n', ""),
    ),
)
