"""Microcontrollers whose flash is dumped as a whole: a key in the loader's code verifies the application beside it, or does not.

Images are signed by imgtool and espsecure where they are installed; the loaders' code is made up around the key, as each build of
MCUboot (DER) and of ESP-IDF's second stage (bare numbers) holds it.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
import time
import zlib
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.signed import flipped, private_pem, report, rsa_of

from fwcheck.extraction.formats._loader_keys import keys_of_loader
from fwcheck.extraction.source import Memory
from fwcheck.model import BootStep

IMGTOOL = shutil.which("imgtool", path=f"{Path(__import__('sys').executable).parent}:/usr/bin:/usr/local/bin")
SLOT = 0xC000
TEXTS = b"Image in the %s slot is not valid!\0Unable to find bootable image\0"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def code(size: int, base: int) -> bytes:
    """A vector table and Thumb code behind it, without any key."""
    words = [
        0x20010000,
        base + 0x201,
        base + 0x211,
        *[base + 0x221] * 4,
        0,
        0,
        0,
        0,
        base + 0x221,
        base + 0x221,
        0,
        base + 0x221,
        base + 0x221,
    ]
    rest = random.Random(base).choices([b"\x10\xb5", b"\x70\x47", b"\x01\x4b", b"\x18\x68", b"\x10\xbd"], k=size // 2)
    raw = bytearray(struct.pack("<16I", *words).ljust(0x200, b"\0") + b"".join(rest))
    raw[0x220:0x222] = b"\xfe\xe7"
    return bytes(raw[:size])


def der(key: Key) -> bytes:
    """A key as ``imgtool getpub`` writes it into MCUboot's sources."""
    form = PublicFormat.PKCS1 if isinstance(key, rsa.RSAPrivateKey) else PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.DER, form)


def with_texts(raw: bytes, *pieces: tuple[int, bytes]) -> bytes:
    out = bytearray(raw)
    for at, piece in pieces:
        out[at : at + len(piece)] = piece
    return bytes(out)


