"""What the maker states against what the image shows: one contradiction for each statement, and silence where there is none."""

import datetime as dt

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers.declared import analyse
from fwcheck.declaration import Credentials, Data, Declaration, DeclaredService, Support, Updates
from fwcheck.model import Account, Component, Console, Device, Evidence, Listener, Location, Service, Trait, UpdatePath

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
WHERE = (Evidence(location=Location(chain=("x",), path="/etc/init.d/rcS", line=3), text="telnetd &"),)
TELNET = Service(name="telnetd", program="/usr/sbin/telnetd", enabled="yes", protocol="telnet", evidence=WHERE)
PORT = Listener(port=23, protocol="tcp", address="0.0.0.0", service="telnetd")
HASHED = Account(name="root", password="hash", file="/etc/shadow", evidence=WHERE)
PLAIN = UpdatePath(
    source="http download", sink="mtd write", verified="none", mechanism="/sbin/up", transport="plain", evidence=WHERE
)


def found(declared, device=None):
    device = device or Device()
    return {each.rule: each for each in analyse(firmware_of(ROOT), msgspec.structs.replace(device, declared=declared))}


CONTRADICTIONS = {
    "DEC-001": (Declaration(absent=("telnet",)), Device(services=(TELNET,))),
    "DEC-002": (Declaration(services=()), Device(services=(TELNET,), listeners=(PORT,))),
    "DEC-003": (Declaration(services=(DeclaredService(name="https", port=443, reason="admin"),)), Device()),
    "DEC-004": (Declaration(credentials=Credentials(first_password="per-device")), Device(accounts=(HASHED,))),
    "DEC-005": (Declaration(updates=Updates(signed=True)), Device(update_paths=(PLAIN,))),
    "DEC-006": (Declaration(updates=Updates(method="automatic")), Device()),
    "DEC-007": (
        Declaration(support=Support(until=dt.date(2031, 3, 31))),
        Device(components=(Component(name="openssl", version="1.0.1e", end_of_life="2016-12-31", evidence=WHERE),)),
    ),
    "DEC-008": (
        Declaration(data=Data(encrypted_storage=True)),
        Device(storage=(Trait(name="encrypted storage", state="no", detail="mounted plain", evidence=WHERE),)),
    ),
    "DEC-009": (Declaration(data=Data(factory_reset=True)), Device()),
    "DEC-010": (Declaration(updates=Updates(encrypted_transport=True)), Device(update_paths=(PLAIN,))),
    "DEC-011": (Declaration(data=Data(logging=True)), Device()),
}


@pytest.mark.parametrize(("rule", "case"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_each_statement_can_be_contradicted(rule, case):
    assert set(found(*case)) == {rule}


AGREEMENTS = {
    "telnet is off": (Declaration(absent=("telnet",)), Device(services=(Service(name="telnetd", program="/t", enabled="no"),))),
    "another interface": (Declaration(absent=("ftp",)), Device(services=(TELNET,))),
    "the port is listed": (
        Declaration(services=(DeclaredService(name="console", port=23, reason="x"),)),
        Device(services=(TELNET,), listeners=(PORT,)),
    ),
    "local only": (
        Declaration(services=()),
        Device(services=(Service(name="telnetd", program="/t", enabled="yes", reachable="loopback"),), listeners=(PORT,)),
    ),
    "locked": (
        Declaration(credentials=Credentials(first_password="set-by-user")),
        Device(accounts=(Account(name="root", password="locked"),)),
    ),
    "common is declared": (Declaration(credentials=Credentials(first_password="common")), Device(accounts=(HASHED,))),
    "signed": (
        Declaration(updates=Updates(signed=True)),
        Device(update_paths=(UpdatePath(source="http download", sink="x", verified="signature"),)),
    ),
    "not known": (
        Declaration(updates=Updates(signed=True)),
        Device(update_paths=(UpdatePath(source="http download", sink="x"),)),
    ),
    "support ends first": (
        Declaration(support=Support(until=dt.date(2016, 1, 1))),
        Device(components=(Component(name="openssl", version="1.0.1e", end_of_life="2016-12-31"),)),
    ),
    "storage not known": (Declaration(data=Data(encrypted_storage=True)), Device()),
    "nothing is stated": (
        Declaration(),
        Device(services=(TELNET,), listeners=(PORT,), accounts=(HASHED,), update_paths=(PLAIN,)),
    ),
    "no declaration": (None, Device(services=(TELNET,), listeners=(PORT,), accounts=(HASHED,), update_paths=(PLAIN,))),
}


@pytest.mark.parametrize("case", AGREEMENTS.values(), ids=AGREEMENTS)
def test_what_agrees_or_cannot_be_told_is_no_finding(case):
    assert found(*case) == {}


def test_a_console_without_login_contradicts_a_product_without_debug_shell():
    device = Device(consoles=(Console(tty="ttyS0", command="/bin/sh", authenticated=False, evidence=WHERE),))
    assert set(found(Declaration(absent=("debug-shell",)), device)) == {"DEC-001"}
    asks = Device(consoles=(Console(tty="ttyS0", command="/sbin/getty", authenticated=True, evidence=WHERE),))
    assert found(Declaration(absent=("debug-shell",)), asks) == {}
    assert set(found(Declaration(absent=("serial-login",)), asks)) == {"DEC-001"}
