"""What stands inside the two sample routers: path to (mode, bytes), or (mode, str) for a symbolic link's target."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_ssh_public_key
from elf import build

Tree = dict[str, tuple[int, bytes | str]]


def text(mode: int, *lines: str) -> tuple[int, bytes]:
    """A text file of these lines."""
    return mode, ("\n".join(lines) + "\n").encode()


def private_key(number: int) -> bytes:
    """The P-256 key of this secret number, PKCS#8 in PEM."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key(number: int) -> bytes:
    """Its public half, SubjectPublicKeyInfo in PEM."""
    key = ec.derive_private_key(number, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _rsa_public(modulus: int) -> bytes:
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signing_key(number: int) -> rsa.RSAPrivateKey:
    """An RSA key of 2048 bits that follows from this number: what signs the repaired router's kernel."""

    def prime(which: int) -> int:
        bits = b"".join(hashlib.sha512(f"{number} {which} {part}".encode()).digest() for part in range(2))
        found = int.from_bytes(bits, "big") | 3 << 1022 | 1
        while any(found % small == 0 for small in (3, 5, 7, 11, 13)) or pow(2, found - 1, found) != 1 or (found - 1) % 65537 == 0:
            found += 2
        return found

    p, q = prime(1), prime(2)
    private = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    parts = private % (p - 1), private % (q - 1), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, private, *parts, public).private_key()


def short_key() -> bytes:
    """An RSA public key of 1024 bits, of which nobody knows the private half."""
    return _rsa_public((1 << 1023) | 1 << 300 | 0x10001)


