"""binwalk 3 through the package ``binwalk3``, which finds its program on the PATH and refuses version 2."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from fwcheck.opinions.opinion import Claim, Opinion, below

REPORT = "report.json"
FILES = "files"
_ASKED = """
import binwalk, json, sys
region, folder = sys.argv[1:]
found = []
for module in binwalk.scan(region, signature=True, extract=True, directory=folder + "/files", quiet=True):
    for each in module.results:
        if not getattr(each, "depth", 0):
            done = each.extraction
            found.append([each.name or each.module or "?", each.offset, each.size or 0,
                          done.output_directory if done is not None and done.success else None])
json.dump(found, open(folder + "/report.json", "w"))
"""
# Signatures of binwalk for things that are no containers: they explain nothing.
_NO_CONTAINERS = frozenset(
    {"crc32", "sha256", "aes_sbox", "copyright", "rsa", "pem_certificate", "pem_public_key", "pem_private_key"}
)


class Binwalk(Opinion):
    """The package is asked in a child process, like every program that reads hostile bytes."""

    name = "binwalk"

    def version(self) -> str | None:
        return _version()

    def arguments(self, region: Path, folder: Path) -> list[str]:
        return [sys.executable, "-c", _ASKED, str(region), str(folder)]

    def claims(self, folder: Path) -> list[Claim]:
        try:
            found = msgspec.json.decode((folder / REPORT).read_bytes(), type=list[tuple[str, int, int, str | None]])
        except (OSError, msgspec.MsgspecError) as error:
            raise ValueError(f"no report: {error}") from error
        return [
            Claim(format=name, offset=offset, size=size, folder=below(where, folder) if where else None)
            for name, offset, size, where in found
            if name not in _NO_CONTAINERS
        ]


@cache
def _version() -> str | None:
    if find_spec("binwalk") is None:
        return None
    try:
        import binwalk  # noqa: PLC0415  # optional, and only there with the extra

        info = binwalk.get_backend().info  # version 2 has no such function
        return None if info is None else ".".join(map(str, info.version))
    except Exception:  # noqa: BLE001  # whatever a package of this name does, it is not the one that is meant
        return None


OPINION = Binwalk()
