"""Boot loader variables that fetch software and write it: what is an update path, in which steps, with which check."""

import time

import pytest
from support.trees import firmware_of

from fwcheck.device import _update_loaders
from fwcheck.device._update_loaders import loader_paths
from fwcheck.device.booting.context import Environment
from fwcheck.model import Node, NodeKind

HERE = Node(chain=("flash.bin", "uboot-env@0x40000"), path="environment", kind=NodeKind.REGION)


def paths(monkeypatch, **values):
    environment = Environment(values, HERE, True)
    monkeypatch.setattr(_update_loaders, "Context", lambda _firmware: type("Held", (), {"environment": environment}))
    return list(loader_paths(firmware_of({"/x": "y"})))


UPDATES = {
    "nor": ("tftp 0x80060000 uboot.bin; erase 0x9f000000 +0x20000; cp.b 0x80060000 0x9f000000 $filesize", "network", "none"),
    "spi": ("tftpboot ${loadaddr} fw.bin && sf probe 0 && sf update ${loadaddr} 0 ${filesize}; reset", "network", "none"),
    "nand by serial line": ("loady 0x82000000; nand erase.part fw; nand write 0x82000000 fw ${filesize}", "serial line", "none"),
    "mmc by stick": ("usb start; fatload usb 0:1 0x82000000 fw.img; mmc write 0x82000000 0 0x8000", "removable medium", "none"),
    "old names": ("tftp $(loadaddr) fw.bin; ubi write $(loadaddr) rootfs $(filesize)", "network", "none"),
    "checked": (
        "dhcp ${loadaddr} fw.bin; if iminfo ${loadaddr}; then nand write ${loadaddr} fw ${filesize}; fi",
        "network",
        "checksum",
    ),
    "checked, never asked": (
        "dhcp ${loadaddr} fw.bin; iminfo ${loadaddr}; nand write ${loadaddr} fw ${filesize}",
        "network",
        "none",
    ),
    "by the ROM": ("tftp 0x1 fw; hab_auth_img 0x1 0x2 0x3 && mmc write 0x1 0 0x8000", "network", "unknown"),
}


@pytest.mark.parametrize(("command", "source", "verified"), UPDATES.values(), ids=UPDATES)
def test_what_fetches_and_writes_is_an_update_path(monkeypatch, command, source, verified):
    (found,) = paths(monkeypatch, bootdelay="3", update=command)
    assert (found.source, found.verified, found.mechanism) == (f"boot loader ({source})", verified, "run update")
    actions = [step.action for step in found.steps]
    assert actions[0] in ("fetch", "receive")
    assert "write" in actions
    assert found.evidence[0].location.line == 2


NO_UPDATES = {
    "boots only": "tftp 0x82000000 uImage; bootm 0x82000000",
    "reads flash": "nand read 0x82000000 kernel; bootm 0x82000000",
    "writes what lies there": "nand write 0x82000000 kernel 0x100000",
    "writes before it fetches": "nand write 0x82000000 kernel 0x100000; tftp 0x82000000 x",
    "copies to memory": "tftp 0x80060000 x; cp.b 0x80060000 0x81000000 $filesize",
    "a path": "/bin/update",
}


@pytest.mark.parametrize("command", NO_UPDATES.values(), ids=NO_UPDATES)
def test_other_commands_are_none(monkeypatch, command):
    assert paths(monkeypatch, update=command) == []


def test_variables_that_run_others_are_told_once(monkeypatch):
    (found,) = paths(
        monkeypatch, get="tftp 0x82000000 fw.bin", put="nand write 0x82000000 fw 0x100000", update="run get && run put; reset"
    )
    assert found.mechanism == "run update"
    assert [step.action for step in found.steps] == ["fetch", "write", "restart"]
    assert [step.evidence.location.line for step in found.steps] == [1, 2, 3]
    (inner,) = paths(monkeypatch, one="tftp 1 x; nand write 1 fw 2", two="run one")
    assert inner.mechanism == "run two"


def test_an_image_without_a_boot_loader_has_none():
    assert list(loader_paths(firmware_of({"/x": "y"}))) == []


@pytest.mark.parametrize(
    "values",
    [
        {"a": "run b", "b": "run a; tftp 1 x; nand write 1 2 3"},
        {"a": "tftp 1 x; " * 20_000 + "nand write 1 2 3"},
        {"a": "if " * 5000},
        {f"v{number}": "run " + " ".join(f"v{other}" for other in range(40)) for number in range(400)},
    ],
    ids=("cycle", "long", "broken", "many"),
)
def test_hostile_environments_end(monkeypatch, values):
    begun = time.process_time()
    paths(monkeypatch, **values)
    assert time.process_time() - begun < 6
