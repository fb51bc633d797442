"""The links of the boot chain on flash images made with the tools that vendors use: mkimage, dtc, mkenvimage, veritysetup."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.flash_images import (
    ENVIRONMENT,
    KERNEL,
    UNSIGNED_LOADER,
    chain,
    fit,
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
