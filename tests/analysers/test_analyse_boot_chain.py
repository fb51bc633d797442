"""Rules on the boot chain: links that verify nothing, checks switched off, software from outside, keys that are not required."""

from __future__ import annotations

from pathlib import Path

import pytest
from extraction.formats import test_android_vbmeta
from support.flash_images import (
    ENVIRONMENT,
    KERNEL,
    fit,
    flash,
    ikconfig,
    layout,
    legacy,
    needs_tools,
    report,
    root,
    stored,
    uboot,
)
from support.trees import firmware_of

from fwcheck.analysers.boot_chain import analyse
from fwcheck.device.build import build
from fwcheck.device.firmware import Firmware
from fwcheck.model import Coverage, Finding, Image, Node, NodeKind, Report

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": b"\x7fELF", "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
DIRECT = {"bootargs": "console=ttyS0 root=/dev/mtdblock3 rootfstype=squashfs"}


def boot_rules(found: Report) -> dict[str, Finding]:
    rules: dict[str, Finding] = {}
    for each in found.findings:  # the worst first
        if each.rule.startswith("BOOT-"):
            rules.setdefault(each.rule, each)
    return rules


@needs_tools
class TestUBoot:
    def look(
        self, directory: Path, values: dict[str, str], kernel: bytes, tree: bytes = b"", rest: bytes = b""
    ) -> dict[str, Finding]:
        image = flash(layout(uboot(), tree, stored(directory, {**ENVIRONMENT, **values}), kernel, rest))
        return boot_rules(report(directory, image))

    def test_a_kernel_that_is_verified_speaks_for_the_image(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        found = self.look(tmp_path, {}, image, tree)
        assert set(found) == {"BOOT-001"}
        assert (found["BOOT-001"].verdict, "verified by a signature" in found["BOOT-001"].title) == ("support", True)

    def test_verify_off_is_a_violation_where_a_key_is_demanded(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        found = self.look(tmp_path, {"verify": "no"}, image, tree)
        off = found["BOOT-002"]
        assert (off.verdict, off.severity, off.evidence, off.location.line) == ("violation", "high", "verify=no", 4)
        assert "BOOT-001" not in found

    def test_verify_off_is_little_where_only_a_sum_is_lost(self, tmp_path: Path) -> None:
        found = self.look(tmp_path, {"verify": "n"}, legacy(tmp_path))
        assert (found["BOOT-002"].verdict, found["BOOT-002"].severity) == ("concern", "low")

    @pytest.mark.parametrize("value", ["y", "yes", "1", ""])
    def test_verify_that_is_on_is_no_finding(self, value: str, tmp_path: Path) -> None:
        assert "BOOT-002" not in self.look(tmp_path, {"verify": value} if value else {}, legacy(tmp_path))

    def test_a_key_that_is_not_required(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path, required=False)
        found = self.look(tmp_path, {}, image, tree)
        assert (found["BOOT-005"].verdict, "required=no" in found["BOOT-005"].evidence) == ("concern", True)

    def test_a_command_that_passes_the_demanded_key_by(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        command = "sf probe; sf read 0x82000000 0x90000 0x40000; bootm 0x82000000 || bootz 0x83000000"
        found = self.look(tmp_path, {"bootcmd": command}, image, tree)
        assert "bootz 0x83000000" in found["BOOT-006"].title
        assert "BOOT-006" not in self.look(tmp_path, {}, image, tree)

    @pytest.mark.parametrize(
        ("command", "told"),
        [
            ("load mmc 0:1 0x81000000 uEnv.txt; env import -t 0x81000000 ${filesize}; bootm 0x82000000", True),
            ("load mmc 0:1 0x81000000 uEnv.txt; env import -t 0x81000000 ${filesize} board; bootm 0x82000000", False),
            ("if vendor_button; then load mmc 0:1 0x81000000 uEnv.txt; env import -t 0x81000000; fi; bootm 0x82000000", False),
            ("sysboot mmc 0:1 any 0x81000000 /boot/extlinux/extlinux.conf", True),
        ],
    )
    def test_texts_that_the_loader_follows_past_the_demanded_key(self, command: str, told: bool, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        files = {"boot/uEnv.txt": b"board=x\n", "boot/extlinux/extlinux.conf": b"label x\n kernel /boot/fit\n"}
        found = self.look(tmp_path, {"bootcmd": command}, image, tree, root(tmp_path, files))
        assert ("BOOT-006" in found) is told
        if told:
            assert (found["BOOT-006"].confidence, "which nothing verifies" in found["BOOT-006"].title) == ("tentative", True)

    @pytest.mark.parametrize(
        ("command", "told"),
        [
            ("tftp 0x82000000 uImage; bootm 0x82000000", "a network"),
            ("usb start; if fatload usb 0 0x82000000 uImage; then bootm 0x82000000; fi; bootm 0x90000", "a USB stick"),
            ("sf read 0x82000000 0x90000 0x40000; bootm 0x82000000; tftp 0x82000000 uImage; bootm 0x82000000", ""),
            ("if gpio_of_vendor; then tftp 0x82000000 uImage; bootm 0x82000000; fi; bootm 0x90000", ""),
            ("tftp", ""),
        ],
    )
    def test_software_from_outside(self, command: str, told: str, tmp_path: Path) -> None:
        found = self.look(tmp_path, {"bootcmd": command}, legacy(tmp_path))
        assert ("BOOT-003" in found) is bool(told)
        if told:
            assert told in found["BOOT-003"].title
            assert found["BOOT-003"].evidence.startswith("bootcmd=")

    def test_a_network_is_no_matter_where_bootm_demands_a_signature(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        assert "BOOT-003" not in self.look(tmp_path, {"bootcmd": "tftp 0x82000000 fit; bootm 0x82000000"}, image, tree)

    def test_a_root_that_neither_loader_nor_kernel_can_verify(self, tmp_path: Path) -> None:
        kernel = legacy(tmp_path, KERNEL + ikconfig("CONFIG_MODULES=y", "# CONFIG_DM_VERITY is not set"))
        found = self.look(tmp_path, DIRECT, kernel, rest=root(tmp_path))["BOOT-001"]
        assert (found.verdict, found.severity) == ("concern", "medium")
        assert "root file system is protected by nothing" in found.title

    @pytest.mark.parametrize(
        ("options", "values"),
        [
            (("CONFIG_DM_VERITY=y",), {}),
            (("CONFIG_DM_VERITY=m",), {}),
            (("CONFIG_IMA_APPRAISE=y",), {}),
            ((), {"bootcmd": "vendor_check; bootm 0x90000"}),
            ((), {"bootcmd": "hab_auth_img 0x90000 0x2000; bootm 0x90000"}),
        ],
    )
    def test_whatever_might_verify_the_root_leaves_it_open(
        self, options: tuple[str, ...], values: dict[str, str], tmp_path: Path
    ) -> None:
        kernel = legacy(tmp_path, KERNEL + ikconfig("CONFIG_MODULES=y", *options))
        found = self.look(tmp_path, {**DIRECT, **values}, kernel, rest=root(tmp_path))
        assert found.get("BOOT-001") is None or found["BOOT-001"].verdict != "concern"

    @pytest.mark.parametrize(
        ("options", "arguments", "noted"),
        [
            (("CONFIG_MODULES=y", "CONFIG_MODULE_SIG=y", "# CONFIG_MODULE_SIG_FORCE is not set"), "", True),
            (("CONFIG_MODULES=y", "CONFIG_MODULE_SIG=y", "CONFIG_MODULE_SIG_FORCE=y"), "", False),
            (("CONFIG_MODULES=y", "CONFIG_MODULE_SIG=y"), " module.sig_enforce=1", False),
            (("CONFIG_MODULES=y", "CONFIG_MODULE_SIG=y"), " lockdown=integrity", False),
            (("CONFIG_MODULES=y",), "", False),
        ],
    )
    def test_modules_without_a_signature_are_noted(
        self, options: tuple[str, ...], arguments: str, noted: bool, tmp_path: Path
    ) -> None:
        kernel = legacy(tmp_path, KERNEL + ikconfig(*options))
        found = self.look(tmp_path, {"bootargs": DIRECT["bootargs"] + arguments}, kernel, rest=root(tmp_path))
        assert ("BOOT-004" in found) is noted
        assert not noted or found["BOOT-004"].verdict == "info"


# --------------------------------------------------------------------------- flags and switches


@pytest.mark.parametrize(
    ("flags", "told"), [(0, ""), (1, "hash trees disabled"), (2, "verification disabled"), (3, "hash trees")]
)
def test_flags_of_vbmeta(flags: int, told: str, tmp_path: Path) -> None:
    image = test_android_vbmeta.vbmeta(test_android_vbmeta.described(), flags=flags)
    found = boot_rules(report(tmp_path, image))
    assert ("BOOT-002" in found) is bool(told)
    assert not told or (told in found["BOOT-002"].title and found["BOOT-002"].confidence == "certain")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("console=ttyS0 androidboot.veritymode=disabled root=/dev/dm-0", "Android"),
        ("console=ttyS0 androidboot.veritymode=enforcing root=/dev/dm-0", ""),
        ("console=ttyS0 ima_policy=tcb ima_appraise=log root=/dev/sda1", "IMA"),
        ("console=ttyS0 ima_appraise=enforce root=/dev/sda1", ""),
        ('root=/dev/dm-0 dm="1 v none ro 1,0 9 verity 1 a b 1 2 sha256 ignore_corruption"', "changed blocks"),
    ],
)
def test_words_of_the_command_line(line: str, told: str) -> None:
    firmware = firmware_of({**ROOT, "/boot/cmdline.txt": line + "\n"})
    found = [each for each in analyse(firmware, build(firmware)) if each.rule == "BOOT-002"]
    assert bool(found) is bool(told)
    assert not told or (told in found[0].title and found[0].location.path == "/boot/cmdline.txt")


@pytest.mark.parametrize(
    ("switch", "key", "found"), [("off", "enrolled", True), ("on", "enrolled", False), ("off", "none", False)]
)
def test_secure_boot_that_is_switched_off(switch: str, key: str, found: bool) -> None:
    detail: dict[str, str | int] = {"secure_boot": switch, "platform_key": key, "authenticated": "yes"}
    node = Node(chain=("bios.bin", "uefi-fv@0x0"), path="", kind=NodeKind.CONTAINER, format="uefi-fv", offset=0, detail=detail)
    firmware = Firmware(Image(name="bios.bin", size=1, sha256="0" * 64, format="uefi-fv"), [node], {}, Coverage())
    assert ["BOOT-002" for each in analyse(firmware, build(firmware)) if each.rule == "BOOT-002"] == ["BOOT-002"] * found


def test_grub_that_is_told_not_to_check() -> None:
    firmware = firmware_of(
        {**ROOT, "/boot/grub/grub.cfg": 'set superusers="root"\nset check_signatures=no\nlinux /vmlinuz root=/dev/sda1\n'}
    )
    (found,) = [each for each in analyse(firmware, build(firmware)) if each.rule == "BOOT-002"]
    assert (found.location.path, found.location.line) == ("/boot/grub/grub.cfg", 2)


def test_nothing_is_said_of_an_image_without_a_boot_chain() -> None:
    firmware = firmware_of(ROOT)
    assert list(analyse(firmware, build(firmware))) == []
