"""What stands around a finding is shown as it is in the image, and no secret is in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.reports import finding_of

from fwcheck.device.firmware import Firmware
from fwcheck.model import (
    Account,
    BannerHit,
    Coverage,
    Device,
    Facts,
    Finding,
    Image,
    KeyFact,
    Location,
    Node,
    NodeKind,
    PatternHit,
)
from fwcheck.pipeline import Options, scan
from fwcheck.quotation import masked, quote

SAMPLES = Path(__file__).parents[1] / "samples"
CHAIN = ("image.bin", "squashfs@0x0")


def firmware(text: str | None = None, content: bytes = b"", path: str = "/etc/test.conf", **facts) -> Firmware:
    node = Node(chain=CHAIN, path=path, kind=NodeKind.FILE, sha256="a" * 64)
    held = Facts(sha256="a" * 64, size=len(content), kind="text" if text else "binary", text=text, **facts)
    image = Image(name="image.bin", size=1, sha256="b" * 64, format="squashfs")

    def window(chain: tuple[str, ...], wanted: str, offset: int, length: int) -> bytes:
        return content[offset : offset + length] if (chain, wanted) == (CHAIN, path) else b""

    return Firmware(image, [node], {"a" * 64: held}, Coverage(), opener=window)


def at(line: int | None = None, offset: int | None = None, path: str = "/etc/test.conf", **more) -> Finding:
    made = finding_of("NET-001", path=path, line=line, offset=offset, **more)
    return made.__class__(**{**{n: getattr(made, n) for n in made.__struct_fields__}, "location": Location(
        chain=CHAIN, path=path, line=line, offset=offset)})  # fmt: skip


def quoted(image: Firmware, finding: Finding, device: Device | None = None):
    return quote(image, device or Device(), [finding])[0].quote


def test_a_line_stands_between_its_neighbours() -> None:
    found = quoted(firmware("one\ntwo\nthree\nfour\nfive\nsix\n"), at(line=4))
    assert (found.kind, found.start, found.rows, found.mark) == ("lines", 2, ("two", "three", "four", "five", "six"), 2)


@pytest.mark.parametrize("line", [0, 7, -1, 10**9])
def test_a_line_that_is_not_there_is_not_quoted(line: int) -> None:
    assert quoted(firmware("one\ntwo\n"), at(line=line)) is None


def test_bytes_stand_in_rows_of_sixteen_from_before_the_place() -> None:
    content = bytes(range(256)) * 4
    found = quoted(firmware(None, content), at(offset=0x123))
    assert (found.kind, found.start, found.mark) == ("bytes", 0x110, 1)
    assert bytes.fromhex("".join(found.rows)) == content[0x110:0x160]
    assert quoted(firmware(None, content), at(offset=5)).start == 0
    assert quoted(firmware(None, content), at(offset=5000)) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"keys": (KeyFact(offset=100, container="DER", algorithm="RSA", private=True),)},
        {"patterns": (PatternHit(rule="x", offset=100, text="ab****", secret="abcdef"),)},
        {"yara": (PatternHit(rule="x", offset=300, text="ab****"),)},
    ],
)
def test_bytes_near_a_secret_are_not_shown(facts) -> None:
    assert quoted(firmware(None, bytes(10_000), **facts), at(offset=320)) is None
    assert quoted(firmware(None, bytes(10_000), **facts), at(offset=9000)) is not None


@pytest.mark.parametrize("text", [b"wifi_psk=hunter2hunter2", b"root:$1$abcd$0123456789abcdef", b"http://u:secretpw@host/x"])
def test_bytes_that_announce_a_secret_are_not_shown(text: bytes) -> None:
    assert quoted(firmware(None, b"\xff" * 40 + text + b"\0" * 40), at(offset=40)) is None


def test_a_finding_with_a_secret_shows_no_bytes_and_masks_it_in_lines() -> None:
    assert quoted(firmware(None, b"x" * 100), at(offset=4, secret="hunter2")) is None
    found = quoted(firmware("a\nset admin to hunter2 now\n"), at(line=2, secret="hunter2"))
    assert found.rows == ("a", "set admin to ****** now")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("wpa_passphrase=hunter2hunter2", "wpa_passphrase=******"),
        ('option key "topsecret1"', 'option key "topsecret1"'),  # what is no secret's name stays: analysers know these
        ("mqtt_password: 'abc123'", "mqtt_password: '******'"),
        ("root:$1$ab$cdefghijk:0:0::/:/bin/sh", "root:******:0:0::/:/bin/sh"),
        ("curl -u admin http://bob:pa55word@host/", "curl -u admin http://bob:******@host/"),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7", "******"),
        ("API_TOKEN=0123456789abcdef", "API_TOKEN=******"),
        ("ssl.pemfile = /etc/ssl/server.pem", "ssl.pemfile = /etc/ssl/server.pem"),
        ("telnetd -l /bin/login", "telnetd -l /bin/login"),
    ],
)
def test_lines_are_masked_where_their_words_announce_a_secret(line: str, shown: str) -> None:
    assert masked(line) == shown


def test_password_fields_of_account_files_are_masked_whatever_they_look_like() -> None:
    found = quoted(firmware("root:abJnggxhB/yWI:0:0\nx:*:1:1\n", path="/etc/shadow"), at(line=2, path="/etc/shadow"))
    assert found.rows == ("root:******:0:0", "x:*:1:1")


def test_known_passwords_are_masked_in_every_line() -> None:
    device = Device(accounts=(Account(name="root", secret="abJnggxhB/yWI", plain="1234qwer"),))
    found = quoted(firmware("echo 1234qwer\ntelnetd\nchpasswd abJnggxhB/yWI\n"), at(line=2), device)
    assert found.rows == ("echo ******", "telnetd", "chpasswd ******")


def test_a_line_whose_evidence_is_masked_is_shown_as_the_evidence() -> None:
    found = quoted(firmware("a\nkode geheim99\n"), at(line=2, evidence="kode ge****** (8 characters)"))
    assert found.rows == ("a", "kode ge****** (8 characters)")


def test_masking_hostile_lines_is_quick() -> None:
    begun = time.process_time()
    for text in ("password " * 200_000, "a:" * 500_000, "$1$" * 300_000, "://" * 300_000, "secret" + " =" * 500_000):
        masked(text)
        quoted(firmware(text), at(line=1))
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "name", ["router-insecure.bin", "planted/account-service-secret.bin", "planted/wireless-fixed-passphrase.bin"]
)
def test_no_secret_of_an_image_is_in_its_quotes(name: str) -> None:
    report = scan(SAMPLES / name, Options(jobs=1))
    secrets = {each for account in report.device.accounts for each in (account.secret, account.plain)}
    secrets |= {finding.secret for finding in report.findings}
    rows = [row for finding in report.findings if finding.quote for row in finding.quote.rows]
    assert rows
    for secret in filter(None, secrets):
        assert not any(secret in row or secret in _text(row) for row in rows)


def _text(row: str) -> str:
    try:
        return bytes.fromhex(row).decode("latin-1")
    except ValueError:
        return ""


def test_quotes_of_a_real_image_hold_what_the_finding_says() -> None:
    report = scan(SAMPLES / "router-insecure.bin", Options(jobs=1))
    by_rule = {finding.rule: finding.quote for finding in reversed(report.findings) if finding.quote}
    assert by_rule["NET-001"].rows[by_rule["NET-001"].mark] == "telnetd &"
    assert "OpenSSL 1.0.1e" in "".join(_text(row) for row in by_rule["CVE-001"].rows)
    assert by_rule["BOOT-001"].rows[by_rule["BOOT-001"].mark].startswith("27 05 19 56")
    files = {leaf.path: leaf for branch in report.tree for leaf in branch.leaves}
    assert files["/etc/shadow"].mode == "-rw-r--r--"
    assert (files["/bin/sh"].mode[0], files["/bin/sh"].target) == ("l", "busybox")


def test_a_report_quotes_a_bounded_number_of_findings() -> None:
    image = firmware("one\ntwo\n", banners=(BannerHit(component="x", version="1", offset=0, text="x", pattern="x"),))
    found = quote(image, Device(), [at(line=1)] * 1000)
    assert sum(each.quote is not None for each in found) == 400
