"""Update paths of compiled programs: from their calls to steps and to the weakest check on the way."""

import pytest
from support.programs import build
from support.trees import firmware_of

from fwcheck.device.firmware import Firmware
from fwcheck.device.updates import update_paths
from fwcheck.model import CallFact, Coverage, ElfFacts, Facts, GuardFact, Image, Node, NodeKind, PatternHit

FETCH = CallFact(
    function="system", arguments=("wget http://fw.example.net/firmware.bin -O /tmp/fw.bin",), offset=0x100, role="fetch"
)
UPLOAD = CallFact(function="strcmp", arguments=(None, "/goform/upgradeFirmware"), offset=0x110, role="receive")
VERIFY = CallFact(function="EVP_DigestVerifyFinal", offset=0x200, within=0x180, result_used=True, role="verify")
IGNORED = CallFact(function="RSA_verify", offset=0x200, within=0x180, result_used=False, role="verify")
DECRYPT = CallFact(function="RSA_public_decrypt", offset=0x200, within=0x180, result_used=False, role="verify")
HASH = CallFact(function="MD5_Final", offset=0x210, within=0x180, role="compare")
WRITE = CallFact(function="system", arguments=("mtd -r write /tmp/fw.bin firmware",), offset=0x300, within=0x180, role="write")
ERASE = CallFact(function="ioctl", arguments=(None, 0x40084D02, None), offset=0x320, within=0x180, role="write")
GUARD = GuardFact(check=0x200, write=0x300, state="guards")


def program(calls, guards=(), *, imports=(), needed=(), hits=(), words=(), path="/usr/sbin/updater", more=()):
    elf = ElfFacts(machine="arm", bits=32, endian="little", type="executable", imports=tuple(imports), needed=tuple(needed))
    yara = tuple(PatternHit(rule=f"updater-{rule}", offset=9, text=rule) for rule in hits)
    facts = Facts(
        sha256="a" * 64,
        size=9,
        kind="elf",
        elf=elf,
        yara=yara,
        calls=tuple(calls),
        guards=tuple(guards),
        check_words=tuple(words),
    )
    chain = ("x.bin", "squashfs@0x0")
    nodes = [Node(chain=chain, path="", kind=NodeKind.CONTAINER, format="squashfs")]
    every = {"a" * 64: facts}
    for number, (name, others) in enumerate(((path, facts), *more)):
        every[str(number) * 64] = others
        nodes.append(Node(chain=chain, path=name, kind=NodeKind.FILE, size=9, sha256=str(number) * 64))
    return update_paths(Firmware(Image(name="x.bin", size=9, sha256="b" * 64, format="squashfs"), nodes, every, Coverage()))


@pytest.mark.parametrize(
    ("calls", "guards", "verified"),
    [
        ((FETCH, VERIFY, WRITE), (GUARD,), "signature"),
        ((FETCH, VERIFY, WRITE), (), "unknown"),
        ((FETCH, VERIFY, WRITE, ERASE), (GUARD,), "unknown"),
        ((FETCH, VERIFY, WRITE, ERASE), (GUARD, GuardFact(check=0x200, write=0x320, state="guards")), "signature"),
        ((FETCH, VERIFY, WRITE), (GuardFact(check=0x200, write=0x300, state="passable"),), "unknown"),
        ((FETCH, VERIFY, WRITE), (GuardFact(check=0x200, write=0x300, state="behind"),), "none"),
        ((FETCH, IGNORED, WRITE), (), "none"),
        ((FETCH, IGNORED, HASH, WRITE), (), "unknown"),
        ((FETCH, DECRYPT, WRITE), (), "unknown"),
        ((FETCH, WRITE), (), "none"),
        ((FETCH, HASH, WRITE), (), "unknown"),
        ((UPLOAD, WRITE), (), "none"),
    ],
)
def test_a_signature_is_believed_only_where_it_guards_every_write(calls, guards, verified):
    (found,) = program(calls, guards)
    assert found.verified == verified


@pytest.mark.parametrize(
    "more",
    [
        {"imports": ("verify_image",)},
        {"imports": ("crc32",)},
        {"needed": ("libvendor.so",)},
        {"words": ("signature",)},
        {"hits": ("signature",)},
    ],
)
def test_none_is_said_only_where_nothing_could_be_a_check(more):
    (found,) = program((FETCH, WRITE), **more)
    assert found.verified == "unknown"


def test_a_library_of_the_vendor_is_looked_into():
    elf = ElfFacts(machine="arm", bits=32, endian="little", type="shared", exports=("led_on",))
    plain = Facts(sha256="1" * 64, size=9, kind="elf", elf=elf)
    (found,) = program((FETCH, WRITE), needed=("libled.so", "libc.so.0"), more=(("/lib/libled.so", plain),))
    assert found.verified == "none"
    checking = Facts(sha256="1" * 64, size=9, kind="elf", elf=ElfFacts(
        machine="arm", bits=32, endian="little", type="shared", exports=("fw_check_signature",)))  # fmt: skip
    (found,) = program((FETCH, WRITE), needed=("libled.so",), more=(("/lib/libled.so", checking),))
    assert found.verified == "unknown"


