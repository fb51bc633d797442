"""Judging update paths: violation where a network hands on unchecked, concern where that is open, support where signed."""

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers._known import signing_test_keys
from fwcheck.analysers.updates import analyse
from fwcheck.device.firmware import Firmware
from fwcheck.device.updates import update_paths
from fwcheck.model import Coverage, Device, Gap, Image, Node, NodeKind

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
PLAIN_FETCH = "#!/bin/sh\nwget http://fw.example.net/firmware.bin\n"
SECURE_FETCH = PLAIN_FETCH.replace("http:", "https:")
WRITE = "mtd write firmware.bin firmware\n"
SYSUPGRADE = {"/sbin/sysupgrade": '#!/bin/sh\nsysupgrade_image_check="platform_check_image"\n'}


def judged(files):
    firmware = firmware_of({**ROOT, **files})
    return found(firmware)


def found(firmware):
    return {each.rule: each for each in analyse(firmware, Device(update_paths=update_paths(firmware)))}


def test_an_upload_that_is_flashed_unchecked_is_a_violation():
    finding = judged({"/www/cgi-bin/up.sh": "#!/bin/sh\nmtd write /tmp/firmware.bin firmware\n"})["UPD-002"]
    assert (finding.verdict, finding.severity, finding.criteria) == ("violation", "high", ("S1.1-08",))
    assert (finding.location.path, finding.location.line) == ("/www/cgi-bin/up.sh", 2)


def test_a_local_script_is_only_a_concern():
    finding = judged({"/etc/init.d/done": "#!/bin/sh\ndd if=/tmp/firmware.bin of=/dev/mtd2\n"})["UPD-002"]
    assert (finding.verdict, finding.confidence) == ("concern", "tentative")


def test_a_tool_counts_as_reached_when_something_hands_uploads_to_it():
    assert judged(SYSUPGRADE)["UPD-002"].verdict == "concern"
    finding = judged({**SYSUPGRADE, "/www/cgi-bin/up.sh": "#!/bin/sh\nsysupgrade /tmp/firmware.bin\n"})["UPD-002"]
    assert finding.verdict == "violation"
    assert finding.location.path == "/sbin/sysupgrade"
    assert [each.location.path for each in finding.witnesses] == ["/www/cgi-bin/up.sh"]


def test_a_hash_alone_is_upd_003_and_not_upd_002():
    check = 'sum=$(md5sum firmware.bin)\n[ "$sum" = "$1" ] || exit 1\n'
    rules = judged({"/usr/sbin/up.sh": SECURE_FETCH + check + WRITE})
    assert rules["UPD-003"].verdict == "violation"
    assert "UPD-002" not in rules


def test_a_verified_signature_is_support():
    check = "usign -V -m firmware.bin -p /etc/k || exit 1\n"
    rules = judged({"/usr/sbin/up.sh": PLAIN_FETCH + check + WRITE})
    assert rules["UPD-005"].verdict == "support"
    assert not {"UPD-002", "UPD-003", "UPD-008"} & rules.keys()


@pytest.mark.parametrize(("option", "confidence"), [("option check_signature 0\n", "certain"), ("", "firm")])
def test_unsigned_package_feeds_are_told_with_their_line(option, confidence):
    conf = "dest root /\nsrc/gz base http://feed.example.net/base\n" + option
    rules = judged({"/bin/opkg": b"\x7fELF", "/etc/opkg.conf": conf})
    assert rules["UPD-004"].confidence == confidence
    assert (rules["UPD-008"].location.path, rules["UPD-008"].location.line) == ("/etc/opkg.conf", 2)


def test_plain_http_in_an_updater_is_a_violation_and_licences_are_not():
    licence = "# http://www.apache.org/licenses/\n"
    finding = judged({"/usr/sbin/up.sh": PLAIN_FETCH + licence + WRITE})["UPD-008"]
    assert (finding.verdict, finding.location.line) == ("violation", 2)
    assert "UPD-008" not in judged({"/usr/sbin/up.sh": SECURE_FETCH + licence + WRITE})


