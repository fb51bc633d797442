"""Update paths: what writes software, what is checked before, and what does not count as a check."""

import random

import msgspec
import pytest
from support.trees import Link, firmware_of

from fwcheck.device.firmware import Firmware
from fwcheck.device.services import services
from fwcheck.device.updates import update_paths
from fwcheck.model import Coverage, ElfFacts, Facts, Image, Node, NodeKind, PatternHit, Service

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
ELF = b"\x7fELF"
FETCH = "#!/bin/sh\nwget http://fw.example.net/firmware.bin -O /tmp/fw.bin\n"
WRITE = "mtd write /tmp/fw.bin firmware\n"


def paths(files):
    return update_paths(firmware_of({**ROOT, **files}))


def script(text, path="/usr/sbin/upgrade.sh"):
    found = paths({path: text})
    return found[0] if found else None


# --------------------------------------------------------------------------- scripts


@pytest.mark.parametrize(
    ("command", "sink"),
    [
        ("mtd write /tmp/fw.bin firmware", "mtd write"),
        ("mtd -r -e linux write $1 linux", "mtd write"),
        ("/sbin/mtd_write write $fw Kernel", "mtd write"),
        ("flashcp -v /tmp/fw.bin /dev/mtd1", "flashcp"),
        ("nandwrite -p /dev/mtd4 /tmp/fw.bin", "nandwrite"),
        ("ubiupdatevol /dev/ubi0_1 /tmp/rootfs.img", "ubi volume"),
        ("dd if=/tmp/fw.bin of=/dev/mtdblock2 bs=64k", "raw write to flash"),
        ("dd if=/tmp/fw.bin of=/dev/mmcblk0p2", "raw write to flash"),
        ("cat /tmp/fw.bin > /dev/mtd3", "raw write to flash"),
        ("sysupgrade -n /tmp/fw.bin", "sysupgrade"),
        ("[ -f /tmp/fw.bin ] && fw_upgrade /tmp/fw.bin", "vendor updater"),
        ("cp -rf /tmp/update/home/* /home/", "file copy"),
    ],
)
def test_commands_that_write_software_are_found(command, sink):
    found = script(f"#!/bin/sh\n# firmware\n{command}\n")
    assert found is not None
    assert found.sink == sink
    assert found.evidence[0].location.line == 3


@pytest.mark.parametrize(
    "command",
    [
        "# mtd write /tmp/fw.bin firmware",
        'echo "mtd write firmware"',
        "dd if=/dev/mtd2 of=/tmp/firmware.bin",
        "dd if=/dev/zero of=/dev/mtdblock3",
        "mtd erase rootfs_data",
        "flash_eraseall /dev/mtd4",
        "mount -t jffs2 /dev/mtdblock4 /firmware",
        "sysupgrade -b /tmp/backup.tar.gz",
        "sysupgrade --test /tmp/fw.bin",
        "cat /proc/mtd",
        "mtd_write_protect=1",
    ],
)
def test_reading_erasing_and_speaking_of_it_do_not_count(command):
    assert script(f"#!/bin/sh\n# firmware upgrade\n{command}\n") is None


@pytest.mark.parametrize(
    ("check", "verified"),
    [
        ("openssl dgst -sha256 -verify /etc/pub.pem -signature /tmp/fw.sig /tmp/fw.bin || exit 1\n", "signature"),
        ("if ! usign -V -q -m /tmp/fw.bin -p /etc/fw.pub; then exit 1; fi\n", "signature"),
        ("ecdsaverify -n 2 -p $KEY -s $SIG /tmp/fw.bin\n\nif test $? -ne 0; then\n exit 1\nfi\n", "signature"),
        ("gpgv --keyring /etc/keys.gpg /tmp/fw.sig /tmp/fw.bin && ok=1\n", "none"),
        ("openssl dgst -sha256 -verify /etc/pub.pem -signature /tmp/fw.sig /tmp/fw.bin || true\n", "none"),
        ("openssl dgst -sha256 -verify /etc/pub.pem -signature /tmp/fw.sig /tmp/fw.bin\necho flashing\n", "none"),
        ('sum=$(md5sum /tmp/fw.bin)\n[ "$sum" = "$want" ] || exit 1\n', "hash"),
        ("sha256sum -c /tmp/fw.sha256 || exit 1\n", "hash"),
        ('crc=$(cksum /tmp/fw.bin)\n[ "$crc" != "$want" ] && exit 1\n', "checksum"),
        ("# md5sum /tmp/fw.bin = good\n", "none"),
        ("[ -s /tmp/fw.bin ] || exit 1\n", "none"),
    ],
)
def test_a_check_counts_when_its_result_can_stop_the_script(check, verified):
    found = script(FETCH + check + WRITE)
    assert (found.verified, found.source) == (verified, "http download")


