"""Update paths of microcontrollers: what the code says of how new software comes, what checks it, and what writes it.

Nothing here says that a way is used: the code for it is linked in. A signature is said to be verified only where the text that a
build with the check alone holds stands in the same program that writes (ESP-IDF's esp_image_format.c, as ``esp_ota_end`` calls
it). MCUboot and the boot loader of the nRF5 SDK check behind the application's back: what they demand is not in it.
Sources: ESP-IDF app_update and esp_https_ota, Arduino cores' Update and Updater, Zephyr subsys/dfu, nRF5 SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from fwcheck.device._microcontroller_code import Said, is_microcontroller, said, slots_of
from fwcheck.device.firmware import Firmware
from fwcheck.model import Node, NodeKind, UpdatePath, UpdateStep

Verified = Literal["signature", "hash", "checksum", "none", "unknown"]
Transport = Literal["authenticated", "unchecked", "plain", "none", "unknown"]
_LOCAL = frozenset({"Bluetooth LE", "Zigbee OTA", "serial line", "USB", "Matter"})  # not over an IP network in clear
_SIGNED = "mcu-check-esp-signature"
_HASHED = "mcu-check-esp-hash"
_MOST = 24


class _Check(NamedTuple):
    verified: Verified
    detail: str
    steps: tuple[UpdateStep, ...] = ()


def microcontroller_paths(firmware: Firmware) -> Iterator[UpdatePath]:
    """One path for each way in and each program that writes; nothing for other images."""
    if not is_microcontroller(firmware):
        return
    told = said(firmware)
    slots, rollback = _slots(firmware), _rollback(firmware, told)
    writers = [each for rule, held in told.items() if rule.startswith("mcu-write-") for each in _once_per_program(held)]
    ways = [
        way
        for rule, held in told.items()
        if rule.startswith("mcu-fetch-") and "source" in held[0].hit.meta
        for way in _once_per_program(held)
    ]
    pairs: list[tuple[Said | None, Said | None]] = [(way, _writer_of(way, writers)) for way in ways]
    pairs += [(None, writer) for writer in writers if not any(writer is taken for _, taken in pairs)]
    for way, writer in pairs[:_MOST]:
        yield _path(firmware, told, way, writer, slots, rollback)


def _once_per_program(held: Sequence[Said]) -> list[Said]:
    return list({_program(each.node): each for each in reversed(held)}.values())


def _program(node: Node) -> tuple[str, ...]:
    """The container whose segments make one program."""
    return node.chain


def _writer_of(way: Said, writers: Sequence[Said]) -> Said | None:
    """What writes in the same program; the first of the image when that has none (libraries in a segment of their own)."""
    if "sink" in way.hit.meta:
        return None
    return next((each for each in writers if _program(each.node) == _program(way.node)), writers[0] if writers else None)


def _path(
    firmware: Firmware, told: Mapping[str, Sequence[Said]], way: Said | None, writer: Said | None, slots: str,
    rollback: Literal["protected", "unprotected", "unknown"],
) -> UpdatePath:  # fmt: skip
    sink = writer.hit.meta["says"] if writer is not None else way.hit.meta.get("sink", "flash") if way is not None else "flash"
    check = _check(firmware, told, writer)
    transport = _transport(told, way)
    steps: list[UpdateStep] = []
    if way is not None:
        over = {"authenticated": ", the server is verified", "plain": ", without TLS", "unchecked": ", TLS or not"}.get(
            transport, ""
        )
        local = way.hit.meta["source"] in _LOCAL | {"web upload", "network push"}
        action: Literal["receive", "fetch"] = "receive" if local else "fetch"
        steps.append(UpdateStep(action=action, what=f"{way.hit.meta['says']}{over}", evidence=way.evidence))
    steps += check.steps
    if writer is not None:
        steps.append(UpdateStep(action="write", what=writer.hit.meta["says"], evidence=writer.evidence))
        if slots == "A/B":
            steps.append(UpdateStep(action="set", what="the other slot is made the one that boots"))
    elif way is not None and "sink" in way.hit.meta:
        steps.append(UpdateStep(action="write", what=f"the {way.hit.meta['sink']} writes its own software"))
    proof = [each.evidence for each in (way, writer) if each is not None]
    return UpdatePath(
        source=way.hit.meta["source"] if way is not None else "update over the air",
        sink=sink,
        verified=check.verified,
        mechanism=way.hit.meta["says"] if way is not None else sink,
        detail=check.detail,
        steps=tuple(steps),
        transport=transport,
        rollback=rollback,
        slots=slots if writer is not None else "",
        evidence=tuple(proof),
    )


def _check(firmware: Firmware, told: Mapping[str, Sequence[Said]], writer: Said | None) -> _Check:
    """What is looked at before the new software is accepted, by what writes it."""
    family = writer.hit.meta.get("sink", "") if writer is not None else ""
    if writer is None:
        return _Check("unknown", "what checks it is not in this image")
    if family in ("esp-idf", "arduino-esp32"):
        return _esp_idf(told, writer)
    if family == "arduino-esp8266":
        return _esp8266(firmware, writer)
    if family == "mcuboot":
        return _mcuboot(firmware)
    if family == "nordic-dfu":
        return _Check("unknown", "this boot loader can verify signatures; whether it demands one of applications is not told")
    return _Check("unknown", "the code does not tell what it checks")


def _esp_idf(told: Mapping[str, Sequence[Said]], writer: Said) -> _Check:
    signed, hashed = (
        next((each for each in told.get(rule, ()) if _program(each.node) == _program(writer.node)), None)
        for rule in (_SIGNED, _HASHED)
    )
    if signed is not None:
        step = UpdateStep(
            action="verify", what="signature of the image (esp_image_verify)", check="signature", honoured="yes",
            evidence=signed.evidence,
        )  # fmt: skip
        return _Check("signature", "the image's signature is verified before the slot is set", (step,))
    if hashed is not None:
        step = UpdateStep(
            action="compare", what="checksum byte and the SHA-256 that the image brings (esp_image_verify)", check="hash",
            honoured="yes", evidence=hashed.evidence,
        )  # fmt: skip
        return _Check(
            "hash", "checked by the hash that the image brings itself; the check of signatures is not built in", (step,)
        )
    return _Check("unknown", "what is checked cannot be seen: the texts of the check are not in the program")


def _esp8266(firmware: Firmware, writer: Said) -> _Check:
    """The Updater compares an MD5 sum if it is given one; a build with a key to verify with has that key in it."""
    for node, facts in firmware.contents():
        if _program(node) == _program(writer.node) and any(not key.private for key in facts.keys):
            return _Check("unknown", "a public key is in the program: it may be the one that updates are verified with")
    step = UpdateStep(action="compare", what="MD5 sum, where the sender gives one", check="checksum", evidence=writer.evidence)
    return _Check(
        "checksum", "an MD5 sum is compared where the sender gives one; no key to verify with is in the program", (step,)
    )


def _mcuboot(firmware: Firmware) -> _Check:
    images = firmware.containers("mcuboot")
    if images and not any(node.detail.get("integrity") == "signature" for node in images):
        step = UpdateStep(action="compare", what="SHA-256 that the image brings (MCUboot)", check="hash", honoured="yes")
        return _Check("hash", "this image has no signature, so that its boot loader cannot demand one", (step,))
    return _Check("unknown", "MCUboot decides: whether it was built with a key is not in the application")


def _transport(told: Mapping[str, Sequence[Said]], way: Said | None) -> Transport:
    if way is None:
        return "unknown"
    if way.hit.meta["source"] in _LOCAL:
        return "none"
    if way.hit.rule == "mcu-fetch-https-ota":
        if "mcu-verify-ota-waived" in told:
            return "unchecked"
        return "authenticated" if "mcu-verify-ota-demanded" in told else "unknown"
    return "unknown"


def _slots(firmware: Firmware) -> str:
    for node in firmware.containers("esp-partition-table"):
        count, overlap = slots_of(str(node.detail.get("table", "")))
        return "" if overlap else "A/B" if count > 1 else "single"
    return ""


def _rollback(firmware: Firmware, told: Mapping[str, Sequence[Said]]) -> Literal["protected", "unprotected", "unknown"]:
    counted = any(
        "counter" in str(node.detail.get("tlvs", "")).lower() or bool(node.detail.get("secure_version"))
        for node in firmware.nodes
        if node.kind is NodeKind.CONTAINER
    )
    return "protected" if counted or {"mcu-check-anti-rollback", "mcu-check-mcuboot-downgrade"} & set(told) else "unknown"
