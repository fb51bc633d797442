"""The planted weaknesses: the repaired router with one thing spoilt, and the findings that this one thing must give.

Each plant is one small image of ``planted/``, named after what is wrong in it. ``finds`` is everything a scan may say against it
beyond what it says against the repaired router: rule and path, no more and no less.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from contents import REPAIRED, Tree, certificate, computable_key, private_key, published_key, short_key, ssh_public_key, text
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


def _also(path: str, *lines: str) -> Change:
    """A text of the repaired router with further lines."""
    mode, held = REPAIRED[path]
    return mode, (held if isinstance(held, bytes) else held.encode()) + text(mode, *lines)[1]


def _instead(path: str, old: str, new: str) -> dict[str, Change]:
    """A text of the repaired router with one place changed."""
    mode, held = REPAIRED[path]
    raw = held if isinstance(held, bytes) else held.encode()
    if old.encode() not in raw:
        raise ValueError(f"{path} does not hold {old!r}")
    return {path: (mode, raw.replace(old.encode(), new.encode()))}


def _started(*lines: str) -> dict[str, Change]:
    return {"/etc/init.d/rcS": _also("/etc/init.d/rcS", *lines)}


def _daemon(*strings: str, imports: tuple[str, ...] = ("bind", "accept")) -> Change:
    return 0o755, build(imports=imports, strings=strings, hardened=True)


def _shadow(field: str) -> dict[str, Change]:
    return {"/etc/shadow": text(0o600, f"root:{field}:19675:0:99999:7:::", "www:*:19675:0:99999:7:::")}


# crypt(3) of "admin" and of a password that stands in no list
ADMIN = "$6$samples1$Mxwkcs6X/xtR6aSFccQxEuwVQ4YhCtj0zZOK84DAkEeg.ucorSPXF1KKQHVSgIp99VJKq1Vv8SjGXjz6DgGlh."
STRONG = "$6$samples2$zDcE3XAQYb3PCHqfJGkwKcmMIH94RsFuRuzgpJ4rmAxDka4V64shEvb6Dc00DpMm85wens5TckrLAtNYacGOc1"
WEAK = "$1$samples3$vhBXiqUFBvQzOtfxjka/o1"

# the line of the repaired update script that refuses older versions
_NEWER = """new=$(dd if=/tmp/fw.bin bs=16 count=1) && [ "$new" \\> "$(cat /etc/firmware-version)" ] || exit 1  # no rollback"""

_TELNET: dict[str, Change] = {"/usr/sbin/telnetd": (0o777, "../../bin/busybox")}
_DROPBEAR: dict[str, Change] = {"/usr/sbin/dropbear": _daemon("Dropbear sshd v2025.88", "SSH-2.0-dropbear_2025.88")}
_SSHD: dict[str, Change] = {"/usr/sbin/sshd": _daemon("OpenSSH_10.0p2", "sshd_config")}
_SNMPD: dict[str, Change] = {"/usr/sbin/snmpd": _daemon("NET-SNMP version 5.9.4", "rocommunity", imports=("bind", "recvfrom"))}