def test_a_check_in_a_called_script_counts():
    check = "#!/bin/sh\nusign -V -m $1 -p /etc/fw.pub || exit 1\n"
    (found,) = [
        each
        for each in paths(
            {"/usr/sbin/up.sh": FETCH + "/usr/lib/check.sh /tmp/fw.bin || exit 1\n" + WRITE, "/usr/lib/check.sh": check}
        )
        if each.sink == "mtd write"
    ]
    assert found.verified == "signature"
    assert found.evidence[1].location.path == "/usr/lib/check.sh"


@pytest.mark.parametrize(
    ("path", "text", "source"),
    [
        ("/www/cgi-bin/upgrade.sh", "#!/bin/sh\n" + WRITE, "web upload"),
        ("/usr/sbin/up.sh", "#!/bin/sh\ncp /mnt/sd/firmware.bin /tmp/fw.bin\n" + WRITE, "removable media"),
        ("/usr/sbin/up.sh", "#!/bin/sh\ntftp -g -r firmware.bin $1\n" + WRITE, "tftp or ftp"),
        ("/usr/sbin/cwmp_download.sh", "#!/bin/sh\nwget -O /tmp/fw.bin $1\n" + WRITE, "TR-069"),
        ("/usr/bin/lwm2m-update", "#!/bin/sh\n# firmware\n" + WRITE, "LwM2M"),
        (
            "/usr/sbin/agent.sh",
            "#!/bin/sh\nmosquitto_sub -t x/ota | while read u; do " + WRITE.strip() + "; done # firmware\n",
            "cloud",
        ),
        ("/usr/sbin/serial.sh", "#!/bin/sh\ncd /tmp && rz -y # firmware\n" + WRITE, "serial line"),
        ("/etc/hotplug.d/block/50-up", "#!/bin/sh\nmount $D /mnt/usb\nsh /mnt/usb/update.sh\n", "removable media"),
        ("/usr/sbin/up.sh", "#!/bin/sh\n# wget is not used\ncat /tmp/firmware.bin\n" + WRITE, "local file"),
    ],
)
def test_the_source_is_told_from_where_the_script_stands_and_what_it_fetches(path, text, source):
    assert script(text, path).source == source


# --------------------------------------------------------------------------- tools

SYSUPGRADE = {
    "/sbin/sysupgrade": '#!/bin/sh\nsysupgrade_image_check="fwtool_check_signature fwtool_check_image platform_check_image"\n',
    "/lib/upgrade/fwtool.sh": '[ "$REQUIRE_IMAGE_SIGNATURE" = 1 ] && return 1\nucert -V -m - -c /tmp/x -P /etc/opkg/keys\n',
    "/usr/bin/fwtool": b"\x7fELF",
}


@pytest.mark.parametrize(
    ("more", "verified"),
    [
        ({}, "none"),
        ({"/usr/bin/ucert": b"\x7fELF"}, "none"),
        ({"/lib/upgrade/platform.sh": "REQUIRE_IMAGE_METADATA=1\n"}, "checksum"),
        ({"/lib/upgrade/platform.sh": "REQUIRE_IMAGE_SIGNATURE=1\n"}, "none"),
        ({"/lib/upgrade/platform.sh": "REQUIRE_IMAGE_SIGNATURE=1\n", "/usr/bin/ucert": b"\x7fELF"}, "signature"),
        ({"/lib/upgrade/platform.sh": "#REQUIRE_IMAGE_SIGNATURE=1\n", "/usr/bin/ucert": b"\x7fELF"}, "none"),
    ],
)
def test_sysupgrade_checks_signatures_only_when_they_are_required(more, verified):
    (found,) = paths({**SYSUPGRADE, **more})
    assert (found.mechanism, found.verified) == ("sysupgrade", verified)


