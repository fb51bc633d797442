"""Ways in that no menu shows: pages, published backdoors, handlers that switch telnet on, programs from a card."""

from __future__ import annotations

import time

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.analysers import hidden
from fwcheck.device.firmware import Firmware
from fwcheck.model import CallFact, Device, Finding

_ELF = b"\x7fELF\1\2\1" + bytes(60)
BASE: dict[str, bytes | str] = {
    "/bin/busybox": _ELF, "/sbin/init": Link("../bin/busybox"), "/bin/sh": Link("busybox"), "/lib/x": "",
    "/etc/inittab": "::sysinit:/etc/init.d/rcS\n", "/etc/init.d/rcS": "#!/bin/sh\n/usr/bin/webs &\n",
}  # fmt: skip


def found(files: dict[str, bytes | str]) -> list[Finding]:
    return list(hidden.analyse(firmware_of(BASE | files), Device()))


def test_a_command_page_of_the_reference_firmware() -> None:
    (one,) = found({"/usr/bin/webs": _ELF + b"\0formSysCmd\0"})
    assert (one.rule, one.verdict, one.location.path) == ("DBG-005", "concern", "/usr/bin/webs")


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("/www/cgi-bin/test.cgi", '#!/bin/sh\necho\neval "$(echo "$QUERY_STRING" | sed \'s/&/;/g\')"\n', 3),
        ("/www/diag.php", "<?php\nsystem('ping -c 1 ' . $_GET['host']);\n", 2),
        (
            "/usr/lib/lua/luci/controller/diag.lua",
            'local http = require "luci.http"\nos.execute("ping " .. http.formvalue("a"))\n',
            2,
        ),
        ("/www/x.cgi", "#!/usr/bin/haserl\n<% eval $FORM_cmd %>\n", 2),
    ],
)
def test_a_request_that_becomes_a_command(path: str, text: str, line: int) -> None:
    (one,) = found({path: text})
    assert (one.rule, one.verdict, one.location.path, one.location.line) == ("DBG-005", "concern", path, line)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/www/diag.php", "<?php\nsystem('ping ' . escapeshellarg($_GET['host']));\n"),
        ("/usr/lib/lua/luci/controller/diag.lua", '-- os.execute(http.formvalue("x"))\nlocal x = http.formvalue("x")\n'),
        ("/www/cgi-bin/a.cgi", '#!/bin/sh\ncase "$QUERY_STRING" in reboot) reboot;; esac\n'),
        ("/usr/sbin/tool.sh", '#!/bin/sh\neval "$QUERY_STRING"\n'),  # no page
    ],
)
def test_a_request_that_is_only_looked_at(path: str, text: str) -> None:
    assert found({path: text}) == []


def test_a_known_backdoor_counts_as_a_violation_where_the_boot_runs_it() -> None:
    program = _ELF + b"\0xmlset_roodkcableoj28840ybtide\0"
    (one,) = found({"/usr/bin/webs": program})
    assert (one.rule, one.verdict, one.severity.value) == ("DBG-006", "violation", "critical")
    assert "CVE-2013-6026" in one.explanation
    (other,) = found({"/usr/bin/webs": _ELF, "/opt/old/webs": program})
    assert (other.rule, other.verdict) == ("DBG-006", "concern")
    assert found({"/usr/bin/webs": _ELF, "/etc/ids/rules.txt": "alert xmlset_roodkcableoj28840ybtide\n"}) == []


def test_handlers_that_start_telnetd() -> None:
    page = "<% os.execute('/usr/sbin/telnetd -l /bin/sh &') %>\n"
    (one,) = found({"/www/hidden.htm": page, "/usr/bin/webs": _ELF})
    assert (one.rule, one.verdict, one.location.path) == ("DBG-007", "concern", "/www/hidden.htm")
    (named,) = found({"/usr/sbin/telnet_enable.sh": "#!/bin/sh\ntelnetd &\n", "/usr/bin/webs": _ELF})
    assert named.rule == "DBG-007"
    (program,) = found({"/usr/bin/webs": _ELF + b"\0/usr/sbin/telnetd -l /bin/sh &\0"})
    assert (program.rule, program.confidence) == ("DBG-007", "tentative")
    (magic,) = found({"/usr/bin/webs": _ELF + b"\0AMBIT_TELNET_ENABLE+\0"})
    assert (magic.rule, magic.severity.value) == ("DBG-007", "high")


def test_a_call_that_the_code_shows_is_not_told_twice() -> None:
    base = firmware_of(BASE | {"/usr/bin/webs": _ELF + b"\0telnetd -l /bin/sh &\0"})
    call = CallFact(function="system", arguments=("telnetd -l /bin/sh &",))
    facts = {node.sha256: held for node in base.nodes if node.sha256 and (held := base.facts_of(node))}
    called = {key: msgspec.structs.replace(held, calls=(call,)) if held.yara else held for key, held in facts.items()}
    assert [each.rule for each in hidden.analyse(base, Device())] == ["DBG-007"]
    assert list(hidden.analyse(Firmware(base.image, base.nodes, called, base.coverage), Device())) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/www/hidden.htm", "<!-- telnetd -l /bin/sh -->\n"),
        ("/www/cgi-bin/off.cgi", "#!/bin/sh\nkillall telnetd\n"),
        ("/etc/init.d/telnet", "#!/bin/sh\ntelnetd -l /bin/login\n"),  # a start script: the services tell about it
        ("/www/help.htm", "<p>The telnetd program is not part of this product.</p>\n"),
    ],
)
def test_what_does_not_start_telnetd(path: str, text: str) -> None:
    assert found({path: text, "/usr/bin/webs": _ELF}) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[ -f /mnt/sdcard/autorun.sh ] && /mnt/sdcard/autorun.sh", "/mnt/sdcard/autorun.sh"),
        ("[ -f /media/sda1/run.sh ] && sh /media/sda1/run.sh", "/media/sda1/run.sh"),
        ("[ -f /mnt/flash/run.sh ] && /mnt/flash/run.sh", ""),  # a partition of the device
        ("cp /tmp/sd/log.txt /tmp/log.txt", ""),
    ],
)
def test_programs_from_a_card(line: str, told: str) -> None:
    seen = found({"/etc/init.d/rcS": f"#!/bin/sh\nmkdir -p /tmp/x\n{line}\n", "/usr/bin/webs": _ELF})
    assert [(each.rule, each.location.line) for each in seen] == ([("DBG-011", 3)] if told else [])
    assert not told or told in seen[0].title


def test_hostile_texts_do_not_take_long() -> None:
    long = "<?php " + "system(" * 60_000 + "$_GET"
    many = "eval " + "$FORM_" * 40_000 + "\n" + "os.execute(" * 20_000 + "formvalue telnetd QUERY_STRING"
    firmware = firmware_of(BASE | {"/www/a.php": long[:250_000], "/www/b.cgi": many[:250_000]})
    begin = time.process_time()
    list(hidden.analyse(firmware, Device()))
    assert time.process_time() - begin < 1.0
