"""Secrets in plain text: each with the file it stands in, and what looks like one and is none."""

from __future__ import annotations

import time

import msgspec
import pytest

from fwcheck.analysers.plain_secrets import RULES, analyse
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.inspection.catalogue import builtin
from fwcheck.model import Device, Finding, Node, NodeKind
from tests.support.trees import firmware_of

ROOT = {"/bin/busybox": "x", "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "/lib/x": "x"}
SAMPLES = {id.removeprefix("secret:"): entry.positive[0] for id, entry in builtin().secrets.items()}
GITHUB, SLACK, BEARER = SAMPLES["github-token"], SAMPLES["slack-webhook"], SAMPLES["basic-or-bearer-token"]

WIFI = "config wifi-iface\n\toption mode ap\n\toption encryption psk2\n\toption key 12345670\n"


def found(files: dict[str, bytes | str]) -> list[Finding]:
    firmware = firmware_of({**ROOT, **files})
    return list(analyse(firmware, build(firmware)))


@pytest.mark.parametrize(
    ("path", "text", "verdict", "confidence"),
    [
        ("/etc/cloud.conf", f"token_file=/tmp/t\n{GITHUB}\n", "violation", "firm"),
        ("/etc/notify.conf", f"url={SLACK}\n", "violation", "firm"),
        ("/opt/app/agent.json", f'{{"x": "{GITHUB}"}}\n', "concern", "firm"),
        ("/usr/bin/report.sh", f"#!/bin/sh\n{BEARER}\n", "concern", "firm"),
        ("/usr/bin/up.sh", "#!/bin/sh\ncurl -u cam:k33p0ut -T /tmp/x ftp://files.maker.net/\n", "concern", "firm"),
        ("/usr/bin/up.sh", "#!/bin/sh\nwget http://upd:w0lfram@fw.maker.net/a\n", "concern", "firm"),
        ("/usr/bin/cam.sh", "#!/bin/sh\nplay rtsp://cam:w0lfram@192.168.1.9/live\n", "concern", "tentative"),
        ("/usr/bin/dec.sh", "#!/bin/sh\nopenssl enc -d -aes-256-cbc -k Upd4te2019 -in $1\n", "concern", "firm"),
        ("/etc/mqtt.conf", "mqtt_password=br1dge77\n", "concern", "tentative"),
        ("/etc/config/ddns", "config service 'x'\n\toption password 'z00keeper'\n", "concern", "tentative"),
        ("/etc/tr069.cfg", "ACS_PWD:hgw1\n", "concern", "tentative"),
        ("/etc/wpa_supplicant.conf", 'network={\n\tssid="plant"\n\tpsk="sunrise-gate-77"\n}\n', "concern", "tentative"),
        ("/usr/share/doc/app/readme.txt", GITHUB, "concern", "tentative"),
        ("/www/js/app.js", f"var k = '{GITHUB}';\n", "concern", "firm"),
    ],
)
def test_a_secret_is_found(path: str, text: str, verdict: str, confidence: str) -> None:
    (finding,) = found({path: text})
    assert finding.rule == "FS-003"
    assert finding.location.path == path
    assert (finding.verdict, finding.confidence) == (verdict, confidence)
    assert "****" in finding.evidence


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/wpa_supplicant.conf", 'network={\n\tssid="example"\n\tpsk="psk_test"\n}\n'),
        ("/etc/uci-defaults/net", "#!/bin/sh\nset network.wan.password='bar'\n"),
        ("/etc/config/ddns", "config service 'x'\n\toption password 'your_password'\n"),
        ("/etc/config/wireless", WIFI),  # told as the passphrase of an access point
        ("/lib/wifi/ra.sh", "#!/bin/sh\ncat <<EOF\noption key 12345670\nEOF\n"),
        ("/lib/wifi/ra.sh", f"#!/bin/sh\ncat <<EOF\n{WIFI}EOF\n"),  # ACC-010
        ("/etc/a.conf", "# curl -u cam:k33p0ut ftp://files.maker.net/\n"),
        ("/usr/bin/a.sh", "#!/bin/sh\n# wget http://upd:w0lfram@fw.maker.net/a\n"),
        ("/usr/bin/a.sh", "#!/bin/sh\ncurl -u $USER:$PASS https://h.maker.net\n"),
        ("/usr/bin/a.sh", "#!/bin/sh\nwget ftp://anonymous:mail@ftp.maker.net/a\n"),
        ("/usr/bin/a.sh", "#!/bin/sh\necho 'e.g. http://user:hunter2@proxy:3128/'\n"),
        ("/usr/lib/python3.11/urllib/x.py", 'x = "http://joe:w0lfram@fw.maker.net/a"\n'),
        ("/www/help.html", "<html><p>rtsp://admin:w0lfram@cam.maker.net/live</p></html>\n"),
        ("/usr/share/i18n/de.po", 'msgid "api_key: 9f8e7d6c5b"\n'),
        ("/etc/login.defs", "password_min_length=8888\n"),
        ("/etc/app.conf", "api_key_file=abcdefg\nauth_token=YOUR_AUTH_TOKEN\napi_key=xxxxxxxx\ntoken_secret=changeme\n"),
        ("/usr/share/doc/git/test.netrc", "machine imap2 login bob password bobwashere\n"),
        ("/etc/app.conf.sample", "mqtt_password=br1dge77\n"),
        ("/etc/hosts.conf", "admin_password=s3same99\n"),  # a login into the device: the matter of other rules
    ],
)
def test_what_only_looks_like_one_is_left_out(path: str, text: str) -> None:
    assert found({path: text}) == []


