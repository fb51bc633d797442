"""The scope that a maker states against the image, and statements that are against a criterion themselves."""

import msgspec
import pytest
from support.trees import firmware_of

from fwcheck.analysers._product_types import kinds
from fwcheck.analysers.declared_scope import analyse
from fwcheck.declaration import Credentials, Data, Declaration, DeclaredService, Product, Updates, Use
from fwcheck.model import Account, CryptoAsset, Device, Evidence, Listener, Location, Service, UpdatePath

WHERE = (Evidence(location=Location(chain=("x",), path="/etc/init.d/rcS", line=3), text="ftpd &"),)
FTP = Service(name="ftpd", program="/usr/sbin/ftpd", enabled="yes", protocol="ftp", authentication="password", evidence=WHERE)
RTSP = Service(name="rtspd", program="/usr/bin/rtspd", enabled="yes", protocol="rtsp", evidence=WHERE)
BOTH = Device(
    services=(FTP, RTSP),
    listeners=(
        Listener(port=21, protocol="tcp", address="0.0.0.0", service="ftpd"),
        Listener(port=554, protocol="tcp", address="0.0.0.0", service="rtspd"),
    ),
)
UPDATES = Device(
    update_paths=(UpdatePath(source="http download", sink="mtd write", mechanism="/sbin/up", automatic="no", evidence=WHERE),)
)
STORED = Device(accounts=(Account(name="root", password="hash", evidence=WHERE),))
KEYS = Device(crypto=(CryptoAsset(kind="private-key", algorithm="RSA", evidence=WHERE),))


def found(declared, device=Device()):  # noqa: B008  # frozen
    return list(analyse(firmware_of({}), msgspec.structs.replace(device, declared=declared)))


def kind(name, **more):
    return Declaration(product=Product(type=name), **more)


def absent(*criteria):
    return Declaration(not_applicable=dict.fromkeys(criteria, "a reason"))


@pytest.mark.parametrize(
    ("rule", "declared", "device"),
    [
        ("DEC-012", kind("network-camera"), BOTH),
        *(("DEC-017", absent(f"S1.1-{number}"), BOTH) for number in ("01", "02", "03", "04", "12", "13")),
        *(("DEC-017", absent(f"S1.1-{number}"), UPDATES) for number in ("06", "07", "08")),
        ("DEC-017", absent("S1.1-11"), STORED),
        ("DEC-017", absent("S1.1-11"), KEYS),
        ("DEC-018", Declaration(credentials=Credentials(first_password="common")), Device()),
        ("DEC-018", Declaration(updates=Updates(signed=False)), Device()),
        ("DEC-018", Declaration(updates=Updates(encrypted_transport=False)), Device()),
        ("DEC-018", Declaration(data=Data(factory_reset=False)), Device()),
        ("DEC-018", Declaration(data=Data(logging=False)), Device()),
        ("DEC-019", Declaration(updates=Updates(method="automatic")), UPDATES),
        ("DEC-021", Declaration(credentials=Credentials(first_password="none")), BOTH),
    ],
)
def test_a_contradiction_is_one_finding(rule, declared, device):
    (finding,) = found(declared, device)
    assert finding.rule == rule
    assert finding.title.startswith("Declared: ")
    if declared.not_applicable:
        assert finding.criteria == tuple(declared.not_applicable)


def test_no_updates_is_against_a_criterion_and_against_an_image_that_takes_some():
    assert [each.rule for each in found(Declaration(updates=Updates(method="none")))] == ["DEC-018"]
    assert {each.rule for each in found(Declaration(updates=Updates(method="none")), UPDATES)} == {"DEC-018", "DEC-019"}


def test_every_service_contradicts_a_product_without_ip():
    assert [each.rule for each in found(Declaration(use=Use(ip=False)), BOTH)] == ["DEC-020", "DEC-020"]


@pytest.mark.parametrize(
    ("declared", "device"),
    [
        (None, BOTH),
        (Declaration(), BOTH),
        (kind("generic"), BOTH),
        (kind("network-camera", services=(DeclaredService(name="ftpd", port=21, reason="upload"),)), BOTH),
        (absent("S1.1-14", "S1.1-15", "S1.1-05"), BOTH),
        (absent("S1.1-02", "S1.1-08"), Device()),
        (absent("S1.1-08"), Device(update_paths=(UpdatePath(source="local file or web upload", sink="x"),))),
        (Declaration(updates=Updates(method="automatic")), Device(update_paths=(UpdatePath(source="http download", sink="x"),))),
        (Declaration(updates=Updates(method="user")), UPDATES),
        (Declaration(credentials=Credentials(first_password="set-by-user")), BOTH),
        (Declaration(use=Use(ip=False)), Device(services=(FTP,))),
    ],
)
def test_what_agrees_or_cannot_be_told_is_no_finding(declared, device):
    assert found(declared, device) == []


def test_what_only_the_device_itself_reaches_is_nothing_unusual():
    local = tuple(msgspec.structs.replace(each, reachable_from="local") for each in BOTH.listeners)
    assert found(kind("sensor"), msgspec.structs.replace(BOTH, listeners=local)) == []


def test_every_type_that_can_be_declared_is_described_in_both_languages():
    for name, each in kinds().items():
        assert each.en, name
        assert any(ord(char) > 0x3000 for char in each.ja), name
    assert not kinds()["generic"].expected
