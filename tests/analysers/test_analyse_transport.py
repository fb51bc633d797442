"""Protection in transit: versions, ciphers, certificate checks and plain HTTP as configuration files state them."""

from __future__ import annotations

import pytest
from support.trees import firmware_of

from fwcheck.analysers import transport
from fwcheck.device.services import services
from fwcheck.model import Device

_ELF = b"\x7fELF" + bytes(60)


def found(script: str, files: dict[str, bytes | str]) -> list[tuple[str, str, int | None]]:
    tree: dict[str, bytes | str] = {
        "/sbin/init": _ELF,
        "/etc/inittab": "::sysinit:/etc/rcS\n",
        "/etc/rcS": f"#!/bin/sh\n{script}\n",
        "/lib/x": "",
    }
    tree |= {f"/usr/sbin/{name}": _ELF for name in ("lighttpd", "nginx", "uhttpd", "stunnel", "vsftpd", "httpd")}
    firmware = firmware_of(tree | files)
    device = Device(services=services(firmware))
    return [(each.rule, each.verdict, each.location.line) for each in transport.analyse(firmware, device)]


_SSL = 'ssl.engine = "enable"\n'


@pytest.mark.parametrize(
    ("script", "files", "expected"),
    [
        ("nginx", {"/etc/nginx/nginx.conf": "listen 443 ssl;\nssl_protocols TLSv1 TLSv1.2;\n"}, [("TLS-001", "violation", 2)]),
        ("nginx", {"/etc/nginx/nginx.conf": "listen 443 ssl;\nssl_protocols TLSv1.2 TLSv1.3;\n"}, []),
        (":", {"/etc/nginx/nginx.conf": "ssl_protocols TLSv1;\n"}, []),
        ("lighttpd", {"/etc/lighttpd/lighttpd.conf": _SSL + 'ssl.use-sslv3 = "enable"\n'}, [("TLS-001", "violation", 2)]),
        ("lighttpd", {"/etc/lighttpd/lighttpd.conf": _SSL + 'ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2")\n'}, []),
        (
            "lighttpd",
            {"/etc/lighttpd/lighttpd.conf": _SSL + 'ssl.cipher-list = "AES:RC4-SHA:!MD5"\n'},
            [("TLS-002", "violation", 2)],
        ),
        ("lighttpd", {"/etc/lighttpd/lighttpd.conf": _SSL + 'ssl.cipher-list = "ECDHE+AESGCM:!RC4:!aNULL:!MD5"\n'}, []),
        (":", {"/etc/ssl/openssl.cnf": "MinProtocol = TLSv1.0\n"}, [("TLS-001", "concern", 1)]),
        (":", {"/etc/ssl/openssl.cnf": "MinProtocol = TLSv1.2\n"}, []),
    ],
)
def test_versions_and_ciphers(script: str, files: dict[str, bytes | str], expected: list[tuple[str, str, int | None]]) -> None:
    assert found(script, files) == expected


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("curl -k https://x.net/a", 1),
        ("curl -sSk -o f https://x.net/a", 1),
        ("curl --insecure https://x.net/a", 1),
        ("curl -o k https://x.net/a", 0),
        ("#curl -k https://x.net/a", 0),
        ("wget --no-check-certificate https://x.net/a", 1),
        ("wget https://x.net/a", 0),
    ],
)
def test_certificate_checks_in_scripts(line: str, count: int) -> None:
    assert found(":", {"/usr/bin/u.sh": f"#!/bin/sh\n{line}\n"}) == [("TLS-003", "concern", 2)] * count


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("/usr/lib/u.py", "import requests\nrequests.get(url, verify=False)\n", 1),
        ("/usr/lib/u.py", "import requests\ndef fetch(url, verify=False):\n    return requests.get(url, verify=verify)\n", 0),
        ("/usr/lib/graph.py", "def spanning_tree(graph,\n                  verify=False):\n    pass\n", 0),
        ("/usr/lib/python3/dist-packages/x/tests/u.py", "import requests\nrequests.get(url, verify=False)\n", 0),
    ],
)
def test_certificate_checks_in_python(path: str, text: str, count: int) -> None:
    assert found(":", {path: text}) == [("TLS-003", "concern", 2)] * count


def test_plain_http_of_a_management_interface() -> None:
    luci: dict[str, bytes | str] = {"/www/cgi-bin/luci": "#!/usr/bin/lua\n"}
    plain: dict[str, bytes | str] = {"/etc/config/uhttpd": "config uhttpd main\n list listen_http 0.0.0.0:80\n"}
    assert found("uhttpd", plain | luci) == [("TLS-006", "violation", 2)]
    assert found("uhttpd", plain) == [("TLS-006", "concern", 2)]
    both: dict[str, bytes | str] = {"/etc/config/uhttpd": str(plain["/etc/config/uhttpd"]) + " list listen_https 0.0.0.0:443\n"}
    assert found("uhttpd", both | luci | {"/lib/libustream-ssl.so": _ELF}) == []
    assert found("uhttpd", both | luci) == [("TLS-006", "violation", 2)]
    assert found(":", plain | luci) == []
    assert found("lighttpd", {"/etc/lighttpd/lighttpd.conf": _SSL}) == []