def test_the_same_secret_in_many_files_is_one_finding_with_witnesses() -> None:
    (finding,) = found({f"/opt/{name}.conf": f"x={GITHUB}\n" for name in "abc"} | {"/etc/d.conf": f"y={GITHUB}\n"})
    assert finding.location.path == "/etc/d.conf"
    assert [each.location.path for each in finding.witnesses] == ["/opt/a.conf", "/opt/b.conf", "/opt/c.conf"]
    assert "4 files" in finding.title


def test_two_secrets_of_one_kind_in_one_file_are_two() -> None:
    two = found({"/usr/bin/a.sh": "#!/bin/sh\ncurl -u cam:k33p0ut ftp://a.net/\ncurl -u cam:w0lfram ftp://b.net/\n"})
    assert len({each.fingerprint for each in two}) == 2


def test_a_script_that_a_service_runs_makes_it_certain() -> None:
    files = {
        "/etc/inittab": "::sysinit:/etc/init.d/rcS\n",
        "/etc/init.d/rcS": f"#!/bin/sh\ncurl -d boot {SLACK}\ntelnetd\n",
        "/usr/sbin/telnetd": "x",
    }
    (finding,) = found(files)
    assert (finding.verdict, finding.location.line) == ("violation", 2)


def test_a_secret_stands_in_its_own_field_and_nowhere_else() -> None:
    both = found({"/usr/bin/a.sh": "#!/bin/sh\ncurl -u cam:k33p0ut ftp://a.net/\nsshpass -p 'Qwe123ty!' ssh a@b\n"})
    for finding in both:
        assert "k33p0ut" not in repr(finding)
        assert "Qwe123ty" not in repr(finding)
    assert {each.secret for each in both} == {"k33p0ut", "Qwe123ty!"}


def test_hostile_texts_cost_little() -> None:
    files = {
        "/etc/a.conf": b"password:passwordpasswordpassword" * 8000,
        "/etc/b.conf": b"api_key=" + b"1" * 250_000,
        "/etc/c.sh": b"#!/bin/sh\n" + b"curl -u curl -u " * 15_000,
        "/etc/d.sh": b"#!/bin/sh\n" + b"openssl enc -k  mount -o mysql -p" * 7_000,
        "/etc/e.conf": b"server=a;" * 28_000 + b"\xff",
    }
    started = time.process_time()
    found(files)
    assert time.process_time() - started < 10


def test_the_rule_is_a_concern_unless_proven() -> None:
    assert RULES["FS-003"].verdict == "concern"


@pytest.mark.parametrize(("page", "count"), [("/usr/share/man/man5/netdev.5.gz", 0), ("/etc/wireguard/keys.gz", 1)])
def test_what_a_compressed_page_holds_is_judged_by_the_place_of_the_page(page: str, count: int) -> None:
    text = "[WireGuard]\nPrivateKey=YFAnTkNs3Y0ax7sk0sGMkTVXyVhUtdRVvEyOeTFEkXk=\n"
    inside = firmware_of({"/payload": text})
    (node,) = (node for node in inside.nodes if node.kind is NodeKind.FILE)
    moved = msgspec.structs.replace(node, chain=(*node.chain, page, "gzip@0x0"), path="payload")
    assert moved.place == page
    firmware = Firmware(inside.image, [moved], inside._facts, inside.coverage)
    assert len(list(analyse(firmware, Device()))) == count


def test_the_place_of_a_file_in_an_archive_in_a_file_system() -> None:
    def place(path: str, *chain: str) -> str:
        return Node(chain=("x.bin", *chain), path=path, kind=NodeKind.FILE).place

    assert place("/etc/passwd", "squashfs@0x0") == "/etc/passwd"
    assert place("/conf/a", "squashfs@0x0", "/usr/share/doc/x.tar", "tar@0x0") == "/usr/share/doc/x.tar/conf/a"
    assert place("0x40") == "0x40"
