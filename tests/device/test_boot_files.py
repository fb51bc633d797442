"""Boot scripts, menus and settings: what reads them, what they start, and what that says of the kernel; hostile ones end."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from support.flash_images import (
    ENVIRONMENT,
    KERNEL,
    fit,
    flash,
    needs_tools,
    report,
    root,
    run,
    stage,
    stored,
    uboot,
)
from support.kernel_images import zimage
from support.trees import firmware_of

from fwcheck.device.booting.files import BootFile, boot_files, loads, variables
from fwcheck.device.booting.script import Walk, walk, walk_script
from fwcheck.model import Node, NodeKind

SCRIPT = """# boot script
setenv bootargs console=ttyS0,115200 root=/dev/mmcblk0p2
load mmc 0:1 0x80008000 /boot/zImage
load mmc 0:1 0x83000000 /boot/board.dtb
bootz 0x80008000 - 0x83000000
"""
COMMAND = "load mmc 0:1 0x82000000 /boot/boot.scr; source 0x82000000"


def file(kind: str, name: str, text: str) -> BootFile:
    return BootFile(kind, name, Node(chain=("i", "ext4@0x0"), path=name, kind=NodeKind.FILE), text)  # type: ignore[arg-type]


def of(command: str, *files: BootFile, **values: str) -> Walk:
    return walk({"bootcmd": command, **values}, files=files)


class TestWalk:
    def test_a_script_is_followed_and_its_lines_are_told(self) -> None:
        script = file("script", "/boot/boot.scr", SCRIPT)
        found = of(COMMAND, script)
        assert [(each.command, each.file, each.at) for each in found.starts] == [("bootz", script, 5)]
        assert found.starts[0].load == "load mmc 0:1 0x80008000 /boot/zImage"
        assert [(each.file, each.by, each.variable) for each in found.files] == [(script, None, "bootcmd")]
        assert found.complete

    @pytest.mark.parametrize(
        "command",
        [
            "tftp 0x82000000 boot.scr; source 0x82000000",
            "load usb 0:1 0x82000000 boot.scr; source 0x82000000",
            "load mmc 0:1 0x82000000 other.scr; source 0x82000000",
            "source 0x82000000",
        ],
    )
    def test_a_script_from_elsewhere_is_not_the_one_in_the_image(self, command: str) -> None:
        found = of(command, file("script", "/boot/boot.scr", SCRIPT))
        assert [each.command for each in found.starts] == ["source"]

    def test_a_script_is_found_by_its_place_in_the_flash(self) -> None:
        script = file("script", "uimage@0x40000/script", "bootm 9f050000\n")
        found = of("sf probe; sf read 0x81000000 0x40000 0x1000; source 0x81000000", script)
        assert [(each.line, each.at) for each in found.starts] == [("bootm 9f050000", 1)]

    def test_settings_are_taken_over_and_a_command_in_them_is_told_with_its_line(self) -> None:
        settings = file(
            "variables", "/uEnv.txt", "# comment\nkernel=zImage\nuenvcmd=load mmc 0:1 82000000 ${kernel}; bootz 82000000\n"
        )
        command = "load mmc 0:1 0x81000000 uEnv.txt && env import -t 0x81000000 ${filesize}; run uenvcmd"
        found = of(command, settings, filesize="100")
        assert [(each.line, each.file, each.at, each.load) for each in found.starts] == [
            ("bootz 82000000", settings, 3, "load mmc 0:1 82000000 zImage")
        ]
        assert not of(command.replace("mmc", "usb"), settings).complete

    def test_a_menu_is_told_by_sysboot(self) -> None:
        menu = file("extlinux", "/extlinux/extlinux.conf", "default a\nlabel a\n  kernel /zImage\n")
        found = of("sysboot mmc 0:1 any 1000 /extlinux/extlinux.conf", menu)
        assert [(each.command, each.file) for each in found.starts] == [("sysboot", menu)]
        assert of("sysboot usb 0:1 any 1000 /extlinux/extlinux.conf", menu).files == ()

    def test_verify_in_a_script_counts_from_there_on(self) -> None:
        script = file("script", "/boot.scr", "setenv verify no\nbootm 1000000\n")
        assert of("load mmc 0:1 82000000 boot.scr; source 82000000", script).starts[0].verify == "no"

    def test_a_script_that_nothing_starts_is_followed_by_itself(self) -> None:
        found = walk_script(file("script", "/boot.scr", SCRIPT), {})
        assert [(each.command, each.at) for each in found.starts] == [("bootz", 5)]

    @pytest.mark.parametrize(
        "text",
        [
            "load mmc 0:1 82000000 boot.scr; source 82000000\n" * 200,
            "for a in 1 2 3 4 5 6 7 8; do source 82000000; done\n" * 50,
            "if " * 4000,
            "run a; setenv a run a\n" * 2000,
            "(" * 30000,
            "${" * 30000,
        ],
    )
    def test_hostile_scripts_end(self, text: str) -> None:
        begin = time.process_time()
        script = file("script", "/boot.scr", text)
        found = of("load mmc 0:1 82000000 boot.scr; source 82000000", script)
        assert isinstance(found, Walk)
        assert not found.complete
        assert time.process_time() - begin < 4


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "text", "expected"),
        [
            (
                "/boot/extlinux/extlinux.conf",
                "TIMEOUT 30\nDEFAULT b\nLABEL a\n\tLINUX ../old\nLABEL b\n\tKERNEL /Image\n\tINITRD /initrd\n\tFDT board.dtb\n",
                [
                    ("kernel", "/Image", 6),
                    ("initrd", "/initrd", 7),
                    ("device tree", "/boot/extlinux/board.dtb", 8),
                    ("kernel", "/boot/old", 4),
                ],
            ),
            (
                "/boot/grub/grub.cfg",
                'set default=0\nmenuentry "x" {\n  linux (hd0,gpt2)/boot/vmlinuz root=/dev/sda2 ro\n  initrd /boot/initrd\n}\n',
                [("kernel", "/boot/vmlinuz", 3), ("initrd", "/boot/initrd", 4)],
            ),
            (
                "/loader/entries/x.conf",
                "title x\nlinux /x/vmlinuz\ninitrd /x/initrd\noptions root=/dev/sda2\n",
                [("kernel", "/x/vmlinuz", 2), ("initrd", "/x/initrd", 3)],
            ),
            ("/loader/entries/y.conf", "title y\nefi \\EFI\\x\\grub.efi\n", [("EFI program", "/EFI/x/grub.efi", 2)]),
        ],
    )
    def test_menus_are_read_as_their_loaders_do(self, path: str, text: str, expected: list[tuple[str, str, int]]) -> None:
        found = boot_files(firmware_of({path: text}))
        assert [(each.what, each.path, each.line) for each in loads(found[0])] == expected

    def test_settings_of_the_raspberry_pi_need_its_firmware_beside_them(self) -> None:
        files: dict[str, bytes | str] = {"/config.txt": "[pi4]\nkernel=kernel8.img\ninitramfs initrd.gz followkernel\n"}
        assert boot_files(firmware_of(files)) == ()
        found = boot_files(firmware_of({**files, "/start4.elf": "x"}))
        assert [(each.what, each.path, each.line) for each in loads(found[0])] == [
            ("kernel", "/kernel8.img", 2),
            ("initrd", "/initrd.gz", 3),
        ]

    def test_variables_of_a_text(self) -> None:
        assert variables("a=1\r\n#b=2\nc = 3\nd=\n=5\n" + "e=" + "x" * 5000) == {"a": "1", "d": ""}

    def test_noise_is_none_and_costs_little(self) -> None:
        noise = "".join(random.Random(3).choices("kernel linux=\n\t#()${};\\\0 ", k=200_000))
        begin = time.process_time()
        paths = ("/boot/extlinux/extlinux.conf", "/boot/grub/grub.cfg", "/loader/entries/a.conf", "/uEnv.txt", "/config.txt")
        for each in boot_files(firmware_of(dict.fromkeys(paths, noise) | {"/start.elf": "x"})):
            loads(each)
            variables(each.text)
        assert time.process_time() - begin < 3


@needs_tools
class TestChain:
    def script(self, directory: Path, text: str = SCRIPT) -> bytes:
        (directory / "boot.cmd").write_text(text)
        run(directory, "mkimage", "-A", "arm", "-O", "linux", "-T", "script", "-C", "none", "-d", "boot.cmd", "boot.scr")
        return (directory / "boot.scr").read_bytes()

    def image(self, directory: Path, command: str, files: dict[str, bytes], tree: bytes = b"") -> bytes:
        environment = stored(directory, {**ENVIRONMENT, "bootcmd": command})
        return flash({0: uboot() + tree, 0x40000: environment, 0x90000: root(directory, files)})

    def test_a_legacy_script_and_the_kernel_that_it_starts(self, tmp_path: Path) -> None:
        files = {"boot/boot.scr": self.script(tmp_path), "boot/zImage": zimage(KERNEL)}
        steps = report(tmp_path, self.image(tmp_path, COMMAND, files)).device.boot_chain
        script, kernel = stage(steps, "boot script"), stage(steps, "kernel")
        assert (script.verified, script.detail) == ("checksum", "boot script /boot/boot.scr")
        assert script.starts.startswith("bootz 0x80008000 - 0x83000000 after load mmc 0:1 0x80008000 /boot/zImage (line 5)")
        assert script.evidence[1].text.startswith("bootcmd=load mmc")
        assert (kernel.verified, kernel.checked_by) == ("none", "U-Boot (bootz)")
        assert (kernel.evidence[1].location.line, kernel.evidence[1].location.path) == (5, "script")
        assert "line 5 of /boot/boot.scr" in steps[0].starts

    def test_a_menu_that_names_the_kernel(self, tmp_path: Path) -> None:
        files = {"boot/extlinux/extlinux.conf": b"label x\n  kernel /boot/zImage\n", "boot/zImage": zimage(KERNEL)}
        command = "sysboot mmc 0:1 any 0x82000000 /boot/extlinux/extlinux.conf"
        steps = report(tmp_path, self.image(tmp_path, command, files)).device.boot_chain
        menu, kernel = stage(steps, "boot script"), stage(steps, "kernel")
        assert (menu.verified, menu.starts) == ("none", "kernel /boot/zImage (line 2)")
        assert (kernel.verified, kernel.checked_by) == ("none", "U-Boot (sysboot)")
        assert kernel.evidence[1].location.line == 2
        # what runs sysboot is not in the image
        kernel = stage(report(tmp_path, root(tmp_path, files)).device.boot_chain, "kernel")
        assert (kernel.verified, "line 2" in kernel.reason) == ("unknown", True)

    def test_a_fit_script_is_verified_by_a_key_demanded_of_images_alone(self, tmp_path: Path) -> None:
        kind = 'type = "script"'
        for signature, verified in (
            ("", "hash"),
            ('signature-1 { algo = "sha256,rsa2048"; key-name-hint = "dev"; };', "signature"),
        ):
            image, tree = self.fit_script(tmp_path, signature, kind)
            files = {"boot/boot.scr": image, "boot/zImage": zimage(KERNEL)}
            steps = report(tmp_path, self.image(tmp_path, COMMAND, files, tree if signature else b"")).device.boot_chain
            assert stage(steps, "boot script").verified == verified

    def fit_script(self, directory: Path, signature: str, kind: str) -> tuple[bytes, bytes]:
        fit(directory)  # makes key and certificate
        text = (
            '/dts-v1/;/ { description = "s"; #address-cells = <1>; images { default = "boot"; boot { data = /incbin/("boot.cmd");'
        )
        text += f' {kind}; compression = "none"; hash-1 {{ algo = "sha256"; }}; {signature} }}; }}; configurations {{ }}; }};'
        (directory / "boot.cmd").write_text(SCRIPT)
        (directory / "script.its").write_text(text)
        run(directory, "dtc", "-O", "dtb", "-p", "0x1000", "-o", "control.dtb", "control.dts")
        run(directory, "mkimage", "-f", "script.its", "script.itb")
        if signature:
            run(directory, "mkimage", "-F", "-k", ".", "-K", "control.dtb", "-r", "script.itb")
        return (directory / "script.itb").read_bytes(), (directory / "control.dtb").read_bytes()

    def test_a_raspberry_pi_starts_the_kernel_without_looking(self, tmp_path: Path) -> None:
        files = {"boot/config.txt": b"kernel=zImage\n", "boot/start4.elf": b"x", "boot/zImage": zimage(KERNEL)}
        kernel = stage(report(tmp_path, root(tmp_path, files)).device.boot_chain, "kernel")
        assert (kernel.verified, kernel.checked_by) == ("none", "start.elf of the Raspberry Pi")
