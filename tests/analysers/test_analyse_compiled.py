"""What the code of programs says of log-ins, hidden switches and TLS: positives beside the programs that must stay silent."""

import pytest
from support.programs import build
from support.trees import firmware_of

from fwcheck.analysers import compiled_logins, compiled_transport
from fwcheck.device.firmware import Firmware
from fwcheck.model import CallFact, Coverage, Device, ElfFacts, Facts, Image, Node, NodeKind

HASH = "$1$salt$2oAUOUYQqb2iTCcRDbHAT1"


def program(*calls, path="/usr/sbin/webserver", imports=(), beside=("/usr/sbin/telnetd", "/bin/nc")):
    """A firmware of one program whose calls are given as (function, arguments, offset) with all of them in one function.

    ``beside``: programs of which nothing is known, in a root file system; None: there is none.
    """
    facts = Facts(
        sha256="1" * 64,
        size=100_000,
        kind="elf",
        elf=ElfFacts(machine="mips", bits=32, endian="big", type="executable", imports=tuple(imports)),
        calls=tuple(
            CallFact(function=name, arguments=arguments, offset=offset, within=within)
            for name, arguments, offset, within in ((*each, 0x1000)[:4] for each in calls)
        ),
    )
    node = Node(
        chain=("test.bin", "squashfs@0x0"), path=path, kind=NodeKind.FILE, size=facts.size, sha256=facts.sha256, mode=0o755
    )
    files = () if beside is None else ("/sbin/init", "/etc/inittab", *beside)
    others = [Node(chain=node.chain, path=each, kind=NodeKind.FILE, size=9, sha256="2" * 64, mode=0o755) for each in files]
    names = () if beside is None else ("/bin", "/dev", "/etc", "/lib", "/opt", "/proc", "/sbin", "/usr", "/usr/sbin", "/var")
    folders = [Node(chain=node.chain, path=each, kind=NodeKind.DIRECTORY, mode=0o755) for each in names]
    image = Image(name="test.bin", size=1, sha256="0" * 64, format="squashfs")
    return Firmware(image, [*folders, node, *others], {facts.sha256: facts}, Coverage())


def found(analyser, firmware):
    return {finding.rule: finding for finding in analyser.analyse(firmware, Device())}


USER, SECRET = ("strcmp", (None, "support"), 0x1100), ("strcmp", (None, "Zx9!support"), 0x1140)


@pytest.mark.parametrize(
    ("calls", "rule"),
    [
        ([("strcmp", (None, HASH), 0x1100)], "ACC-030"),
        ([("crypt", (None, HASH), 0x1100)], "ACC-030"),
        ([("strcmp", ("$6$abcdefgh$" + "x" * 86, None), 0x1100)], "ACC-030"),
        ([USER, SECRET], "ACC-031"),
        ([("strcmp", (None, "admin"), 0x1100), ("strncmp", (None, "12345678", 8), 0x1120)], "ACC-031"),
        ([("strcmp", (None, "xmlset_roodkcableoj28840ybtide"), 0x1100)], "ACC-032"),
        ([("strcmp", (None, "EnableTelnet#77"), 0x1100), ("system", ("telnetd -l /bin/sh &",), 0x1150)], "DBG-020"),
        ([("strcmp", (None, "1"), 0x1100), ("system", ("/usr/sbin/telnetd",), 0x1150)], "DBG-021"),
        ([("doSystem", ("telnetd &", None, None, None), 0x1150)], "DBG-021"),
        ([("popen", ("nc -l -p 9999 -e /bin/sh", "r"), 0x1150)], "DBG-021"),
    ],
)
def test_log_ins_and_switches_in_code_are_told(calls, rule):
    finding = found(compiled_logins, program(*calls))
    assert set(finding) == {rule}
    assert finding[rule].location.path == "/usr/sbin/webserver"
    assert finding[rule].location.offset in {each[2] for each in calls}
    assert finding[rule].verdict == ("violation" if rule == "ACC-032" else "concern")


