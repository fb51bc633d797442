"""Planted weaknesses: accounts and logins."""

from __future__ import annotations

from contents import ssh_public_key, text
from elf import build

from plants.plant import ADMIN, DROPBEAR, SNMPD, SSHD, STRONG, WEAK, Plant, also, daemon, shadow, started

ACCOUNTS = (
    Plant("account-empty-password", (("ACC-001", "/etc/shadow"),), shadow("")),
    Plant("account-default-password", (("ACC-002", "/etc/shadow"),), shadow(ADMIN)),
    Plant("account-fixed-password", (("ACC-003", "/etc/shadow"),), shadow(STRONG)),
    Plant(
        "account-second-root",
        (("ACC-003", "/etc/shadow"), ("ACC-004", "/etc/passwd")),
        {
            "/etc/passwd": also("/etc/passwd", "support:x:0:0:support:/root:/bin/sh"),
            "/etc/shadow": also("/etc/shadow", f"support:{STRONG}:19675:0:99999:7:::"),
        },
    ),
    Plant("account-weak-hash", (("ACC-003", "/etc/shadow"), ("ACC-005", "/etc/shadow")), shadow(WEAK)),
    Plant(
        "account-authorized-key",
        (("ACC-006", "/root/.ssh/authorized_keys"),),
        {
            "/root/.ssh/authorized_keys": text(0o600, ssh_public_key(0xACC006)),
            **DROPBEAR,
            **started("/usr/sbin/dropbear -s -R"),
        },
    ),
    Plant(
        "account-ssh-empty-passwords",
        (("ACC-007", "/etc/ssh/sshd_config"), ("ACC-009", "/etc/init.d/rcS")),
        {
            "/etc/ssh/sshd_config": text(0o600, "PermitEmptyPasswords yes", "PermitRootLogin no", "MaxAuthTries 3"),
            **SSHD,
            **started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-root-over-ssh",
        (("ACC-003", "/etc/shadow"), ("ACC-008", "/etc/ssh/sshd_config"), ("ACC-009", "/etc/init.d/rcS")),
        {
            "/etc/ssh/sshd_config": text(0o600, "PermitRootLogin yes", "PasswordAuthentication yes"),
            **SSHD,
            **shadow(STRONG),
            **started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "ssh-withdrawn-ciphers",
        (("CRY-001", "/etc/ssh/sshd_config"),),
        {
            "/etc/ssh/sshd_config": text(
                0o600, "PermitRootLogin no", "PasswordAuthentication no", "Ciphers aes256-ctr,3des-cbc", "MACs hmac-sha2-256"
            ),
            **SSHD,
            **started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-open-pam-stack",
        (("ACC-009", "/etc/init.d/rcS"), ("ACC-013", "/etc/pam.d/sshd")),
        {
            "/etc/pam.d/sshd": text(0o644, "auth sufficient pam_permit.so", "auth required pam_unix.so"),
            "/etc/ssh/sshd_config": text(0o600, "UsePAM yes", "PermitRootLogin no"),
            **SSHD,
            **started("/usr/sbin/sshd"),
        },
    ),
    Plant(
        "account-becomes-root",
        (("ACC-003", "/etc/shadow"), ("ACC-014", "/etc/sudoers")),
        {
            "/etc/passwd": also("/etc/passwd", "support:x:1000:1000:support:/home/support:/bin/sh"),
            "/etc/shadow": also("/etc/shadow", f"support:{STRONG}:19675:0:99999:7:::"),
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
            "/etc/passwd": also("/etc/passwd", "operator:x:1000:1000:operator:/home:/bin/sh"),
            "/etc/shadow": also("/etc/shadow", f"operator:{STRONG}:19675:0:99999:7:::"),
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
            **SNMPD,
            **started("/usr/sbin/snmpd -C -c /etc/snmp/snmpd.conf"),
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
            "/usr/sbin/hostapd": daemon("hostapd v2.11", imports=("sendto", "recvfrom")),
            **started("/usr/sbin/hostapd -B /etc/hostapd.conf"),
        },
    ),
)