def test_a_script_that_calls_sysupgrade_is_checked_as_well_as_sysupgrade():
    more = {"/lib/upgrade/p.sh": "REQUIRE_IMAGE_METADATA=1\n", "/www/cgi-bin/up": "#!/bin/sh\nsysupgrade /tmp/fw.bin\n"}
    found = {each.mechanism: each for each in paths({**SYSUPGRADE, **more})}
    assert found["/www/cgi-bin/up"].verified == "checksum"


OPKG = {"/bin/opkg": b"\x7fELF", "/usr/bin/usign": b"\x7fELF", "/etc/opkg/keys/ab12": "untrusted comment: key\n"}


@pytest.mark.parametrize(
    ("conf", "verified"),
    [
        ("src/gz base http://feed.example.net/base\noption check_signature\n", "signature"),
        ("src/gz base http://feed.example.net/base\noption check_signature 1\n", "signature"),
        ("src/gz base http://feed.example.net/base\noption check_signature 0\n", "hash"),
        ("src/gz base http://feed.example.net/base\n", "hash"),
    ],
)
def test_opkg_checks_signatures_when_told_and_able(conf, verified):
    (found,) = paths({**OPKG, "/etc/opkg.conf": conf})
    assert (found.mechanism, found.verified) == ("opkg", verified)


def test_opkg_without_keys_is_not_judged_as_signed():
    (found,) = paths({"/bin/opkg": b"\x7fELF", "/etc/opkg.conf": "option check_signature 1\n"})
    assert found.verified == "unknown"


@pytest.mark.parametrize(
    ("files", "mechanism", "verified"),
    [
        ({"/usr/bin/swupdate": ELF, "/etc/swupdate.cfg": 'globals : {\n public-key-file = "/k";\n};\n'}, "swupdate", "signature"),
        ({"/usr/bin/swupdate": ELF, "/etc/default/swupdate": 'SWUPDATE_ARGS="-v -k /etc/k.pem"\n'}, "swupdate", "signature"),
        ({"/usr/bin/swupdate": ELF, "/etc/swupdate/conf.d/01-k": 'SWUPDATE_ARGS="-k /etc/k.pem"\n'}, "swupdate", "signature"),
        ({"/usr/bin/swupdate": ELF}, "swupdate", "hash"),
        ({"/etc/rauc/system.conf": "[system]\ncompatible=x\n[keyring]\npath=/etc/rauc/ca.pem\n"}, "rauc", "signature"),
        ({"/etc/rauc/system.conf": "[system]\ncompatible=x\n"}, "rauc", "unknown"),
        ({"/etc/mender/mender.conf": '{\n "ArtifactVerifyKey": "/etc/k.pem"\n}\n'}, "mender", "signature"),
        ({"/etc/mender/mender.conf": '{\n "ServerURL": "https://x"\n}\n'}, "mender", "hash"),
        ({"/etc/apt/sources.list": "deb http://deb.example.net stable main\n", "/usr/bin/apt-get": ELF}, "apt", "signature"),
        ({"/etc/apt/sources.list": "deb [trusted=yes] http://x stable main\n", "/usr/bin/apt-get": ELF}, "apt", "hash"),
    ],
)
def test_update_tools_are_read_from_their_settings(files, mechanism, verified):
    (found,) = paths(files)
    assert (found.mechanism, found.verified) == (mechanism, verified)


