"""The links of the boot chain on flash images made with the tools that vendors use: mkimage, dtc, mkenvimage, veritysetup."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import time
import zlib
from pathlib import Path

import pytest
from device.test_signatures import cpio
from support.flash_images import (
    ENVIRONMENT,
    KERNEL,
    UNSIGNED_LOADER,
    chain,
    fit,
    ikconfig,
    layout,
    legacy,
    needs_tools,
    root,
    run,
    stage,
    stored,
    uboot,
)

pytestmark = needs_tools


# --------------------------------------------------------------------------- FIT


class TestFit:
    def test_a_demanded_key_that_fits_verifies_the_kernel(self, tmp_path: Path) -> None:
        image, tree = fit(tmp_path)
        steps = chain(tmp_path, layout(uboot(), tree, stored(tmp_path, ENVIRONMENT), image, root(tmp_path)))
        assert [step.stage for step in steps] == ["boot loader", "kernel", "root file system"]
        kernel = stage(steps, "kernel")
        assert (kernel.verified, kernel.checked_by[:6]) == ("signature", "U-Boot")
        assert "demands" in kernel.reason
        assert "bootm 0x82000000 after sf read" in steps[0].starts

    @pytest.mark.parametrize(
        ("what", "reason"),
        [
            ("verify", "verify=n"),
            ("code", "no sign of CONFIG_FIT_SIGNATURE"),
            ("unsigned", "would be refused"),
            ("changed", "would be refused"),
            ("optional", "does not say that its key is required"),
            ("keyless", "no loader of the image demands"),
            ("inside", "no loader of the image demands"),
            ("far", "no loader of the image demands"),
        ],
    )
    def test_whatever_breaks_the_demand_leaves_it_unknown(self, what: str, reason: str, tmp_path: Path) -> None:
        image, tree = fit(tmp_path, required=what != "optional")
        values, loader, rest = dict(ENVIRONMENT), uboot(), b""
        if what == "verify":
            values["verify"] = "no"
        elif what == "code":
            loader = uboot(UNSIGNED_LOADER)
        elif what == "unsigned":
            _, tree = fit(tmp_path)
            image, _ = fit(tmp_path, signature="")
        elif what == "changed":
            at = image.index(KERNEL) + 100
            image = image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]
        elif what == "keyless":
            tree = b""
        elif what == "far":  # U-Boot without a tree of its own beside it
            rest, tree = tree, b""
        elif what == "inside":  # the tree that demands the key belongs to another loader, U-Boot's own demands nothing
            run(tmp_path, "dtc", "-O", "dtb", "-o", "plain.dtb", "control.dts")
            rest, tree = tree, (tmp_path / "plain.dtb").read_bytes()
        kernel = stage(chain(tmp_path, layout(loader, tree, stored(tmp_path, values), image, rest)), "kernel")
        assert (kernel.verified, reason in kernel.reason) == ("unknown", True), kernel.reason

    def test_a_hash_alone_is_a_hash(self, tmp_path: Path) -> None:
        image, _ = fit(tmp_path, signature="")
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), image)), "kernel")
        assert (kernel.verified, "compute it anew" in kernel.reason) == ("hash", True)


# --------------------------------------------------------------------------- legacy images and raw kernels


class TestLegacy:
    def test_a_legacy_image_has_a_checksum(self, tmp_path: Path) -> None:
        steps = chain(tmp_path, layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), legacy(tmp_path)))
        kernel = stage(steps, "kernel")
        assert (kernel.verified, kernel.checked_by) == ("checksum", "U-Boot (bootm)")
        assert "Linux 5.10.110" in kernel.detail
        assert kernel.evidence[1].text.startswith("bootcmd=")
        assert "waits 1 s for a key" in steps[0].reason

    def test_verify_leaves_the_sum_of_the_header(self, tmp_path: Path) -> None:
        values = {**ENVIRONMENT, "verify": "n"}
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path))), "kernel")
        assert "header alone" in kernel.reason

    def test_a_check_of_the_rom_in_front_of_it_is_told(self, tmp_path: Path) -> None:
        values = {
            **ENVIRONMENT,
            "bootcmd": "sf read 0x82000000 0x90000 0x40000; hab_auth_img 0x82000000 0x40000 && bootm 0x82000000",
        }
        kernel = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path))), "kernel")
        assert (kernel.verified, "hab_auth_img" in kernel.reason) == ("unknown", True)


# --------------------------------------------------------------------------- dm-verity


@pytest.mark.skipif(shutil.which("veritysetup") is None, reason="cryptsetup-bin is not installed")
class TestVerity:
    def tree(self, directory: Path) -> tuple[bytes, str]:
        """A root file system with its hash tree behind it, made by veritysetup; and the root hash."""
        raw = root(directory)
        raw += bytes(-len(raw) % 4096)
        (directory / "verity.img").write_bytes(raw + bytes(4096 * 16))
        blocks, offset = len(raw) // 4096, len(raw)
        command = (
            "veritysetup",
            "format",
            f"--data-blocks={blocks}",
            f"--hash-offset={offset}",
            "--salt=5a",
            "verity.img",
            "verity.img",
        )
        said = run(directory, *command)
        return (directory / "verity.img").read_bytes(), re.search(r"Root hash:\s+([0-9a-f]{64})", said)[1]  # type: ignore[index]

    def arguments(self, root_hash: str, more: str = "") -> str:
        table = f"verity 1 /dev/mtdblock3 /dev/mtdblock3 4096 4096 5 6 sha256 {root_hash} 5a{more}"
        return f'console=ttyS0 root=/dev/dm-0 dm-mod.create="vroot,,,ro,0 40 {table}"'

    def test_the_root_hash_of_the_command_line_is_the_one_of_the_tree(self, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments(root_hash)}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, found.checked_by) == ("hash", "kernel (dm-verity)")
        assert "root of the hash tree in the image" in found.reason

    def test_another_root_hash_is_told(self, tmp_path: Path) -> None:
        image, _ = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments("ab" * 32)}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert "no hash tree of the image has this root" in found.reason

    def test_a_root_that_is_mounted_past_the_tree_is_not_verified(self, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments(root_hash).replace("root=/dev/dm-0", "root=/dev/mtdblock3")}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, "mounted past it" in found.reason) == ("unknown", True)

    def test_a_tree_that_nothing_asks_for_verifies_nothing(self, tmp_path: Path) -> None:
        image, _ = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": "console=ttyS0 root=/dev/mtdblock3 rootfstype=squashfs"}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, "nothing in the image asks for it" in found.reason) == ("unknown", True)

    def test_corruption_that_is_ignored_verifies_nothing(self, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        values = {**ENVIRONMENT, "bootargs": self.arguments(root_hash, " 1 ignore_corruption")}
        found = stage(
            chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), legacy(tmp_path), image)), "root file system"
        )
        assert (found.verified, "ignore_corruption" in found.reason) == ("unknown", True)

    @pytest.mark.parametrize(
        ("line", "verified", "reason"),
        [
            (
                "veritysetup open /dev/mtdblock3 vroot /dev/mtdblock3 {root} && mount /dev/mapper/vroot /root",
                "hash",
                "root of the hash",
            ),
            ("veritysetup open /dev/mtdblock3 vroot /dev/mtdblock3 {root} || true", "unknown", "passed over"),
            ("veritysetup open /dev/mtdblock3 vroot /dev/mtdblock3 $(cat /hash)", "unknown", "not followed"),
            ("# veritysetup open /dev/mtdblock3 vroot /dev/mtdblock3 {root}", "unknown", "nothing in the image asks"),
            ("veritysetup format /dev/mtdblock3 /dev/mtdblock4 # {root}", "unknown", "nothing in the image asks"),
        ],
    )
    def test_a_script_of_the_initial_ram_file_system(self, line: str, verified: str, reason: str, tmp_path: Path) -> None:
        image, root_hash = self.tree(tmp_path)
        script = f"#!/bin/sh\nmount -t proc proc /proc\n{line.format(root=root_hash)}\nexec switch_root /root /sbin/init\n"
        members = dict.fromkeys(("bin", "sbin", "etc", "lib", "proc", "dev"), b"")
        members |= {"init": script.encode(), "bin/sh": b"\x7fELF", "sbin/veritysetup": b"\x7fELF"}
        parts = layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), legacy(tmp_path), image)
        steps = chain(tmp_path, {**parts, 0x60000: cpio(members)})
        assert [step.stage for step in steps] == ["boot loader", "kernel", "initramfs", "root file system"]
        found = stage(steps, "root file system")
        assert (found.verified, reason in found.reason) == (verified, True), found.reason


# --------------------------------------------------------------------------- modules


@pytest.mark.parametrize(
    ("options", "arguments", "verified", "reason"),
    [
        (("CONFIG_MODULE_SIG=y", "CONFIG_MODULE_SIG_FORCE=y"), "", "signature", "refuses modules"),
        (("CONFIG_MODULE_SIG=y", "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y"), "", "signature", "locked down"),
        (("CONFIG_MODULE_SIG=y",), " module.sig_enforce=1", "unknown", "word of the command line"),
        (("CONFIG_MODULE_SIG=y",), " module.sig_enforce=0", "unknown", "unsigned modules are loaded"),
        (("CONFIG_MODULE_SIG=y",), "", "unknown", "unsigned modules are loaded"),
        (("CONFIG_IMA_APPRAISE=y",), "", "unknown", "IMA_APPRAISE"),
        (("# CONFIG_MODULE_SIG is not set",), "", "none", "without a check"),
    ],
)
def test_modules_are_verified_as_the_kernel_was_built(
    options: tuple[str, ...], arguments: str, verified: str, reason: str, tmp_path: Path
) -> None:
    kernel = legacy(tmp_path, KERNEL + ikconfig("CONFIG_MODULES=y", *options))
    values = {**ENVIRONMENT, "bootargs": f"console=ttyS0 root=/dev/mtdblock3{arguments}"}
    image = root(tmp_path, {"lib/modules/5.10.110/x.ko": b"\x7fELF" + bytes(60)})
    found = stage(chain(tmp_path, layout(uboot(), b"", stored(tmp_path, values), kernel, image)), "kernel modules")
    assert (found.verified, reason in found.reason) == (verified, True), found.reason


def test_without_a_configuration_nothing_is_said_of_modules(tmp_path: Path) -> None:
    image = root(tmp_path, {"lib/modules/5.10.110/x.ko": b"\x7fELF" + bytes(60)})
    steps = chain(tmp_path, layout(uboot(), b"", stored(tmp_path, ENVIRONMENT), legacy(tmp_path), image))
    assert "kernel modules" not in {step.stage for step in steps}


# --------------------------------------------------------------------------- loaders and hostile images


def test_spl_that_demands_a_key_verifies_the_loader(tmp_path: Path) -> None:
    image, tree = fit(tmp_path, content=uboot(), kind='type = "firmware"; os = "u-boot"')
    steps = chain(tmp_path, {0: tree, 0x90000: image})
    loader = stage(steps, "boot loader")
    assert (loader.detail, loader.verified) == ("U-Boot 2021.07", "signature"), loader.reason
    assert stage(chain(tmp_path, {0x90000: image}), "boot loader").verified == "unknown"
    appended = {0: uboot() + tree, 0x90000: image}  # the demand of a U-Boot proper is for what it starts itself
    assert "signature" not in {step.verified for step in chain(tmp_path, appended)}


def test_redundant_environments_the_newer_one_counts(tmp_path: Path) -> None:
    old = redundant({**ENVIRONMENT, "bootcmd": "bootm 0x1000000"}, 1)
    new = redundant({**ENVIRONMENT, "bootcmd": "tftp 0x2000000 x; bootm 0x2000000"}, 2)
    steps = chain(tmp_path, {0: uboot(), 0x40000: old, 0x50000: new, 0x90000: legacy(tmp_path)})
    assert "tftp 0x2000000 x" in steps[0].starts


def redundant(values: dict[str, str], flag: int) -> bytes:
    text = b"\0".join(f"{name}={value}".encode() for name, value in sorted(values.items())) + b"\0\0"
    body = text.ljust(0x4000 - 5, b"\xff")
    return struct.pack("<IB", zlib.crc32(body), flag) + body


def test_hostile_configurations_and_environments_end_soon(tmp_path: Path) -> None:
    many = ikconfig(*(f"CONFIG_A{number}=y" for number in range(60_000)), "CONFIG_MODULES=y", "x" * 500_000)
    bomb = b"IKCFG_ST" + gzip.compress(b"CONFIG_MMU=y\n" + bytes(40 << 20), mtime=0) + b"IKCFG_ED"
    values = {"bootcmd": "run a;" * 30_000, "a": "run bootcmd;" * 10_000, "bootargs": "dm=" * 50_000 + "verity " * 20_000}
    text = b"\0".join(f"{name}={value}".encode() for name, value in values.items()) + b"\0\0"
    body = text.ljust(0xC0000 - 4, b"\xff")
    environment = struct.pack("<I", zlib.crc32(body)) + body
    parts = {0: uboot(), 0x100000: environment, 0x200000: legacy(tmp_path, KERNEL + many + bomb), 0x600000: root(tmp_path)}
    begin = time.process_time()
    steps = chain(tmp_path, parts)
    assert time.process_time() - begin < 20
    assert {"boot loader", "kernel", "root file system"} <= {step.stage for step in steps}
    assert not {step.verified for step in steps} & {"signature", "none"}
