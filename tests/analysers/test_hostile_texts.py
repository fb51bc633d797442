"""Texts made to be slow: no analyser of debug access, isolation, storage, reset, logs or information takes long over them."""

from __future__ import annotations

import time

import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import (
    debug,
    hardening,
    hidden,
    isolation,
    leftovers,
    logs,
    product_information,
    reset,
    resilience,
)  # fmt: skip
from fwcheck.device.boot import boots
from fwcheck.device.isolation import isolation as isolated
from fwcheck.device.logs import logs as logged
from fwcheck.device.reset import reset as handlers
from fwcheck.device.resilience import resilience as measures
from fwcheck.device.storage import storage
from fwcheck.model import Device

_ELF = b"\x7fELF\1\2\1" + bytes(60)
_SIZE = 60_000  # what is quadratic would take minutes at the 256 KiB that texts may have
BASE: dict[str, bytes | str] = {
    "/sbin/procd": _ELF, "/sbin/init": _ELF, "/bin/busybox": _ELF, "/bin/sh": Link("busybox"), "/lib/x": "",
    "/usr/sbin/rsyslogd": _ELF,
    "/etc/inittab": "::sysinit:/etc/init.d/rcS S boot\n", "/etc/rc.d/S50x": Link("../init.d/x"),
}  # fmt: skip
PLACES = (
    "/etc/init.d/x", "/etc/init.d/reset", "/etc/rsyslog.conf", "/etc/crypttab", "/etc/fstab", "/fstab", "/etc/selinux/config",
    "/etc/apparmor.d/x", "/etc/rauc/system.conf", "/www/.well-known/security.txt", "/www/x.php", "/www/x.xml", "/etc/os-release",
    "/etc/syslog-ng/syslog-ng.conf", "/init.rc", "/default.prop", "/etc/config/system",
)  # fmt: skip
WORDS = (
    "\n", " ", "procd_add_jail ", "mount -t jffs2 ", "mount -o x ", "rm -rf ", "cp default ", "mkfs /dev ",
    "kernel.core_pattern = ",
    "<modelName> ", "system(", "eval ", "logger ", "@@(", "destination network(", "[slot.", "Contact: ", "SELINUX=", "profile ",
    "cryptsetup - ", "service console /system/bin/sh\n", "QUERY_STRING formvalue $_GET telnetd jffs2reset factory reset ",
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_repeated_to_the_limit(word: str) -> None:
    text = (word * (_SIZE // len(word) + 1))[: _SIZE - 20]
    files = {path: ("#!/bin/sh /etc/rc.common\n" if "init.d" in path else "") + text for path in PLACES}
    firmware = firmware_of(BASE | files)
    boots(firmware)  # has tests of its own
    begin = time.process_time()
    device = Device(
        isolation=isolated(firmware, ()),
        storage=storage(firmware),
        reset=handlers(firmware),
        logging=logged(firmware),
        resilience=measures(firmware),
    )
    for analyser in (debug, hardening, hidden, isolation, leftovers, logs, product_information, reset, resilience):
        list(analyser.analyse(firmware, device))
    assert time.process_time() - begin < 0.7
