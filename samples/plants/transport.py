"""Planted weaknesses: protection in transit."""

from __future__ import annotations

from contents import certificate, computable_key, private_key, published_key, short_key, text

from plants.plant import Plant, also, instead, started

TRANSPORT = (
    Plant("transport-old-protocol", (("TLS-001", "/etc/lighttpd.conf"),), instead("/etc/lighttpd.conf", "TLSv1.2", "TLSv1")),
    Plant(
        "transport-weak-cipher",
        (("TLS-002", "/etc/lighttpd.conf"),),
        {"/etc/lighttpd.conf": also("/etc/lighttpd.conf", 'ssl.cipher-list = "HIGH:RC4-SHA"')},
    ),
    Plant(
        "transport-unverified",
        (("TLS-003", "/usr/sbin/report-state.sh"),),
        {
            "/usr/sbin/report-state.sh": text(0o755, "#!/bin/sh", "curl -k -d @/tmp/state https://iot.sample-cloud.net/state"),
            **started("/usr/sbin/report-state.sh"),
        },
    ),
    Plant(
        "transport-shared-key",
        (("TLS-004", "/etc/ssl/server.key"),),
        {
            "/etc/ssl/server.key": (0o600, private_key(0x715004)),
            **instead("/etc/lighttpd.conf", "/overlay/server.pem", "/etc/ssl/server.key"),
        },
    ),
    Plant(
        "transport-expired-certificate",
        (("TLS-005", "/etc/ssl/server.crt"),),
        {"/etc/ssl/server.crt": (0o644, certificate(0x715005, "sample-router", 2010, 2020))},
    ),
    Plant(
        "transport-authority",
        (("TLS-004", "/etc/cloud/ca.key"), ("TLS-030", "/etc/cloud/ca.crt")),
        {
            "/etc/cloud/ca.key": (0o600, private_key(0x715030)),
            "/etc/cloud/ca.crt": (0o644, certificate(0x715030, "Maker's Devices", 2025, 2040, authority=True)),
        },
    ),
    Plant(
        "transport-sample-certificate",
        (("TLS-031", "/etc/ssl/server.crt"),),
        {"/etc/ssl/server.crt": (0o644, certificate(0x715031, "Snake Oil, Ltd", 2025, 2040))},
    ),
    Plant(
        "transport-plain-web",
        (("TLS-006", "/etc/init.d/rcS"),),
        {"/etc/lighttpd.conf": text(0o644, 'server.document-root = "/www"', 'server.username = "www"', "server.port = 80")},
    ),
    Plant(
        "transport-short-key",
        (("CRY-002", "/etc/cloud/server.pub"),),
        {"/etc/cloud/server.pub": (0o644, short_key())},
    ),
    Plant(
        "transport-computable-key",
        (("CRY-003", "/etc/cloud/server.pub"),),
        {"/etc/cloud/server.pub": (0o644, computable_key())},
    ),
    Plant(
        "transport-published-key",
        (("CRY-004", "/etc/cloud/server.pub"),),
        {"/etc/cloud/server.pub": (0o644, published_key())},
    ),
)