def computable_key() -> bytes:
    """An RSA public key of the shape that the generator of CVE-2017-15361 gives: powers of 65537 modulo many small primes."""
    product = math.prod(each for each in range(3, 168) if all(each % small for small in range(2, each)))
    halves = [pow(65537, power, product) + product * ((1 << 1023) // product + more) for power, more in ((1234, 0), (99, 12))]
    odd = [half if half % 2 else half + product for half in halves]
    return _rsa_public(odd[0] * odd[1])


def published_key() -> bytes:
    """The public half of the key that Vagrant gives to every box, whose private half it publishes."""
    blob = (
        "AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzU"
        "FtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MW"
        "ZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ=="
    )
    key = load_ssh_public_key(f"ssh-rsa {blob}".encode())
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def ssh_public_key(number: int) -> str:
    """The same as a line of an authorized_keys file."""
    key = ec.derive_private_key(number, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " maintenance@example.com"


def certificate(number: int, name: str, begins: int, ends: int, *, authority: bool = False) -> bytes:
    """A self-signed certificate for ``name``, valid from the first day of one year to that of another."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(subject, subject, key.public_key(), number)
    made = made.not_valid_before(datetime(begins, 1, 1, tzinfo=UTC)).not_valid_after(datetime(ends, 1, 1, tzinfo=UTC))
    if authority:
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.PEM)


_APPLETS = ("sh", "ash", "login", "getty", "mount", "passwd", "wget", "md5sum", "dd", "syslogd", "udhcpc", "reboot", "cat", "rm")

COMMON: Tree = {
    **{f"/bin/{name}": (0o777, "busybox") for name in _APPLETS},
    "/sbin/init": (0o777, "../bin/busybox"),
    "/etc/group": text(0o644, "root:x:0:", "nobody:x:65534:"),
    "/etc/fstab": text(0o644, "proc /proc proc defaults 0 0", "tmpfs /tmp tmpfs nosuid,nodev 0 0"),
    "/etc/os-release": text(
        0o644, 'NAME="Sample Router"', "ID=sample-router", 'PRETTY_NAME="Sample Router SR-100"', 'VERSION_ID="1.0"'
    ),
    "/www/index.html": text(
        0o644, "<!doctype html><title>Sample Router SR-100</title>", '<form action="/cgi-bin/login">...</form>'
    ),
}

INSECURE: Tree = {
    "/bin/busybox": (
        0o755,
        build(imports=("crypt", "fork", "execve", "socket"), strings=("BusyBox v1.19.4 (2013-05-14 10:22:31 CST)",)),
    ),
    "/usr/sbin/telnetd": (0o777, "../../bin/busybox"),
    "/lib/libssl.so.1.0.0": (0o755, build(soname="libssl.so.1.0.0", strings=("OpenSSL 1.0.1e 11 Feb 2013",))),
    "/usr/sbin/dnsmasq": (
        0o755,
        build(
            imports=("bind", "recvfrom"), strings=("dnsmasq-2.45", "Dnsmasq version 2.45  Copyright (C) 2000-2008 Simon Kelley")
        ),
    ),
    "/usr/sbin/lighttpd": (
        0o755,
        build(imports=("bind", "accept"), needed=("libssl.so.1.0.0", "libc.so.0"), strings=("lighttpd/1.4.26",)),
    ),
    "/etc/passwd": text(0o644, "root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/var:/bin/false"),
    # The password is "admin", a vendor default known to every botnet.
    "/etc/shadow": text(0o644, "root:$1$samples1$ZSbFhU3Dy.bhf2M38PXDE.:14610:0:99999:7:::", "nobody:*:14610:0:99999:7:::"),
    "/etc/inittab": text(0o644, "::sysinit:/etc/init.d/rcS", "ttyS0::respawn:-/bin/sh", "::ctrlaltdel:/bin/reboot"),
    "/etc/init.d/rcS": text(
        0o755,
        "#!/bin/sh",
        "mount -a",
        "telnetd &",
        "/usr/sbin/dnsmasq -C /etc/dnsmasq.conf",
        "/usr/sbin/lighttpd -f /etc/lighttpd.conf",
        "/etc/init.d/autoupdate.sh &",
    ),
    "/etc/init.d/autoupdate.sh": text(
        0o755,
        "#!/bin/sh",
        "# once a day: fetch the newest firmware and write it",
        "wget -O /tmp/fw.bin http://firmware.example.com/sr100/latest.bin || exit 1",
        "wget -O /tmp/fw.md5 http://firmware.example.com/sr100/latest.md5 || exit 1",
        "cd /tmp && md5sum -c fw.md5 || exit 1",
        "dd if=/tmp/fw.bin of=/dev/mtdblock2",
        "reboot",
    ),
    "/etc/dnsmasq.conf": text(0o644, "interface=br0", "dhcp-range=192.168.1.100,192.168.1.200,12h"),
    "/etc/lighttpd.conf": text(0o644, 'server.document-root = "/www"', "server.port = 80", 'server.modules = ( "mod_cgi" )'),
    "/etc/hostapd.conf": text(
        0o644, "interface=wlan0", "ssid=SampleRouter", "wpa=2", "wpa_key_mgmt=WPA-PSK", "wpa_passphrase=12345678"
    ),
    "/etc/ssl/server.key": (0o644, private_key(0x5A11CE)),
}

REPAIRED: Tree = {
    "/bin/busybox": (
        0o755,
        build(imports=("crypt", "fork", "execve"), strings=("BusyBox v1.37.0 (2025-09-01 09:00:00 UTC)",), hardened=True),
    ),
    "/lib/libssl.so.3": (0o755, build(soname="libssl.so.3", strings=("OpenSSL 3.5.7 9 Jun 2026",), hardened=True)),
    "/usr/sbin/lighttpd": (
        0o755,
        build(imports=("bind", "accept"), needed=("libssl.so.3", "libc.so.0"), strings=("lighttpd/1.4.82",), hardened=True),
    ),
    "/usr/bin/openssl": (0o755, build(imports=("EVP_DigestVerifyFinal",), needed=("libssl.so.3", "libc.so.0"), hardened=True)),
    "/etc/passwd": text(0o644, "root:x:0:0:root:/root:/bin/sh", "www:x:33:33:www:/www:/bin/false"),
    "/etc/shadow": text(0o600, "root:!:19675:0:99999:7:::", "www:*:19675:0:99999:7:::"),
    "/etc/inittab": text(0o644, "::sysinit:/etc/init.d/rcS", "::respawn:/bin/syslogd -n", "::ctrlaltdel:/bin/reboot"),
    "/etc/init.d/rcS": text(
        0o755,
        "#!/bin/sh",
        "mount -a",
        "mount -t jffs2 /dev/mtdblock4 /overlay",
        "# every unit makes its own key on its first boot",
        "[ -f /overlay/server.pem ] || /usr/sbin/make-device-key.sh",
        "/usr/sbin/lighttpd -f /etc/lighttpd.conf",
    ),
    "/usr/sbin/make-device-key.sh": text(
        0o755,
        "#!/bin/sh",
        "umask 077",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=sample-router -days 3650 \\",
        "  -keyout /overlay/server.pem -out /overlay/server.crt && cat /overlay/server.crt >> /overlay/server.pem",
    ),
    "/usr/sbin/firmware-update.sh": text(
        0o755,
        "#!/bin/sh",
        "# called by the web interface with the uploaded file and its signature",
        "set -e",
        'openssl dgst -sha256 -verify /etc/firmware-signing.pub -signature "$2" "$1" || exit 1',
        "# no rollback: the signed image begins with its version",
        'new=$(dd if="$1" bs=16 count=1) && [ "$new" \\> "$(cat /etc/firmware-version)" ] || exit 1',
        'dd if="$1" of=/dev/mtdblock2',
        "reboot",
    ),
    "/usr/sbin/factory-reset.sh": text(0o755, "#!/bin/sh", "rm -rf /overlay/*", "reboot"),
    "/etc/firmware-version": text(0o644, "0000000000000100"),
    "/etc/firmware-signing.pub": (0o644, public_key(0x0DD5EED)),
    "/etc/lighttpd.conf": text(
        0o644,
        'server.document-root = "/www"',
        'server.username = "www"',
        "server.port = 443",
        'ssl.engine = "enable"',
        'ssl.pemfile = "/overlay/server.pem"',
        'ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")',
        'server.modules = ( "mod_openssl", "mod_auth", "mod_cgi" )',
        '$SERVER["socket"] == ":80" { url.redirect = ( "" => "https://${url.authority}${url.path}${qsa}" ) }',
    ),
    "/www/.well-known/security.txt": text(
        0o644, "Contact: https://www.example.com/security", "Policy: https://www.example.com/disclosure"
    ),
}
