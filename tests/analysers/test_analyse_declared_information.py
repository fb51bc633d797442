"""What users are told against what the image says: a difference is a finding, silence and agreement are none."""

import datetime as dt
import time

import msgspec
import pytest
from support.trees import firmware_of

from fwcheck.analysers.declared_information import analyse
from fwcheck.declaration import Declaration, Disclosure, Product, Support
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Device, Image, Node, NodeKind

RELEASE = (
    'NAME="Example"\nIMAGE_VERSION=2.4.1\nVERSION_ID=22.03\nSUPPORT_END=2030-12-31\nSUPPORT_URL="https://openwrt.example/"\n'
)
DESCRIPTION = "<root><device><modelName>SR-100</modelName><modelNumber>SR-100 v2</modelNumber></device></root>"
SECURITY = "Contact: mailto:psirt@example.com\nPolicy: https://www.example.com/security\nExpires: 2027-01-01T00:00:00Z\n"
UNTIL = dt.date(2031, 3, 31)


def found(files, declared):
    firmware = firmware_of(files)
    return {each.rule: each for each in analyse(firmware, Device(declared=declared))}


def of_product(**how):
    return Declaration(product=Product(**how))


CONTRADICTIONS = [
    ("DEC-013", {"/etc/os-release": RELEASE}, of_product(version="2.4.2")),
    ("DEC-013", {"/etc/version": "SR-100 firmware 1.0.3\n"}, of_product(version="v1.0.4")),
    ("DEC-014", {"/www/rootDesc.xml": DESCRIPTION}, of_product(model="AX-9")),
    (
        "DEC-015",
        {"/www/.well-known/security.txt": SECURITY},
        Declaration(disclosure=Disclosure(contact="security@other.example")),
    ),
    ("DEC-015", {"/www/.well-known/security.txt": SECURITY}, Declaration(disclosure=Disclosure(policy_url="https://a.test/p"))),
    ("DEC-015", {"/www/.well-known/security.txt": SECURITY}, Declaration(support=Support(url="https://a.test/support"))),
    ("DEC-016", {"/etc/os-release": RELEASE}, Declaration(support=Support(until=UNTIL))),
    ("DEC-016", {}, Declaration(support=Support(until=UNTIL, since=dt.date(2026, 5, 1), years=5))),
    ("DEC-016", {}, Declaration(support=Support(until=UNTIL, since=dt.date(2032, 5, 1)))),
]
AGREEMENTS = [
    ({"/etc/os-release": RELEASE}, of_product(version="V2.4.1-build7")),
    ({"/etc/os-release": RELEASE}, of_product(version="22.03")),
    ({"/etc/os-release": "VERSION_ID=22.03\n"}, of_product(version="2.4.1")),
    ({"/etc/version": "unknown\n"}, of_product(version="2.4.1")),
    ({"/www/rootDesc.xml": DESCRIPTION}, of_product(model="sr100")),
    ({"/www/rootDesc.xml": DESCRIPTION.replace("SR-100", "%MODEL%")}, of_product(model="AX-9")),
    ({"/www/.well-known/security.txt": SECURITY}, Declaration(disclosure=Disclosure(contact="help@example.com"))),
    ({"/etc/os-release": RELEASE}, Declaration(support=Support(url="https://maker.example/", until=dt.date(2030, 12, 31)))),
    ({}, Declaration(support=Support(until=UNTIL, since=dt.date(2026, 3, 31), years=5))),
    ({"/etc/os-release": "SUPPORT_END=soon\n"}, Declaration(support=Support(until=UNTIL))),
    ({"/etc/os-release": RELEASE, "/www/rootDesc.xml": DESCRIPTION}, Declaration()),
    ({"/etc/os-release": RELEASE, "/www/rootDesc.xml": DESCRIPTION}, None),
]


@pytest.mark.parametrize(("rule", "files", "declared"), CONTRADICTIONS)
def test_what_differs_is_told_with_its_place(rule, files, declared):
    (name, finding), *more = found(files, declared).items()
    assert (name, more) == (rule, [])
    assert finding.title.startswith("Declared: ")
    assert not files or finding.location.line


@pytest.mark.parametrize(("files", "declared"), AGREEMENTS)
def test_what_agrees_or_is_not_said_is_no_finding(files, declared):
    assert found(files, declared) == {}


def test_a_header_names_the_model_and_the_version_and_a_format_does_not():
    image, coverage = Image(name="a.bin", size=1, sha256="0" * 64, format="dni"), Coverage(bytes_total=1)
    header = Node(
        chain=("a.bin", "dni@0x0"), path="", kind=NodeKind.CONTAINER, format="dni", detail={"device": "R1", "version": "1.2.3"}
    )
    squashfs = Node(chain=("a.bin", "s@0x0"), path="", kind=NodeKind.CONTAINER, format="squashfs", detail={"version": "4.0"})
    board = Node(chain=("a.bin", "f@0x0"), path="", kind=NodeKind.CONTAINER, format="fdt", detail={"model": "Reference board"})
    device = Device(declared=of_product(model="AX-9", version="9.9.9"))
    plain = Firmware(image, [squashfs, board], {}, coverage)
    assert list(analyse(plain, device)) == []
    firmware = Firmware(image, [header, board], {}, coverage)
    assert {each.rule for each in analyse(firmware, device)} == {"DEC-013", "DEC-014"}
    agrees = msgspec.structs.replace(device, declared=of_product(model="Reference Board", version="1.2.3"))
    assert list(analyse(firmware, agrees)) == []


@pytest.mark.parametrize(
    "text", ["<modelName>" * 90_000, "Contact:" + " " * 900_000, "1." * 500_000, "SUPPORT_END=" + "9" * 900_000]
)
def test_hostile_texts_end_soon(text):
    files = {"/a.xml": text, "/security.txt": text, "/etc/version": text, "/etc/os-release": text}
    begun = time.process_time()
    found(files, Declaration(product=Product(model="x", version="1.2"), support=Support(until=UNTIL)))
    assert time.process_time() - begun < 5
