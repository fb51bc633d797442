"""Planted weaknesses: files and components."""

from __future__ import annotations

from contents import REPAIRED, text
from elf import build

from plants.plant import BOOT, STRONG, Plant, daemon, started

FILES = (
    Plant(
        "files-readable-secret",
        (("ACC-003", "/etc/shadow"), ("FS-002", "/etc/shadow")),
        {
            "/etc/shadow": text(0o644, f"root:{STRONG}:19675:0:99999:7:::", "www:*:19675:0:99999:7:::"),
            "/etc/group-": text(0o600, "root:x:0:"),
        },
    ),
    Plant(
        "files-service-token",
        (("FS-003", "/etc/report.conf"),),
        # in two pieces, so that no scanner of repositories takes it for somebody's
        {
            "/etc/report.conf": text(
                0o600, "server = https://telemetry.sample-cloud.net/", "token = glpat-" + "s4mPle7Tok3nNob0dys9"
            )
        },
    ),
    Plant(
        "files-start-script-writable",
        (("FS-004", "/etc/init.d/rcS"),),
        {"/etc/init.d/rcS": (0o777, REPAIRED["/etc/init.d/rcS"][1])},
        writable=True,
    ),
    Plant(
        "files-writable",
        (("FS-001", "/etc/os-release"),),
        {"/etc/os-release": text(0o666, 'NAME="Sample Router"', "ID=sample-router", 'VERSION_ID="1.0"')},
        writable=True,
    ),
    Plant(
        "files-setuid",
        (("FS-005", "/usr/bin/diagnose"),),
        {"/usr/bin/diagnose": (0o4755, build(imports=("system",), hardened=True))},
    ),
    Plant(
        "component-vulnerable",
        (("CVE-001", "/usr/sbin/dnsmasq"),),
        {
            "/usr/sbin/dnsmasq": daemon("dnsmasq-2.45", "Dnsmasq version 2.45  Copyright (C) 2000-2008 Simon Kelley"),
            **started("/usr/sbin/dnsmasq -i br0"),
        },
    ),
    Plant("component-ended", (("CVE-001", "payload"), ("CVE-002", "payload")), boot=BOOT, kernel="3.10.14"),
)