@pytest.mark.parametrize(
    ("files", "rollback"),
    [
        ({"/usr/bin/swupdate": ELF, "/etc/default/swupdate": 'SWUPDATE_ARGS="-v -k /etc/k.pem -N 2.0"\n'}, "protected"),
        (
            {
                "/usr/bin/swupdate": ELF,
                "/etc/swupdate.cfg": 'globals : {\n public-key-file = "/k";\n no-downgrading = "2.0";\n};\n',
            },
            "protected",
        ),
        ({"/usr/bin/swupdate": ELF, "/etc/swupdate.cfg": 'globals : {\n public-key-file = "/k";\n};\n'}, "unknown"),
        ({"/etc/rauc/system.conf": "[system]\nmin-bundle-version=2024.1\n[keyring]\npath=/x\n"}, "protected"),
        ({"/etc/rauc/system.conf": "[system]\ncompatible=x\n[keyring]\npath=/x\n"}, "unknown"),
    ],
)
def test_tools_that_refuse_older_versions_are_told(files, rollback):
    assert [each.rollback for each in paths(files)] == [rollback]


@pytest.mark.parametrize(
    ("settings", "automatic"),
    [
        ('APT::Periodic::Unattended-Upgrade "1";\n', "yes"),
        ('APT::Periodic::Unattended-Upgrade "0";\n', "unknown"),
        ('// APT::Periodic::Unattended-Upgrade "1";\n', "unknown"),
    ],
)
def test_upgrades_that_apt_does_by_itself_are_automatic(settings, automatic):
    files = {"/etc/apt/sources.list": "deb http://deb.example.net stable main\n", "/usr/bin/apt-get": ELF}
    (found,) = paths({**files, "/usr/bin/unattended-upgrade": ELF, "/etc/apt/apt.conf.d/20auto-upgrades": settings})
    assert found.automatic == automatic


@pytest.mark.parametrize(
    ("path", "line", "sink", "source"),
    [
        ("/etc/crontabs/root", "0 4 * * * opkg update && opkg upgrade", "opkg", "package feed"),
        ("/etc/cron.d/up", "@daily root curl -s http://x.example/up | sh", "run as it comes", "http download"),
        ("/var/spool/cron/crontabs/root", "*/5 1-3 * * 0 wget -O /tmp/u http://x.example/u && sh /tmp/u",
         "program that was brought in", "http download"),
    ],
)  # fmt: skip
def test_command_lines_of_crontabs_are_followed(path, line, sink, source):
    firmware = firmware_of({**ROOT, path: f"# m h dom\n{line}\n"})
    crond = Service(name="crond", program="/usr/sbin/crond", enabled="yes")
    (found,) = update_paths(firmware, [crond])
    assert (found.mechanism, found.sink, found.source, found.automatic) == (path, sink, source, "yes")
    assert found.evidence[0].location.line == 2
    assert update_paths(firmware)[0].automatic == "unknown"
    assert paths({path: f"#{line}\n"}) == ()


def test_a_module_of_an_update_tool_alone_says_nothing():
    (found,) = paths({"/usr/share/mender/modules/v3/deb": '#!/bin/sh\ndpkg -i "$2"/files/*.deb\n'})
    assert found.verified == "unknown"


@pytest.mark.parametrize(
    ("files", "slots"),
    [
        ({"/etc/rauc/system.conf": "[system]\n[keyring]\npath=/x\n[slot.rootfs.0]\n[slot.rootfs.1]\n"}, "A/B"),
        ({"/etc/rauc/system.conf": "[system]\n[keyring]\npath=/x\n[slot.rootfs.0]\n[slot.bootloader.0]\n"}, "single"),
        ({"/etc/rauc/system.conf": "[system]\n[keyring]\npath=/x\n"}, ""),
        ({"/etc/mender/mender.conf": '{\n "RootfsPartA": "/dev/mmcblk0p2",\n "RootfsPartB": "/dev/mmcblk0p3"\n}\n'}, "A/B"),
    ],
)
def test_the_slots_are_told_where_settings_name_them(files, slots):
    (found,) = paths(files)
    assert found.slots == slots


# --------------------------------------------------------------------------- programs and containers