PLANTED = (
    # --- accounts
    Plant("account-empty-password", (("ACC-001", "/etc/shadow"),), _shadow("")),
    Plant("account-default-password", (("ACC-002", "/etc/shadow"),), _shadow(ADMIN)),
    Plant("account-fixed-password", (("ACC-003", "/etc/shadow"),), _shadow(STRONG)),
    Plant(
        "account-second-root",
        (("ACC-003", "/etc/shadow"), ("ACC-004", "/etc/passwd")),
        {
            "/etc/passwd": _also("/etc/passwd", "support:x:0:0:support:/root:/bin/sh"),
            "/etc/shadow": _also("/etc/shadow", f"support:{STRONG}:19675:0:99999:7:::"),
        },
    ),
    Plant("account-weak-hash", (("ACC-003", "/etc/shadow"), ("ACC-005", "/etc/shadow")), _shadow(WEAK)),
    Plant(
        "account-authorized-key",
        (("ACC-006", "/root/.ssh/authorized_keys"),),
        {
            "/root/.ssh/authorized_keys": text(0o600, ssh_public_key(0xACC006)),
            **_DROPBEAR,
            **_started("/usr/sbin/dropbear -s -R"),
        },
    ),
    Plant(
        "account-ssh-empty-passwords",
        (("ACC-007", "/etc/ssh/sshd_config"), ("ACC-009", "/etc/init.d/rcS")),
        {
            "/etc/ssh/sshd_config": text(0o600, "PermitEmptyPasswords yes", "PermitRootLogin no", "MaxAuthTries 3"),
            **_SSHD,
            **_started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-root-over-ssh",
        (("ACC-003", "/etc/shadow"), ("ACC-008", "/etc/ssh/sshd_config"), ("ACC-009", "/etc/init.d/rcS")),
        {
            "/etc/ssh/sshd_config": text(0o600, "PermitRootLogin yes", "PasswordAuthentication yes"),
            **_SSHD,
            **_shadow(STRONG),
            **_started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "ssh-withdrawn-ciphers",
        (("CRY-001", "/etc/ssh/sshd_config"),),
        {
            "/etc/ssh/sshd_config": text(
                0o600, "PermitRootLogin no", "PasswordAuthentication no", "Ciphers aes256-ctr,3des-cbc", "MACs hmac-sha2-256"
            ),
            **_SSHD,
            **_started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-open-pam-stack",
        (("ACC-009", "/etc/init.d/rcS"), ("ACC-013", "/etc/pam.d/sshd")),
        {
            "/etc/pam.d/sshd": text(0o644, "auth sufficient pam_permit.so", "auth required pam_unix.so"),
            "/etc/ssh/sshd_config": text(0o600, "UsePAM yes", "PermitRootLogin no"),
            **_SSHD,
            **_started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-becomes-root",
        (("ACC-003", "/etc/shadow"), ("ACC-014", "/etc/sudoers")),
        {
            "/etc/passwd": _also("/etc/passwd", "support:x:1000:1000:support:/home/support:/bin/sh"),
            "/etc/shadow": _also("/etc/shadow", f"support:{STRONG}:19675:0:99999:7:::"),
            "/etc/sudoers": text(0o440, "support ALL=(ALL) NOPASSWD: ALL"),
            "/usr/bin/sudo": (0o4755, build(imports=("setuid", "execve"), hardened=True)),
        },
    ),
    Plant(
        "account-computed-password",
        (("ACC-011", "/usr/sbin/set-password.sh"),),
        {
            "/usr/sbin/set-password.sh": text(
                0o755,
                "#!/bin/sh",
                "mac=$(cat /sys/class/net/eth0/address)",
                "word=$(echo sample$mac | md5sum | cut -c1-10)",
                'echo "www:$word" | chpasswd',
            )
        },
    ),
    Plant(
        "account-open-pam",
        (("ACC-013", "/etc/pam.d/login"),),
        {
            "/etc/pam.d/login": text(
                0o644, "auth sufficient pam_permit.so", "auth required pam_unix.so", "account required pam_unix.so"
            )
        },
    ),
    Plant(
        "account-sudo-without-password",
        (("ACC-003", "/etc/shadow"), ("ACC-014", "/etc/sudoers")),
        {
            "/etc/passwd": _also("/etc/passwd", "operator:x:1000:1000:operator:/home:/bin/sh"),
            "/etc/shadow": _also("/etc/shadow", f"operator:{STRONG}:19675:0:99999:7:::"),
            "/etc/sudoers": text(0o440, "root ALL=(ALL) ALL", "operator ALL=(ALL) NOPASSWD: ALL"),
        },
    ),
    Plant(
        "account-factory-login",
        (("ACC-015", "/etc/nvram_default.conf"),),
        {"/etc/nvram_default.conf": text(0o600, "lan_ipaddr=192.168.1.1", "http_username=admin", "http_passwd=admin")},
    ),
    Plant(
        "account-factory-login-empty",
        (("ACC-016", "/etc/nvram_default.conf"),),
        {"/etc/nvram_default.conf": text(0o600, "lan_ipaddr=192.168.1.1", "http_username=admin", "http_passwd=")},
    ),
    Plant(
        "account-service-secret",
        (("ACC-017", "/etc/snmp/snmpd.conf"),),
        {
            "/etc/snmp/snmpd.conf": text(0o600, "createUser sample SHA sample-sample AES", "rouser sample authPriv"),
            **_SNMPD,
            **_started("/usr/sbin/snmpd -C -c /etc/snmp/snmpd.conf"),
        },
    ),
    Plant(
        "account-boot-prompt",
        (("ACC-018", ""), ("DBG-001", "")),
        boot="bootdelay=3\nbootstopkey=sample\nbootargs=root=/dev/mtdblock3 ro\nbootcmd=bootm 0x8000\n",
    ),
    Plant(
        "wireless-fixed-passphrase",
        (("ACC-010", "/etc/hostapd.conf"),),
        {
            "/etc/hostapd.conf": text(
                0o600, "interface=wlan0", "ssid=SampleRouter", "wpa=2", "wpa_key_mgmt=WPA-PSK", "wpa_passphrase=sample-sample"
            ),
            "/usr/sbin/hostapd": _daemon("hostapd v2.11", imports=("sendto", "recvfrom")),
            **_started("/usr/sbin/hostapd -B /etc/hostapd.conf"),
        },
    ),
    # --- network
    Plant("network-telnet", (("ACC-009", "/etc/init.d/rcS"), ("NET-001", "/etc/init.d/rcS")), {**_TELNET, **_started("telnetd")}),
    Plant(
        "network-tftp",
        (("NET-002", "/etc/init.d/rcS"),),
        {"/usr/sbin/in.tftpd": _daemon("tftp-hpa 5.2"), **_started("/usr/sbin/in.tftpd -l -c -s /tmp")},
    ),
    Plant(
        "network-gdbserver",
        (("NET-003", "/etc/init.d/rcS"),),
        {"/usr/bin/gdbserver": _daemon("GNU gdbserver"), **_started("/usr/bin/gdbserver --multi :2345 &")},
    ),
    Plant(
        "network-snmp-community",
        (("NET-004", "/etc/snmp/snmpd.conf"),),
        {
            "/etc/snmp/snmpd.conf": text(0o600, "rwcommunity private"),
            **_SNMPD,
            **_started("/usr/sbin/snmpd -C -c /etc/snmp/snmpd.conf"),
        },
    ),
    Plant(
        "network-upnp",
        (("NET-005", "/etc/init.d/rcS"),),
        {"/usr/sbin/miniupnpd": _daemon("miniupnpd 2.3.7", "AddPortMapping"), **_started("/usr/sbin/miniupnpd -i eth1 -a br0")},
    ),
    Plant(
        "network-tr069",
        (("NET-006", "/etc/init.d/rcS"),),
        {"/usr/sbin/cwmpd": _daemon("urn:dslforum-org:cwmp-1-2"), **_started("/usr/sbin/cwmpd &")},
    ),
    Plant(
        "network-remote-management",
        (("NET-007", "/etc/nvram_default.conf"),),
        {"/etc/nvram_default.conf": text(0o644, "lan_ipaddr=192.168.1.1", "remote_management=1")},
    ),
    Plant(
        "network-open-firewall",
        (("NET-008", "/etc/config/firewall"), ("NET-011", "/etc/init.d/rcS")),
        {
            "/etc/config/firewall": text(
                0o644,
                "config defaults",
                "\toption input 'REJECT'",
                "\toption forward 'REJECT'",
                "config zone",
                "\toption name 'wan'",
                "\tlist network 'wan'",
                "\toption input 'ACCEPT'",
                "\toption forward 'REJECT'",
            )
        },
    ),
    Plant(
        "network-plain-mqtt",
        (("NET-009", "/etc/cloud.conf"),),
        {"/etc/cloud.conf": text(0o644, "broker = mqtt://iot.sample-cloud.net:1883")},
    ),
    Plant(
        "network-database-without-password",
        (("NET-012", "/etc/redis.conf"),),
        {
            "/etc/redis.conf": text(0o600, "bind 0.0.0.0", "protected-mode no", "port 6379"),
            "/usr/bin/redis-server": _daemon("Redis server v=7.2.5"),
            **_started("/usr/bin/redis-server /etc/redis.conf &"),
        },
    ),
    Plant(
        "network-open-share",
        (("NET-013", "/etc/samba/smb.conf"),),
        {
            "/etc/samba/smb.conf": text(
                0o644,
                "[global]",
                "server min protocol = SMB3",
                "map to guest = Bad User",
                "[disk]",
                "path = /overlay/disk",
                "guest ok = yes",
                "read only = no",
            ),
            "/usr/sbin/smbd": _daemon("Samba 4.21.1"),
            **_started("/usr/sbin/smbd -D"),
        },
    ),
    Plant(
        "network-withdrawn-protocol",
        (("ACC-009", "/etc/init.d/rcS"), ("NET-014", "/etc/samba/smb.conf")),
        {
            "/etc/samba/smb.conf": text(
                0o644, "[global]", "server min protocol = NT1", "[disk]", "path = /overlay/disk", "valid users = owner"
            ),
            "/usr/sbin/smbd": _daemon("Samba 4.21.1"),
            **_started("/usr/sbin/smbd -D"),
        },
    ),
    Plant(
        "wireless-open",
        (("NET-015", "/etc/hostapd.conf"),),
        {
            "/etc/hostapd.conf": text(0o600, "interface=wlan0", "ssid=SampleRouter", "auth_algs=1"),
            "/usr/sbin/hostapd": _daemon("hostapd v2.11", imports=("sendto", "recvfrom")),
            **_started("/usr/sbin/hostapd -B /etc/hostapd.conf"),
        },
    ),
    # --- transport
    Plant("transport-old-protocol", (("TLS-001", "/etc/lighttpd.conf"),), _instead("/etc/lighttpd.conf", "TLSv1.2", "TLSv1")),
    Plant(
        "transport-weak-cipher",
        (("TLS-002", "/etc/lighttpd.conf"),),
        {"/etc/lighttpd.conf": _also("/etc/lighttpd.conf", 'ssl.cipher-list = "HIGH:RC4-SHA"')},
    ),
    Plant(
        "transport-unverified",
        (("TLS-003", "/usr/sbin/report-state.sh"),),
        {
            "/usr/sbin/report-state.sh": text(0o755, "#!/bin/sh", "curl -k -d @/tmp/state https://iot.sample-cloud.net/state"),
            **_started("/usr/sbin/report-state.sh"),
        },
    ),
    Plant(
        "transport-shared-key",
        (("TLS-004", "/etc/ssl/server.key"),),
        {
            "/etc/ssl/server.key": (0o600, private_key(0x715004)),
            **_instead("/etc/lighttpd.conf", "/overlay/server.pem", "/etc/ssl/server.key"),
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
    # --- updates
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
                _NEWER,
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
                _NEWER,
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
                _NEWER,
                "dd if=/tmp/fw.bin of=/dev/mtdblock2",
                "reboot",
            )
        },
    ),
    Plant(
        "update-server-not-checked",
        (("TLS-003", "/usr/sbin/firmware-update.sh"), ("UPD-004", "/usr/sbin/firmware-update.sh")),
        _instead(
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
                _NEWER,
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
    # --- boot chain
    Plant("boot-verify-off", (("BOOT-002", "environment"),), boot=BOOT + "verify=n\n"),
    Plant(
        "boot-from-network",
        (("BOOT-003", "environment"),),
        boot=BOOT.replace("bootcmd=bootm 0x8000", "bootcmd=tftpboot 0x80800000 fw.img && bootm 0x80800000; bootm 0x8000"),
    ),
    Plant("boot-key-optional", (("BOOT-005", ""),), boot=BOOT, key="optional"),
    Plant(
        "boot-around-the-key",
        (("BOOT-006", "environment"),),
        boot=BOOT.replace("bootcmd=bootm 0x8000", "bootcmd=bootm 0x8000 || go 0x80000000"),
        key="required",
    ),
    # --- debug access
    Plant("debug-boot-prompt", (("DBG-001", ""),), boot=BOOT.replace("bootdelay=-2", "bootdelay=3")),
    Plant("debug-console", (("DBG-002", "/etc/inittab"),), {"/etc/inittab": _also("/etc/inittab", "ttyS0::respawn:-/bin/sh")}),
    Plant(
        "debug-build",
        (("DBG-003", "/default.prop"),),
        {"/default.prop": text(0o644, "ro.debuggable=1")},
    ),
    Plant("debug-sysrq", (("DBG-004", "/etc/sysctl.conf"),), {"/etc/sysctl.conf": text(0o644, "kernel.sysrq = 1")}),
    Plant(
        "debug-hidden-page",
        (("DBG-005", "/www/cgi-bin/debug.sh"),),
        {"/www/cgi-bin/debug.sh": text(0o755, "#!/bin/sh", "echo Content-type: text/plain; echo", 'sh -c "$QUERY_STRING"')},
    ),
    Plant(
        "debug-backdoor",
        (("DBG-006", "/usr/sbin/lighttpd"),),
        {
            "/usr/sbin/lighttpd": (
                0o755,
                build(
                    imports=("bind", "accept"),
                    needed=("libssl.so.3", "libc.so.0"),
                    strings=("lighttpd/1.4.82", "xmlset_roodkcableoj28840ybtide"),
                    hardened=True,
                ),
            )
        },
    ),
    Plant(
        "debug-telnet-switch",
        (("DBG-007", "/www/cgi-bin/service.sh"),),
        {"/www/cgi-bin/service.sh": text(0o755, "#!/bin/sh", "echo; /usr/sbin/telnetd -l /bin/login -p 2323 &")},
    ),
    Plant(
        "debug-core-dumps",
        (("DBG-008", "/etc/init.d/rcS"),),
        _started("ulimit -c unlimited", "echo /www/core.%p > /proc/sys/kernel/core_pattern"),
    ),
    Plant(
        "debug-runs-from-card",
        (("DBG-011", "/etc/init.d/rcS"),),
        _started("[ -f /mnt/sdcard/run.sh ] && sh /mnt/sdcard/run.sh"),
    ),
    # --- hardening
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
        _instead("/etc/lighttpd.conf", 'server.username = "www"\n', ""),
    ),
    # --- logs, the way back to the factory state
    Plant(
        "log-none",
        (("LOG-001", "/etc/inittab"),),
        {"/etc/inittab": text(0o644, "::sysinit:/etc/init.d/rcS", "::ctrlaltdel:/bin/reboot")},
    ),
    Plant(
        "log-in-clear-to-a-server",
        (("LOG-003", "/etc/inittab"),),
        {
            "/etc/inittab": text(
                0o644,
                "::sysinit:/etc/init.d/rcS",
                "::respawn:/bin/syslogd -n -L -R logs.example.com:514",
                "::ctrlaltdel:/bin/reboot",
            )
        },
    ),
    Plant(
        "log-holds-a-password",
        (("LOG-004", "/usr/sbin/join-network.sh"),),
        {
            "/usr/sbin/join-network.sh": text(0o755, "#!/bin/sh", 'logger -t wifi "joining $1 with $password"'),
            "/bin/logger": (0o777, "busybox"),
        },
    ),
    Plant("reset-none", (("RST-001", ""),), {"/usr/sbin/factory-reset.sh": None}, boot=BOOT),
    Plant(
        "reset-leaves-data",
        (("RST-002", "/etc/init.d/rcS"),),
        {
            "/usr/sbin/factory-reset.sh": text(0o755, "#!/bin/sh", "rm -rf /overlay/etc/*", "reboot"),
            **_started("mount -t jffs2 /dev/mtdblock5 /data"),
        },
    ),
    # --- files, components
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
            "/usr/sbin/dnsmasq": _daemon("dnsmasq-2.45", "Dnsmasq version 2.45  Copyright (C) 2000-2008 Simon Kelley"),
            **_started("/usr/sbin/dnsmasq -i br0"),
        },
    ),
    Plant("component-ended", (("CVE-001", "payload"), ("CVE-002", "payload")), boot=BOOT, kernel="3.10.14"),
)