@pytest.mark.parametrize(
    "calls",
    [
        (WRITE,),  # takes software from nowhere that was seen
        (FETCH,),
        (CallFact(function="open", arguments=("/dev/mtd3", 2, None), role="write"), FETCH),  # settings may stand there
        (VERIFY,),
    ],
)
def test_programs_that_are_no_updaters(calls):
    assert program(calls, path="/usr/sbin/daemon") == ()


def test_steps_come_in_the_order_of_an_update_with_offset_and_text():
    (found,) = program((WRITE, VERIFY, FETCH, CallFact(function="reboot", offset=0x400, role="restart")), (GUARD,))
    assert [step.action for step in found.steps] == ["fetch", "verify", "write", "restart"]
    verify, write = found.steps[1], found.steps[2]
    assert (verify.check, verify.honoured, verify.reason) == ("signature", "yes", "")
    assert (write.evidence.location.offset, write.evidence.text) == (0x300, 'system("mtd -r write /tmp/fw.bin firmware")')
    assert (found.source, found.sink) == ("http download", "mtd write")


@pytest.mark.parametrize(
    ("calls", "guards", "honoured", "reason"),
    [
        ((FETCH, IGNORED, WRITE), (), "no", "the result is not looked at"),
        ((FETCH, VERIFY, WRITE), (GuardFact(check=0x200, write=0x300, state="behind"),), "no", "stands behind the write"),
        (
            (FETCH, VERIFY, WRITE),
            (GuardFact(check=0x200, write=0x300, state="passable"),),
            "unknown",
            "a way to the write leads round it",
        ),
        ((FETCH, VERIFY, WRITE), (), "unknown", "the way from here to the write was not followed"),
    ],
)
def test_a_check_that_is_not_honoured_says_why(calls, guards, honoured, reason):
    (found,) = program(calls, guards)
    (verify,) = [step for step in found.steps if step.action == "verify"]
    assert (verify.honoured, verify.reason) == (honoured, reason)


def curl(url, *options):
    calls = [
        CallFact(function="curl_easy_setopt", arguments=(None, number, value), offset=number, role="fetch")
        for number, value in options
    ]
    return (CallFact(function="curl_easy_setopt", arguments=(None, 10002, url), offset=1, role="fetch"), *calls, WRITE)


@pytest.mark.parametrize(
    ("calls", "transport"),
    [
        (curl("https://fw.example.net/firmware.bin"), "authenticated"),
        (curl("https://fw.example.net/firmware.bin", (64, 0)), "unchecked"),
        (curl("http://fw.example.net/firmware.bin"), "plain"),
        (curl("https://fw.example.net/firmware.bin", (64, 1)), "authenticated"),
        (
            (CallFact(function="system", arguments=("curl -k https://x/firmware.bin -o /tmp/f",), role="fetch"), WRITE),
            "unchecked",
        ),
        ((CallFact(function="system", arguments=("tftp -g -r firmware.bin %s",), role="fetch"), WRITE), "plain"),
        ((CallFact(function="system", arguments=("wget -O /tmp/fw.bin %s",), role="fetch"), WRITE), "unknown"),
    ],
)
def test_what_software_is_fetched_over(calls, transport):
    (found,) = program(calls)
    assert found.transport == transport


def test_what_a_program_fetches_for_other_ends_does_not_count():
    dyndns = CallFact(function="system", arguments=("wget http://dyndns.example.net/nic",), offset=1, role="fetch")
    (found,) = program((dyndns, UPLOAD, WRITE), path="/usr/sbin/httpd")
    assert (found.transport, found.source) == ("unknown", "web upload")
    assert "fetch" not in {step.action for step in found.steps}


UPDATERS = build.kept("updater")


@pytest.mark.parametrize("name", [name for name in sorted(UPDATERS) if name != "mips64el -O0"])
def test_a_compiled_updater_from_its_bytes_to_its_path(name):
    (found,) = update_paths(firmware_of({"/bin/busybox": b"\x7fELF", "/usr/sbin/fwget": UPDATERS[name]}))
    assert (found.verified, found.source, found.sink) == ("signature", "http download", "mtd write")
    assert [(step.action, step.honoured) for step in found.steps] == [
        ("fetch", ""), ("verify", "yes"), ("write", ""), ("restart", "")]  # fmt: skip
    assert all(0 < step.evidence.location.offset < len(UPDATERS[name]) for step in found.steps)


@pytest.mark.parametrize(
    ("imports", "count"),
    [(("snprintf", "talloc_strdup"), 0), (("snprintf", "open64"), 1), (("vendor_mtd_burn",), 1), ((), 1), (("g_spawn_sync",), 1)],
)
def test_a_library_of_messages_that_opens_nothing_is_no_updater(imports, count):
    assert len(program((), imports=imports, hits=("flash-writer",), path="/usr/lib/liberrors.so")) == count
