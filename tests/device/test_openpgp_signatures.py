"""OpenPGP signatures made by gpg and debsigs' layout: feeds, files beside their signature, packages; and hostile packets."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from extraction.formats import test_rpm
from support.trees import firmware_of

from fwcheck.device import update_keys
from fwcheck.device.signatures import image_signatures
from fwcheck.extraction.formats import _openpgp_packets as pgp
from fwcheck.extraction.formats.deb import FORMATS as DEB
from fwcheck.extraction.formats.rpm import FORMATS as RPM
from fwcheck.extraction.signed_files import signatures
from fwcheck.extraction.source import Memory
from fwcheck.inspection import pgp_keys
from fwcheck.model import ImageSignature, Node, NodeKind

GPG, AGENT = shutil.which("gpg"), shutil.which("gpgconf")
pytestmark = pytest.mark.skipif(GPG is None or AGENT is None, reason="gpg is not installed")
KINDS = {"rsa2048": "RSA-2048", "ed25519": "Ed25519", "nistp256": "ECDSA P-256"}
RELEASE = "Origin: Feed \nSuite: stable\t\n\n- dashed\nSHA256:\n abc 10 Packages\n"


class Ring:
    """A keyring with one key of each kind, each with a subkey that signs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.chmod(0o700)
        for kind in KINDS:
            self.run("--quick-gen-key", f"{kind} <{kind}@example.org>", kind, "sign", "never")

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        command = [
            str(GPG),
            "--homedir",
            str(self.home),
            "--batch",
            "--yes",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        return subprocess.run([*command, *arguments], input=data, check=True, capture_output=True).stdout

    def sign(self, kind: str, data: bytes, *how: str) -> bytes:
        return self.run("-u", f"{kind}@example.org", *how, data=data)

    def export(self, kind: str, *how: str) -> bytes:
        return self.run(*how, "--export", f"{kind}@example.org")


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    home = tmp_path_factory.mktemp("g")
    yield Ring(home)
    subprocess.run([str(AGENT), "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def told(files: dict[str, bytes | str]) -> ImageSignature:
    found = image_signatures(with_signatures(files))
    assert len(found) == 1, found
    return found[0]


def with_signatures(files: dict[str, bytes | str]):  # type: ignore[no-untyped-def]
    """A firmware whose files carry their signatures as extraction finds them."""
    firmware = firmware_of(files)
    for fs in firmware.filesystems:
        for path, node in list(fs.nodes.items()):
            content = files.get(path)
            content = content.encode() if isinstance(content, str) else content
            if isinstance(content, bytes) and node.kind is NodeKind.FILE and (held := signatures(memoryview(content), path)):
                fs.nodes[path] = Node(
                    chain=node.chain, path=path, kind=node.kind, size=node.size, sha256=node.sha256, signatures=held
                )
        firmware.nodes = [fs.nodes.get(node.path, node) if node.chain == fs.chain else node for node in firmware.nodes]
    return firmware


@pytest.mark.parametrize("kind", KINDS)
class TestFeeds:
    def test_a_clear_signed_release_by_a_keyring_in_the_image(self, kind: str, ring: Ring) -> None:
        text = ring.sign(kind, RELEASE.encode(), "--clearsign")
        found = told({"/var/lib/feed_InRelease": text, "/etc/apt/trusted.gpg.d/feed.gpg": ring.export(kind)})
        assert (found.state, found.algorithm, found.scheme) == ("valid", KINDS[kind], "OpenPGP")
        assert "/etc/apt/trusted.gpg.d/feed.gpg" in found.reason

    def test_a_changed_text_is_told(self, kind: str, ring: Ring) -> None:
        text = ring.sign(kind, RELEASE.encode(), "--clearsign").replace(b"abc 10", b"abd 10")
        found = told({"/var/lib/feed_InRelease": text, "/etc/apt/trusted.gpg.d/feed.gpg": ring.export(kind)})
        assert found.state == "invalid"

    def test_another_key_does_not_fit(self, kind: str, ring: Ring) -> None:
        other = next(each for each in KINDS if each != kind)
        text = ring.sign(kind, RELEASE.encode(), "--clearsign")
        found = told({"/x/InRelease": text, "/etc/apt/trusted.gpg.d/feed.asc": ring.export(other, "--armor")})
        assert (found.state, found.key[:4]) == ("unverified", "key ")

    @pytest.mark.parametrize(
        "how", [("--armor", "--detach-sign"), ("--detach-sign",), ("--armor", "--textmode", "--detach-sign")]
    )
    def test_a_signature_beside_its_file(self, kind: str, how: tuple[str, ...], ring: Ring) -> None:
        raw = ring.sign(kind, RELEASE.encode(), *how)
        files: dict[str, bytes | str] = {
            "/x/Release": RELEASE,
            "/x/Release.gpg": raw,
            "/usr/share/keyrings/a.asc": ring.export(kind, "--armor"),
        }
        assert told(files).state == "valid"
        assert told({**files, "/x/Release": RELEASE + "x"}).state == "invalid"

    def test_a_keyring_given_by_the_user(self, kind: str, ring: Ring) -> None:
        text = ring.sign(kind, RELEASE.encode(), "--clearsign")
        for exported in (ring.export(kind), ring.export(kind, "--armor")):
            keys = update_keys.parse(exported, "--update-key feed.gpg", pgp_keys.keys_of)
            assert image_signatures(with_signatures({"/x/InRelease": text}), keys)[0].state == "valid"


def archive(**members: bytes) -> bytes:
    out = b"!<arch>\n"
    for name, content in members.items():
        named = {"debian": "debian-binary", "control": "control.tar", "data": "data.tar"}.get(name, name)
        out += f"{named:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_package_signed_by_debsigs(ring: Ring) -> None:
    members = {"debian": b"2.0\n", "control": tar_of(control=b"Package: x\nVersion: 1\n"), "data": tar_of(x=b"content")}
    raw = archive(**members, _gpgorigin=ring.sign("ed25519", b"".join(members.values()), "--detach-sign"))
    (block,) = DEB[0].open(Memory(raw), 0).signatures
    assert (block.intact, block.scheme, block.role) == (True, "debsigs", "content")
    (key,) = update_keys.parse(ring.export("ed25519"), "x", pgp_keys.keys_of)
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    load_der_public_key(key.der).verify(block.signature, block.digest)  # type: ignore[union-attr, call-arg]
    changed = raw.replace(b"content", b"contenT")
    assert DEB[0].open(Memory(changed), 0).signatures[0].intact is False


def test_a_keyring_of_many_keys_is_read_to_its_end(ring: Ring) -> None:
    whole = b"".join(ring.export(kind) for kind in KINDS)
    assert len(pgp_keys.keys_of(whole)) == 3
    firmware = firmware_of({"/usr/share/keyrings/all.gpg": whole})
    keys = [key for _, facts in firmware.contents() for key in facts.keys]
    assert sorted(key.algorithm for key in keys) == ["EC", "Ed25519", "RSA"]
    assert not any(key.private for key in keys)


class TestHostile:
    def test_mutated_packets_end_and_never_raise(self, ring: Ring) -> None:
        seeds = [
            ring.sign("rsa2048", b"x", "--detach-sign"),
            ring.export("nistp256"),
            ring.export("rsa2048"),
            ring.export("ed25519"),
        ]
        choose = random.Random(7)
        begin = time.process_time()
        for _ in range(3000):
            raw = bytearray(choose.choice(seeds))
            for _ in range(choose.randint(1, 6)):
                raw[choose.randrange(min(len(raw), 60))] = choose.randrange(256)
            cut = bytes(raw[: choose.randrange(1, len(raw) + 1)])
            pgp.beside(pgp.signatures(cut))
            pgp_keys.keys_of(cut)
        assert time.process_time() - begin < 10

    @pytest.mark.parametrize(
        "text",
        [
            "-----BEGIN PGP SIGNED MESSAGE-----\n" + "Hash: x\n" * 20000,
            "-----BEGIN PGP SIGNED MESSAGE-----\n\n" + "- " * 100_000,
            "-----BEGIN PGP SIGNATURE-----\n" + "A: \n" * 50_000,
            "-----BEGIN PGP SIGNATURE-----\n\n" + "A" * 500_000,
            "-----BEGIN PGP SIGNED MESSAGE-----\n" + " " * 500_000,
        ],
    )
    def test_texts_without_an_end_cost_little(self, text: str) -> None:
        begin = time.process_time()
        assert pgp.clear_text(text) is None
        assert pgp.dearmoured(text) == b""
        assert time.process_time() - begin < 1

    def test_a_message_of_signatures_alone_is_bounded(self, ring: Ring) -> None:
        one = ring.sign("ed25519", b"x", "--detach-sign")
        assert len(pgp.signatures(one * 5000)) == 16


def test_an_rpm_package_by_the_signature_over_its_header(ring: Ring) -> None:
    plain = test_rpm.rpm()
    begin = plain.rindex(b"\x8e\xad\xe8\x01")
    main = plain[begin : plain.index(test_rpm.PAYLOAD)]
    for kind, tag in (("rsa2048", 268), ("ed25519", 267)):
        signature = ring.sign(kind, main, "--detach-sign")
        store = test_rpm.header([(1000, test_rpm.INT32, len(main) + len(test_rpm.PAYLOAD)), (tag, test_rpm.BINARY, signature)])
        raw = plain[:96] + store + bytes(-len(store) % 8) + main + test_rpm.PAYLOAD
        (block,) = RPM[0].open(Memory(raw), 0).signatures
        assert (block.intact, block.role, block.covers[:6]) == (True, "content", "header")
        assert RPM[0].open(Memory(raw.replace(b"hello\0", b"hellO\0")), 0).signatures[0].intact is False
