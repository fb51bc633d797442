"""Functions that compute digests, compare them, and verify signatures."""

from __future__ import annotations

import re

from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.updating import form
from fwcheck.device.updating.commands import (
    Check,
    Digest,
    Kind,
)
from fwcheck.device.updating.meanings.invocation import Invocation, event
from fwcheck.device.updating.state import ANY, NETWORK, State, Value, replace
from fwcheck.device.updating.values import (
    Pair,
    Pairs,
    key_of,
    object_of,
)

_BESIDE = re.compile(r"(?i)\.(?:sig\w*|asc|p7\w|pem|pub|crt|cer|key|der)$|/keys?/|key[^/]*$|cert[^/]*$")


def _what(values: list[Value]) -> str:
    """The file that data came out of; that of a signature or key is not what is checked."""
    files = [each.of for each in values if each.of and each.of != NETWORK]
    told = {each for each in files if not _BESIDE.search(each)}
    return told.pop() if len(told) == 1 else ""


def _digest(inv: Invocation, kind: Kind, what: str) -> Pairs:
    number, state = event(inv, Digest(kind, what))
    return inv.to(Value(UNKNOWN, "digest", frozenset({number})), state)


def digest(inv: Invocation) -> Pairs:
    """The digest of data: ``md5($data)``, ``sha256_hex($data)``."""
    return _digest(inv, "hash", _what(inv.given))


def digest_of_file(inv: Invocation) -> Pairs:
    """The digest of a file by its name: ``md5_file``, ``hash_file(algorithm, file)``."""
    name = inv.argument(1 if inv.name == "hash_file" else 0)
    return _digest(inv, "hash", name.text if name.known else "")


def checksum(inv: Invocation) -> Pairs:
    """``zlib.crc32(data)``."""
    return _digest(inv, "checksum", _what(inv.given))


def hasher(inv: Invocation) -> Pairs:
    """``hashlib.sha256()``: the digest comes later."""
    return inv.to(object_of("hash", of=_what(inv.given)))


def hashed(inv: Invocation) -> Pairs:
    """``hash.update(data)``."""
    return inv.rebound((inv.receiver or ANY)._replace(of=_what(inv.given) or (inv.receiver or ANY).of))


def digested(inv: Invocation) -> Pairs:
    """``hash.hexdigest()``."""
    return _digest(inv, "hash", (inv.receiver or ANY).of)


def same(inv: Invocation) -> Pairs:
    """``hash_equals(a, b)``, ``hmac.compare_digest(a, b)``."""
    compared = form.Compare("=", form.Constant(inv.argument(0)), form.Constant(inv.argument(1)))
    return inv.program.asked(compared, inv.state)


def _checked(inv: Invocation, check: Check) -> tuple[State, State]:
    number, state = event(inv, check)
    passed = state if check.flaw else replace(state, passed=state.passed | {number})
    return passed, state


def signature(inv: Invocation) -> Pairs:
    """A verifier that gives true or false."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    return [Pair(passed, inv.truths.true), Pair(failed, inv.truths.false)]


def signature_number(inv: Invocation) -> Pairs:
    """``openssl_verify``: 1, 0, or -1 for an error, which counts as true where nobody looks for 1."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    number = max(failed.seen)
    return [
        Pair(passed, Value("1", truth=True)),
        Pair(failed, Value("0", truth=False)),
        Pair(failed, Value("-1", "", frozenset({number}))),
    ]


def signature_raised(inv: Invocation) -> Pairs:
    """A verifier that throws where the signature is wrong."""
    passed, failed = _checked(inv, Check("signature", _what(inv.given)))
    inv.program.leave("raise", failed, good=True)
    return [Pair(passed, inv.truths.true)]


_THROWS = ("cryptography", "nacl", "rsa", "ecdsa", "Crypto.Signature.pkcs1_15", "Crypto.Signature.pss", "Cryptodome")


def signature_method(inv: Invocation) -> Pairs:
    """``key.verify(...)``: thrown or given back, as the libraries in use do it; else left open."""
    if len(inv.given) < 2:
        return by_name(inv)
    used = set(inv.program.program.imports.values())
    if inv.program.program.language == "python" and any(name.startswith(_THROWS) for name in used):
        return signature_raised(inv)
    if inv.program.program.language == "perl" or any("PKCS1_v1_5" in name or "M2Crypto" in name for name in used):
        return signature(inv)
    return by_name(inv) if inv.program.program.language != "lua" else signature(inv)


def recovered(inv: Invocation) -> Pairs:
    """``openssl_public_decrypt($data, $out, $key)``: the digest that the signature holds goes into the second argument."""
    number, state = event(inv, Digest("signature", _what(inv.given), recovered=True))
    key = key_of(inv.call.arguments[1]) if len(inv.call.arguments) > 1 else None
    value = Value(UNKNOWN, "recovered", frozenset({number}))
    return inv.to(ANY, state.assign(key, value) if key is not None else state)


def by_name(inv: Invocation) -> Pairs:
    """A function that is named like a check and not in reach."""
    what = next((each.text for each in inv.given if each.known and "/" in each.text), "")
    passed, failed = _checked(inv, Check("vendor", what))
    number = max(failed.seen)
    return [Pair(passed, Value("1", "", frozenset({number}), truth=True)), Pair(failed, inv.truths.false)]