def program(hits, imports=()):
    elf = ElfFacts(machine="mips", bits=32, endian="big", type="executable", imports=("open", *imports))
    yara = tuple(PatternHit(rule=f"updater-{rule}", offset=9, text=rule) for rule in hits)
    facts = Facts(sha256="a" * 64, size=9, kind="elf", elf=elf, yara=yara)
    chain = ("x.bin", "squashfs@0x0")
    nodes = [
        Node(chain=chain, path="", kind=NodeKind.CONTAINER, format="squashfs"),
        Node(chain=chain, path="/usr/bin/httpd", kind=NodeKind.FILE, size=9, sha256="a" * 64),
    ]
    return update_paths(
        Firmware(Image(name="x.bin", size=9, sha256="b" * 64, format="squashfs"), nodes, {"a" * 64: facts}, Coverage())
    )


@pytest.mark.parametrize(
    ("hits", "imports", "verified"),
    [
        (("flash-writer",), (), "unknown"),
        (("flash-writer", "hash", "checksum"), (), "hash"),
        (("flash-writer", "checksum"), (), "checksum"),
        (("flash-writer", "signature"), (), "unknown"),
        (("flash-writer", "hash"), ("RSA_verify",), "unknown"),
        (("flash-writer", "signature"), ("EVP_DigestVerifyFinal",), "unknown"),
        (("flash-writer", "hash"), ("SSL_CTX_set_verify", "SSL_connect"), "hash"),
    ],
)
def test_what_a_program_imports_and_says_is_no_proof_of_a_signature(hits, imports, verified):
    (found,) = program(hits, imports)
    assert (found.verified, found.source) == (verified, "web upload")


def test_a_program_that_writes_no_flash_is_no_updater():
    assert program(("hash", "signature"), ("RSA_verify",)) == ()


def container(format, integrity, size=100, chain=("x.bin", "part@0x0")):
    node = Node(
        chain=chain, path="", kind=NodeKind.CONTAINER, format=format, size=size, offset=0, detail={"integrity": integrity}
    )
    return update_paths(Firmware(Image(name="x.bin", size=100, sha256="b" * 64, format=format), [node], {}, Coverage()))


@pytest.mark.parametrize("integrity", ["none", "checksum", "hash", "signature"])
def test_the_container_of_an_image_tells_how_it_is_protected(integrity):
    (found,) = container("trx", integrity)
    assert (found.source, found.verified) == ("container", integrity)


@pytest.mark.parametrize(("integrity", "expected"), [("signature", ["signature"]), ("checksum", [])])
def test_the_signature_behind_an_openwrt_image(integrity, expected):
    assert [each.verified for each in container("openwrt-metadata", integrity, size=16)] == expected


def test_a_bundle_that_judges_itself_is_told_once():
    chain = ("x.bin", "rauc@0x0")
    outer = Node(
        chain=chain, path="", kind=NodeKind.CONTAINER, format="rauc", size=100, offset=0, detail={"integrity": "signature"}
    )
    inner = (*chain, "payload", "squashfs@0x0")
    nodes = [
        outer,
        Node(chain=inner, path="", kind=NodeKind.CONTAINER, format="squashfs", size=80, offset=0),
        Node(chain=inner, path="/manifest.raucm", kind=NodeKind.FILE, size=9),
    ]
    image = Image(name="x.bin", size=100, sha256="b" * 64, format="rauc")
    (found,) = update_paths(Firmware(image, nodes, {}, Coverage()))
    assert (found.mechanism, found.sink, found.verified) == ("RAUC bundle", "rauc", "signature")
    (found,) = update_paths(Firmware(image, nodes[1:], {}, Coverage()))
    assert (found.mechanism, found.verified) == ("RAUC bundle", "hash")


def test_compressors_and_small_parts_of_a_dump_are_no_wrapping():
    assert container("gzip", "checksum") == ()
    assert container("uimage", "checksum", size=10) == ()


def test_a_signed_swupdate_bundle_is_told_from_an_unsigned_one():
    description = 'software = {\n sha256 = "00";\n};\n'
    assert [each.verified for each in paths({"/sw-description": description})] == ["hash"]
    assert [each.verified for each in paths({"/sw-description": description, "/sw-description.sig": b"0\x82"})] == ["signature"]