@pytest.mark.parametrize(
    ("command", "beside", "there"),
    [
        ("telnetd &", ("/usr/sbin/telnetd",), True),
        ("telnetd &", ("/bin/busybox",), False),
        ("busybox telnetd &", ("/bin/busybox",), True),
        ("telnetd &", None, True),  # no root file system: it may be in the one that the device has
        ("/opt/telnetd -l /bin/sh", ("/opt/telnetd",), True),
        ("/opt/telnetd -l /bin/sh", ("/usr/sbin/telnetd",), False),
        ("nc -l -p 9 -e /bin/sh", ("/usr/sbin/telnetd",), False),
        ("sleep 3; utelnetd -d", ("/usr/sbin/telnetd",), False),
    ],
)
def test_a_program_that_the_image_does_not_hold_is_no_concern(command, beside, there):
    calls = ("system", (command,), 0x1150)
    finding = found(compiled_logins, program(calls, beside=beside))["DBG-021"]
    assert (finding.verdict, finding.severity.value) == (("concern", "medium") if there else ("info", "low"))
    assert ("which is not in the image" in finding.title) is not there


@pytest.mark.parametrize(
    "calls",
    [
        [("crypt", (None, "$1$"), 0x1100)],  # a salt alone
        [("strcmp", (None, "$1$"), 0x1100), ("strcmp", (None, "$6$rounds="), 0x1120)],
        [USER],
        [USER, ("strcmp", (None, "Zx9!support"), 0x4100)],  # far away
        [USER, ("strcmp", (None, "Zx9!support"), 0x1140, 0x1130)],  # in another function
        [USER, ("strcmp", (None, "password"[:4] + "word="), 0x1140)],  # a parameter's name
        [("strcmp", (None, "root"), 0x1100), ("strcmp", (None, "0"), 0x1110)],
        [("strcmp", (None, "admin"), 0x1100), ("strcmp", (None, "guest"), 0x1110)],
        [("strcmp", (None, "ftp"), 0x1100), ("strcmp", (None, "http"), 0x1110)],
        [("strcmp", (None, "admin"), 0x1100)] + [("strcmp", (None, f"WPA{n}PSK"), 0x1100 + n) for n in range(5)],
        [("system", ("killall -9 telnetd",), 0x1100)],
        [("system", ("/bin/busybox killall telnetd 2>/dev/null",), 0x1100)],
        [("system", ("ps | grep telnetd",), 0x1100)],
        [("strcmp", (None, "telnetd"), 0x1100)],
        [("nvram_set", ("telnetd_enable", "1"), 0x1100)],
        [("fopen", ("/usr/sbin/telnetd", "r"), 0x1100)],
    ],
)
def test_what_only_looks_like_it_stays_untold(calls):
    assert found(compiled_logins, program(*calls)) == {}


@pytest.mark.parametrize("path", ["/bin/busybox", "/usr/sbin/dropbear", "/usr/sbin/sshd", "/bin/login", "/usr/sbin/vsftpd"])
def test_known_programs_are_passed_over(path):
    assert found(compiled_logins, program(USER, SECRET, ("system", ("telnetd",), 0x1180), path=path)) == {}


def test_secrets_are_masked():
    finding = found(compiled_logins, program(USER, SECRET))["ACC-031"]
    assert "Zx9!support" not in finding.evidence
    assert "Zx******" in finding.evidence
    assert HASH not in found(compiled_logins, program(("strcmp", (None, HASH), 0x1100)))["ACC-030"].evidence


CLIENT = ("SSL_connect", "SSL_CTX_set_verify")