def mcuboot(key: Key | None, inside: bytes = b"") -> bytes:
    """An image of MCUboot with a signature over its hash by this key (image.h): what imgtool makes, for keys of every kind."""
    payload = with_texts(code(0x1000, SLOT + 0x200), (0x800, inside))
    head = struct.pack("<IIHHIIBBHI", 0x96F3B83D, 0, 0x200, 0, len(payload), 0, 1, 2, 3, 0).ljust(0x200, b"\0")
    digest = hashlib.sha256(head + payload).digest()
    tlvs = struct.pack("<HH", 0x10, 32) + digest
    if key is not None:
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hashed = hashlib.sha256(der(key) if isinstance(key, rsa.RSAPrivateKey) else public).digest()
        if isinstance(key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            kind, signature = 0x20, key.sign(digest, pss, utils.Prehashed(hashes.SHA256()))
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            kind, signature = 0x22, key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        else:
            kind, signature = 0x24, key.sign(digest)
        tlvs += struct.pack("<HH", 0x01, 32) + hashed + struct.pack("<HH", kind, len(signature)) + signature
    return head + payload + struct.pack("<HH", 0x6907, len(tlvs) + 4) + tlvs


def dump(loader: bytes, image: bytes) -> bytes:
    return loader.ljust(SLOT, b"\xff") + image + b"\xff" * 0x2000


def chain(image: bytes, directory: Path) -> tuple[BootStep, ...]:
    return report(image, directory).device.boot_chain


def application(image: bytes, directory: Path) -> BootStep:
    return next(step for step in chain(image, directory) if step.stage == "application")


KEYS: dict[str, Key] = {
    "RSA-2048": rsa_of(2048),
    "ECDSA P-256": ec.derive_private_key(0x1234567, ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(b"\x11" * 32),
}
OTHER = ec.derive_private_key(0x7654321, ec.SECP256R1())


class TestMcuboot:
    @pytest.mark.parametrize("kind", KEYS)
    def test_the_key_in_the_loader_verifies_the_application(self, kind: str, tmp_path: Path) -> None:
        loader = with_texts(code(0x5000, 0), (0x3000, TEXTS), (0x4003, der(KEYS[kind])))
        steps = chain(dump(loader, mcuboot(KEYS[kind])), tmp_path)
        assert [step.stage for step in steps] == ["boot loader", "application"]
        assert (steps[0].detail, steps[0].verified) == ("MCUboot", "unknown")
        assert (steps[1].verified, steps[1].checked_by) == ("signature", "MCUboot")
        assert steps[1].evidence[1].location.offset == 0x4003

    @pytest.mark.parametrize(
        ("held", "signed", "verified", "reason"),
        [
            (OTHER, "ECDSA P-256", "unknown", "would refuse"),
            (None, "ECDSA P-256", "unknown", "decide"),
            (OTHER, "", "unknown", "would refuse"),
            (None, "", "hash", "no signature"),
        ],
    )
    def test_without_the_fitting_key_nothing_is_proven(
        self, held: Key | None, signed: str, verified: str, reason: str, tmp_path: Path
    ) -> None:
        loader = with_texts(code(0x5000, 0), (0x3000, TEXTS), *([(0x4000, der(held))] if held is not None else []))
        step = application(dump(loader, mcuboot(KEYS.get(signed))), tmp_path)
        assert (step.verified, reason in step.reason) == (verified, True), step.reason

    def test_a_changed_byte_is_not_verified(self, tmp_path: Path) -> None:
        loader = with_texts(code(0x5000, 0), (0x4000, der(OTHER)))
        image = flipped(mcuboot(OTHER), 0x300)
        step = application(dump(loader, image), tmp_path)
        assert step.verified == "unknown"

    def test_a_key_inside_the_application_is_none_of_the_loader(self, tmp_path: Path) -> None:
        step = application(dump(code(0x5000, 0), mcuboot(OTHER, der(OTHER))), tmp_path)
        assert step.verified == "unknown"

    @pytest.mark.skipif(IMGTOOL is None, reason="imgtool is not installed")
    @pytest.mark.parametrize("kind", KEYS)
    def test_an_image_by_imgtool(self, kind: str, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_bytes(private_pem(KEYS[kind]))
        (tmp_path / "app.bin").write_bytes(code(0x1000, SLOT + 0x200))
        command = [
            *(str(IMGTOOL), "sign", "-k", "key.pem", "--align", "4", "-v", "1.2.3", "-H", "0x200", "--pad-header"),
            *("-S", "0x20000", "app.bin", "out.bin"),
        ]
        subprocess.run(command, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
        image = (tmp_path / "out.bin").read_bytes()
        loader = with_texts(code(0x5000, 0), (0x4001, der(KEYS[kind])))
        assert application(dump(loader, image), tmp_path).verified == "signature"
        assert application(dump(loader, flipped(image, 0x400)), tmp_path).verified == "unknown"


def esp(segments: list[tuple[int, bytes]]) -> bytes:
    """An ESP32 image with its hash, as esptool writes it."""
    out = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, 0x40081234) + struct.pack("<B3xHBHH4xB", 0xEE, 0, 0, 0, 0, 1)
    for address, data in segments:
        out += struct.pack("<II", address, len(data)) + data
    out += bytes(15 - len(out) % 16)
    out += bytes([reduce(xor, b"".join(data for _, data in segments), 0xEF)])
    return out + hashlib.sha256(out).digest()


def esp_application() -> bytes:
    texts = [b"1.2.3", b"sensor", b"12:00:00", b"Jan  1 2026", b"v4.4.7"]
    fields = b"".join(text.ljust(size, b"\0") for text, size in zip(texts, (32, 32, 16, 16, 32), strict=True))
    return esp([(0x3F400020, (struct.pack("<II8x", 0xABCD5432, 0) + fields + b"\x11" * 32).ljust(2048, b"\x5a"))])


def v1_signed(image: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    r, s = utils.decode_dss_signature(key.sign(image, ec.ECDSA(hashes.SHA256())))
    return image + bytes(4) + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def bare(key: ec.EllipticCurvePrivateKey, order: str) -> bytes:
    numbers = key.public_key().public_numbers()
    return b"".join(each.to_bytes(32, order) for each in (numbers.x, numbers.y))  # type: ignore[arg-type]


def esp_flash(held: ec.EllipticCurvePrivateKey | None, application: bytes) -> bytes:
    """Second stage at 0x1000, application at 0x10000."""
    words = code(0x1000, 0x100) + (bare(held, "big") if held is not None else b"") + code(0x400, 0x200)
    return (b"\xff" * 0x1000 + esp([(0x3FFF0018, words)])).ljust(0x10000, b"\xff") + application


class TestEspSecureBootV1:
    @pytest.mark.parametrize(
        ("held", "verified", "reason"),
        [(OTHER, "signature", "verifies"), (KEYS["ECDSA P-256"], "unknown", "would refuse"), (None, "unknown", "boot loader")],
    )
    def test_the_key_in_the_second_stage_verifies_the_application(
        self, held: ec.EllipticCurvePrivateKey | None, verified: str, reason: str, tmp_path: Path
    ) -> None:
        steps = chain(esp_flash(held, v1_signed(esp_application(), OTHER)), tmp_path)
        assert [step.stage for step in steps] == ["boot ROM", "boot loader", "application"]
        assert (steps[2].verified, reason in steps[2].reason) == (verified, True), steps[2].reason
        assert steps[1].verified == "hash"  # that the ROM looks at more is decided by fuses

    def test_a_signature_of_another_image_is_none(self, tmp_path: Path) -> None:
        signed = v1_signed(esp_application(), OTHER)
        image = signed[:-68] + v1_signed(esp_application() + b"\0", OTHER)[-68:]
        assert application(esp_flash(OTHER, image), tmp_path).verified == "unknown"


def nordic(kind: int, key: ec.EllipticCurvePrivateKey | None, *, version: int = 2) -> dict[int, bytes]:
    """Memory of an nRF52840: application behind the boot record, boot loader, settings page, UICR (as nrfutil writes them)."""
    application = code(0x2000, 0x1000)
    loader = with_texts(code(0x4000, 0xF8000), (0x2000, b"nrf_dfu_validation\0nrf_dfu_req_handler\0"))
    loader = with_texts(loader, (0x3000, bare(key, "little"))) if key is not None else loader
    numbers = utils.decode_dss_signature(OTHER.sign(application, ec.ECDSA(hashes.SHA256())))
    value = {
        0: b"", 1: struct.pack("<I", zlib.crc32(application)), 2: hashlib.sha256(application).digest()[::-1],
        3: b"".join(each.to_bytes(32, "little") for each in numbers),
    }[kind]  # fmt: skip
    checks = bytes(65) + bytes([kind]) + value.ljust(64, b"\0") + bytes(65)
    settings = struct.pack("<13I", version, 1, 1, 0, 0, len(application), zlib.crc32(application), 1, 0, 0, 0, 0, 0).ljust(
        0x58, b"\0"
    )
    page = struct.pack("<I", zlib.crc32(settings)) + settings + bytes(512) + struct.pack("<I", zlib.crc32(checks)) + checks
    return {
        0: code(0xB00, 0),
        0x1000: application,
        0xF8000: loader,
        0xFF000: page,
        0x10001014: struct.pack("<II", 0xF8000, 0xFE000),
    }


def hexadecimal(memory: dict[int, bytes]) -> bytes:
    lines = []

    def record(kind: int, address: int, data: bytes) -> None:
        raw = struct.pack(">BHB", len(data), address, kind) + data
        lines.append(f":{raw.hex()}{-sum(raw) & 0xFF:02x}".upper())

    for begin, content in memory.items():
        for at in range(0, len(content), 16):
            if at == 0 or (begin + at) % 0x10000 == 0:
                record(4, 0, struct.pack(">H", (begin + at) >> 16))
            record(0, (begin + at) & 0xFFFF, content[at : at + 16])
    record(1, 0, b"")
    return "\n".join([*lines, ""]).encode()


class TestNordic:
    @pytest.mark.parametrize(
        ("kind", "held", "verified", "reason"),
        [
            (3, OTHER, "signature", "built into the boot loader"),
            (3, KEYS["ECDSA P-256"], "unknown", "no public key"),
            (3, None, "unknown", "no public key"),
            (2, OTHER, "hash", "SHA-256"),
            (1, OTHER, "checksum", "CRC32"),
            (0, OTHER, "none", "no check"),
        ],
    )
    def test_the_settings_page_tells_the_check_at_each_start(
        self, kind: int, held: ec.EllipticCurvePrivateKey | None, verified: str, reason: str, tmp_path: Path
    ) -> None:
        loader, found = chain(hexadecimal(nordic(kind, held)), tmp_path)
        assert (loader.stage, loader.detail) == ("boot loader", "boot loader of the nRF5 SDK at 0x000f8000")
        assert loader.evidence[0].text == "UICR.NRFFW[0] is 0x000f8000"
        assert (found.stage, found.verified, reason in found.reason) == ("application", verified, True), found.reason

    def test_a_dump_without_addresses_is_read_the_same(self, tmp_path: Path) -> None:
        memory = nordic(3, OTHER)
        flash = bytearray(b"\xff" * 0x100000)
        for at, content in memory.items():
            if at < len(flash):
                flash[at : at + len(content)] = content
        assert application(bytes(flash), tmp_path).verified == "signature"

    @pytest.mark.parametrize(("at", "what"), [(0x1100, "application"), (0xFF2A5, "signature"), (0xFF018, "settings")])
    def test_a_changed_byte_proves_nothing(self, at: int, what: str, tmp_path: Path) -> None:
        memory = nordic(3, OTHER)
        begin = max(each for each in memory if each <= at)
        memory[begin] = flipped(memory[begin], at - begin)
        assert "signature" not in [step.verified for step in chain(hexadecimal(memory), tmp_path)], what


class TestKeysInCode:
    @pytest.mark.parametrize("order", ["little", "big"])
    def test_a_bare_point_is_found_at_aligned_places(self, order: str) -> None:
        raw = with_texts(code(0x2000, 0), (0x1004, bare(OTHER, order)))
        found = keys_of_loader(Memory(raw), 0, len(raw))
        assert found.keys == (der(OTHER),)
        assert found.places == (0x1004,)

    def test_the_generator_of_the_curve_is_no_key(self) -> None:
        one = ec.derive_private_key(1, ec.SECP256R1())
        raw = with_texts(code(0x2000, 0), (0x800, bare(one, "big")), (0x900, bare(one, "little")))
        assert keys_of_loader(Memory(raw), 0, len(raw)).keys == ()

    @pytest.mark.parametrize("kind", KEYS)
    def test_a_key_that_is_cut_off_or_broken_is_none(self, kind: str) -> None:
        held = der(KEYS[kind])
        for piece in (held[:-1], held[:10] + bytes(len(held) - 10)):
            raw = code(0x1000 - len(piece), 0) + piece
            assert keys_of_loader(Memory(raw), 0, len(raw)).keys == ()

    def test_code_that_is_all_headers_of_keys_takes_no_time(self) -> None:
        begin = time.process_time()
        raw = b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00\x80" * 26000
        assert len(keys_of_loader(Memory(raw), 0, len(raw)).keys) <= 8
        raw = bare(OTHER, "big") * 1500
        assert keys_of_loader(Memory(raw), 0, len(raw)).keys == (der(OTHER),)
        assert time.process_time() - begin < 2
