"""Planted weaknesses: ways for new software."""

from __future__ import annotations

from contents import certificate, private_key, text

from plants.plant import BOOT, NEWER, Plant, instead

UPDATES = (
    Plant(
        "update-none",
        (("UPD-001", ""),),
        {"/usr/sbin/firmware-update.sh": None, "/etc/firmware-signing.pub": None, "/usr/bin/openssl": None},
        boot=BOOT,
    ),
    Plant(
        "update-unchecked",
        (("UPD-002", "/usr/sbin/firmware-update.sh"),),
        {
            "/usr/sbin/firmware-update.sh": text(
                0o755,
                "#!/bin/sh",
                "wget -O /tmp/fw.bin https://firmware.example.com/sr100/latest.bin || exit 1",
                NEWER,
                "dd if=/tmp/fw.bin of=/dev/mtdblock2",
                "reboot",
            )
        },
    ),
    Plant(
        "update-check-ignored",
        (("UPD-014", "/usr/sbin/firmware-update.sh"),),
        {
            "/usr/sbin/firmware-update.sh": text(
                0o755,
                "#!/bin/sh",
                "wget -O /tmp/fw.bin https://firmware.example.com/sr100/latest.bin || exit 1",
                "wget -O /tmp/fw.sig https://firmware.example.com/sr100/latest.sig || exit 1",
                "openssl dgst -sha256 -verify /etc/firmware-signing.pub -signature /tmp/fw.sig /tmp/fw.bin | tee /tmp/fw.log",
                NEWER,
                "dd if=/tmp/fw.bin of=/dev/mtdblock2",
                "reboot",
            )
        },
    ),
    Plant(
        "update-not-by-default",
        (("UPD-010", "/etc/config/autoupdate"),),
        {"/etc/config/autoupdate": text(0o644, "config autoupdate 'settings'", "\toption auto_update '0'")},
    ),
    Plant(
        "update-checksum-only",
        (("UPD-003", "/usr/sbin/firmware-update.sh"),),
        {
            "/usr/sbin/firmware-update.sh": text(
                0o755,
                "#!/bin/sh",
                "wget -O /tmp/fw.bin https://firmware.example.com/sr100/latest.bin || exit 1",
                "wget -O /tmp/fw.md5 https://firmware.example.com/sr100/latest.md5 || exit 1",
                "cd /tmp && md5sum -c fw.md5 || exit 1",
                NEWER,
                "dd if=/tmp/fw.bin of=/dev/mtdblock2",
                "reboot",
            )
        },
    ),
    Plant(
        "update-server-not-checked",
        (("TLS-003", "/usr/sbin/firmware-update.sh"), ("UPD-004", "/usr/sbin/firmware-update.sh")),
        instead(
            "/usr/sbin/firmware-update.sh",
            "set -e",
            'set -e\nwget --no-check-certificate -O "$1" https://firmware.example.com/sr100/latest.bin',
        ),
    ),
    Plant(
        "update-published-key",
        (("UPD-006", "/etc/rauc/keyring.pem"),),
        {"/etc/rauc/keyring.pem": (0o644, certificate(0x0DD006, "DO NOT TRUST - AMI Test PK", 2020, 2040))},
    ),
    Plant(
        "update-signing-key-shipped",
        (("UPD-007", "/etc/firmware-signing.key"),),
        {"/etc/firmware-signing.key": (0o600, private_key(0x0DD5EED))},
    ),
    Plant(
        "update-plain-address",
        (("UPD-002", "/usr/sbin/firmware-update.sh"), ("UPD-008", "/usr/sbin/firmware-update.sh")),
        {
            "/usr/sbin/firmware-update.sh": text(
                0o755,
                "#!/bin/sh",
                "wget -O /tmp/fw.bin http://firmware.example.com/sr100/latest.bin || exit 1",
                NEWER,
                "dd if=/tmp/fw.bin of=/dev/mtdblock2",
                "reboot",
            )
        },
    ),
    Plant(
        "update-rollback",
        (("UPD-009", "/usr/sbin/firmware-update.sh"),),
        {
            "/usr/sbin/firmware-update.sh": text(
                0o755,
                "#!/bin/sh",
                "set -e",
                'openssl dgst -sha256 -verify /etc/firmware-signing.pub -signature "$2" "$1" || exit 1',
                'dd if="$1" of=/dev/mtdblock2',
                "reboot",
            ),
            "/etc/firmware-version": None,
        },
    ),
)