@pytest.mark.parametrize(
    ("calls", "imports", "rule"),
    [
        ([("curl_easy_setopt", (None, 64, 0), 0x1100)], (), "TLS-020"),
        ([("SSL_CTX_set_verify", (None, 0, None), 0x1100)], CLIENT, "TLS-020"),
        ([("mbedtls_ssl_conf_authmode", (None, 0), 0x1100)], ("mbedtls_ssl_set_hostname",), "TLS-020"),
        ([("curl_easy_setopt", (None, 10002, "http://updates.example.com/list.xml"), 0x1100)], (), "TLS-021"),
        ([("TLSv1_client_method", (), 0x1100)], ("SSL_connect", "TLSv1_client_method"), "TLS-022"),
        ([("curl_easy_setopt", (None, 81, 0), 0x1100)], (), "TLS-023"),
    ],
)
def test_switches_of_tls_libraries_are_told(calls, imports, rule):
    finding = found(compiled_transport, program(*calls, imports=imports))
    assert set(finding) == {rule}
    assert finding[rule].verdict == "concern"


@pytest.mark.parametrize(
    ("calls", "imports"),
    [
        ([("curl_easy_setopt", (None, 64, 1), 0x1100)], ()),
        ([("curl_easy_setopt", (None, 64, None), 0x1100)], ()),
        ([("curl_easy_setopt", (None, 64, 0), 0x1100), ("curl_easy_setopt", (None, 64, 1), 0x1200)], ()),  # an option of the user
        ([("curl_easy_setopt", (None, 64, 0), 0x1100), ("curl_easy_setopt", (None, 64, None), 0x1200)], ()),
        ([("SSL_CTX_set_verify", (None, 0, None), 0x1100)], ("SSL_accept",)),  # a server
        ([("SSL_CTX_set_verify", (None, 0, None), 0x1100)], (*CLIENT, "SSL_accept")),
        ([("SSL_CTX_set_verify", (None, 0, None), 0x1100)], (*CLIENT, "SSL_get_verify_result")),
        ([("SSL_CTX_set_verify", (None, 0, None), 0x1100), ("SSL_CTX_set_verify", (None, 1, None), 0x1140)], CLIENT),
        ([("SSL_CTX_set_verify", (None, None, None), 0x1100)], CLIENT),
        ([("mbedtls_ssl_conf_authmode", (None, 2), 0x1100)], ("mbedtls_ssl_set_hostname",)),
        ([("curl_easy_setopt", (None, 10002, "https://updates.example.com/"), 0x1100)], ()),
        ([("curl_easy_setopt", (None, 10002, "http://127.0.0.1:8080/status"), 0x1100)], ()),
        ([("curl_easy_setopt", (None, 10002, "http://192.168.1.1/"), 0x1100)], ()),
        ([("curl_easy_setopt", (None, 10002, "http://router.lan/"), 0x1100)], ()),
        ([("TLSv1_client_method", (), 0x1100)], ("TLSv1_client_method", "SSLv23_client_method")),
    ],
)
def test_sound_or_undecided_use_of_tls_stays_untold(calls, imports):
    assert found(compiled_transport, program(*calls, imports=imports)) == {}


@pytest.mark.parametrize("path", ["/usr/bin/curl", "/usr/bin/openssl", "/usr/sbin/wpa_supplicant", "/usr/lib/libcurl.so.4"])
def test_programs_that_ask_their_user_are_passed_over(path):
    assert found(compiled_transport, program(("curl_easy_setopt", (None, 64, 0), 0x1100), path=path)) == {}


@pytest.mark.parametrize("name", ["arm -O2", "thumb -O2", "mips -O2", "mipsel -O2", "aarch64 -O2", "x86_64 -O2", "riscv64 -O2"])
def test_a_compiled_program_is_judged_from_its_bytes(name):
    firmware = firmware_of({"/usr/lib/libvendor.so": build.kept()[name]})
    logins, transport = found(compiled_logins, firmware), found(compiled_transport, firmware)
    assert {"ACC-030", "ACC-031", "DBG-020"} <= set(logins)
    assert {"TLS-020", "TLS-021"} <= set(transport)
    assert logins["ACC-031"].location.offset is not None
