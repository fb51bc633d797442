"""Block ciphers with published vendor keys, over a range of a source, as a bounded stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fwcheck.extraction.format import Entry
from fwcheck.extraction.limits import Limits, bounded
from fwcheck.extraction.source import ByteSource
from fwcheck.extraction.spool import spool
from fwcheck.model import NodeKind


def aes_cbc(source: ByteSource, key: bytes, iv: bytes, keep: int | None = None) -> Iterator[bytes]:
    """The plain bytes of whole blocks, at most ``keep`` of them; what does not fill a block at the end is left out."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    left = source.size - source.size % 16 if keep is None else keep
    for chunk in source.window(0, source.size - source.size % 16).chunks():
        plain = decryptor.update(chunk)[:left]
        left -= len(plain)
        yield plain


def encrypted(source: ByteSource, offset: int, size: int, scheme: str, name: str = "payload") -> Entry:
    """A range that its container says is encrypted."""
    return Entry(
        path=name,
        kind=NodeKind.REGION,
        size=size,
        offset=offset,
        role="encrypted",
        detail={"encryption": scheme},
        locality=offset,
        open=partial(source.window, offset, size),
    )


def decrypted(
    pieces: Callable[[], Iterator[bytes]], offset: int, size: int, scheme: str, limits: Limits, name: str = "payload"
) -> Entry:
    """The same range once it was decrypted: a part that lies in the image nowhere as it is."""
    return Entry(
        path=name,
        kind=NodeKind.REGION,
        size=size,
        role="part",
        detail={"encryption": f"{scheme}, decrypted with the published key"},
        locality=offset,
        open=lambda: spool(bounded(pieces(), size, limits)),
    )