@pytest.mark.parametrize(
    "address", ["http://rauc.readthedocs.io/en/latest/advanced.html#update", "http://github.com/x/y/wiki/Firmware-update"]
)
def test_addresses_of_documentation_are_no_updates(address):
    assert "UPD-008" not in judged({"/usr/sbin/up.sh": SECURE_FETCH + f"echo 'see {address}'\nHELP_URL={address}\n" + WRITE})


def test_dynamic_dns_addresses_are_no_updates():
    assert "UPD-008" not in judged({"/usr/bin/ddns.sh": "#!/bin/sh\nwget 'http://dynupdate.no-ip.com/nic/update?hostname=x'\n"})


def test_the_absence_of_an_updater_is_told_only_when_the_whole_image_was_read():
    firmware = firmware_of(ROOT)
    kernel = Node(chain=("test.bin", "uimage@0x0"), path="", kind=NodeKind.CONTAINER, format="uimage")
    whole = Firmware(firmware.image, [*firmware.nodes, kernel], {}, Coverage(bytes_total=100, bytes_explained=100))
    assert found(whole)["UPD-001"].verdict == "concern"
    dark = Coverage(bytes_total=100, bytes_explained=50, bytes_unknown=50)
    assert "UPD-001" not in found(Firmware(firmware.image, [*firmware.nodes, kernel], {}, dark))
    cut = msgspec.structs.replace(whole.coverage, gaps=(Gap(node="x", reason="truncated"),))
    assert "UPD-001" not in found(Firmware(firmware.image, [*firmware.nodes, kernel], {}, cut))
    assert "UPD-001" not in found(firmware)  # a partition alone


def image(detail, name="mcuboot"):
    node = Node(chain=("x.bin", f"{name}@0x0"), path="", kind=NodeKind.CONTAINER, format=name, size=9, offset=0, detail=detail)
    return found(Firmware(Image(name="x.bin", size=9, sha256="b" * 64, format=name), [node], {}, Coverage()))


def test_an_unsigned_image_is_upd_003_and_a_signed_one_upd_005():
    assert image({"integrity": "hash", "integrity_detail": "sha256"})["UPD-003"].confidence == "certain"
    assert image({"integrity": "signature", "integrity_detail": "rsa2048"})["UPD-005"].verdict == "support"


@pytest.mark.parametrize("name", ["zimage", "opensbi", "uefi-fv", "uimage", "uboot"])
def test_a_kernel_or_loader_alone_says_little_of_the_update_that_brings_it(name):
    finding = image({"integrity": "none", "integrity_detail": "no check of its own"}, name)["UPD-003"]
    assert (finding.verdict, finding.confidence) == ("concern", "firm")


def test_a_published_test_key_is_recognised_by_its_hash():
    digest = next(iter(signing_test_keys()))
    finding = image({"integrity": "signature", "tlvs": f"keyhash {digest}"})["UPD-006"]
    assert (finding.verdict, finding.severity, finding.confidence) == ("violation", "critical", "certain")
    assert "UPD-006" not in image({"integrity": "signature", "tlvs": "keyhash " + "0" * 64})


def test_a_security_counter_silences_the_rollback_rule():
    assert "UPD-009" in image({"integrity": "hash"})
    assert "UPD-009" not in image({"integrity": "hash", "tlvs": "sha256, security counter 4"})


def test_a_check_whose_result_is_ignored_is_told_instead_of_no_check():
    text = SECURE_FETCH + "usign -V -m firmware.bin -p /etc/k || true\n" + WRITE
    found = judged({"/usr/sbin/up.sh": text})
    assert "UPD-002" not in found
    assert (found["UPD-014"].verdict, found["UPD-014"].location.line) == ("violation", 3)


def test_a_digest_behind_the_write_is_no_check_that_is_ignored():
    text = SECURE_FETCH + WRITE + "[ $(md5sum firmware.bin) = $want ] || exit 1\n"
    found = judged({"/usr/sbin/up.sh": text})
    assert "UPD-014" not in found
    assert found["UPD-002"].verdict == "violation"
    late = judged({"/usr/sbin/up.sh": SECURE_FETCH + WRITE + "usign -V -m firmware.bin -p /etc/k || exit 1\n"})
    assert "stands behind the write" in late["UPD-014"].title