def test_a_nordic_package_is_signed_when_its_init_packet_is():
    manifest = '{"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}}'
    signed = b"\x12\x8d\x01\x0a\x47" + bytes(71) + b"\x10\x00\x1a\x40" + bytes(range(64))
    assert [each.verified for each in paths({"/manifest.json": manifest, "/a.dat": signed})] == ["signature"]
    assert [each.verified for each in paths({"/manifest.json": manifest, "/a.dat": b"\x0a\x47" + bytes(71)})] == ["hash"]


def test_the_same_updater_in_two_slots_is_told_once():
    one = firmware_of({**ROOT, "/usr/sbin/up.sh": FETCH + WRITE})
    chain = ("test.bin", "squashfs@0x400000")
    second = [msgspec.structs.replace(node, chain=chain) for node in one.nodes]
    facts = {facts.sha256: facts for _, facts in one.contents()}
    both = Firmware(one.image, [*one.nodes, *second], facts, one.coverage)
    assert len(update_paths(both)) == 1


@pytest.mark.fuzz
def test_mutated_scripts_never_raise():
    random.seed(11)
    seed = (
        FETCH + 'sum=$(md5sum /tmp/fw.bin)\n[ "$sum" = x ] || exit 1\nopenssl dgst -verify k -signature s f || true\n' + WRITE
    ).encode()
    for _ in range(60):
        raw = bytearray(seed)
        for _ in range(random.randint(1, 10)):
            raw[random.randrange(len(raw))] = random.choice(b"\"'`$|&;\n\0\\ (){}")
        for each in paths({"/usr/sbin/up.sh": bytes(raw), "/etc/opkg.conf": bytes(raw), "/etc/mender/mender.conf": bytes(raw)}):
            assert each.verified in ("signature", "hash", "checksum", "none", "unknown")


def test_long_lines_cost_no_more_than_their_length():
    text = "#!/bin/sh\n# firmware\n" + "mtd -a " * 200_000 + "\n" + ("dd " * 1300 + "\n") * 50
    assert script(text) is None


_FETCHES = (
    "#!/bin/sh\nwget https://a.example/fw.bin -O /tmp/fw.bin\nsha256sum -c /tmp/fw.sum || exit 1\nflashcp /tmp/fw.bin /dev/mtd3\n"
)


@pytest.mark.parametrize(
    ("files", "automatic"),
    [
        ({"/etc/crontabs/root": "17 3 * * * /opt/up.sh\n", "/etc/rcS": "#!/bin/sh\ncrond -c /etc/crontabs\n"}, "yes"),
        ({"/etc/crontabs/root": "17 3 * * * /opt/up.sh\n", "/etc/rcS": "#!/bin/sh\nexit 0\n"}, "unknown"),
        ({"/etc/rcS": "#!/bin/sh\n/opt/start.sh &\n", "/opt/start.sh": "#!/bin/sh\n/opt/up.sh\n"}, "yes"),
        ({"/etc/rcS": "#!/bin/sh\n[ -e /proc/x ] && /opt/up.sh\n"}, "unknown"),
    ],
)
def test_an_update_script_that_boot_or_cron_run_is_automatic(files, automatic):
    tree = {"/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/usr/sbin/crond": ELF, "/opt/up.sh": _FETCHES}
    firmware = firmware_of(tree | files)
    (found,) = update_paths(firmware, services(firmware))
    assert (found.mechanism, found.automatic) == ("/opt/up.sh", automatic)


@pytest.mark.parametrize(
    ("script", "verified"),
    [
        (
            "f=/media/usb/update.tgz\nopenssl dgst -sha256 -verify /k.pub -signature $f.sig $f || exit 1\ntar xzf $f -C /\n",
            "signature",
        ),
        ("f=/media/usb/update.tgz\ntar xzf $f -C /\n", "none"),
        ("f=/media/usb/update.tgz\ntar xzf $f -C /tmp\n", None),
        ("f=/root/update.tgz\ntar xzf $f -C /\n", None),
    ],
)
def test_an_archive_of_a_stick_unpacked_over_the_root(script, verified):
    firmware = firmware_of({"/opt/usb.sh": f"#!/bin/sh\n{script}reboot\n", "/k.pub": "k"})
    assert [each.verified for each in update_paths(firmware)] == ([verified] if verified else [])
