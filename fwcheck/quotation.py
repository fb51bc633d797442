"""What stands around the places of findings: lines of texts, bytes of everything else, with every secret masked.

Lines come from the texts that inspection kept; bytes are read again, a bounded amount of them. Where a private key or a secret is
near, bytes are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Facts, Finding, Location, Node, Quote

QUOTED = 400  # findings of an image
_AROUND = 2  # lines before and behind
_LONGEST = 200  # characters of a line
_TEXT = 4 << 20  # characters that are split into lines, of all texts together
_BEFORE, _BYTES, _ROW = 16, 80, 16
_KEY_REACH, _SECRET_REACH = 8192, 512  # bytes behind the beginning of a key, or of a secret, that may belong to it
_MASK = "******"

# A crypt(3) string, a word after the name of a secret, credentials in an address, a line of a key.
_CRYPT = re.compile(r"\$[0-9a-z]{1,8}\$[^\s:'\"]{4,200}")
_NAMED = re.compile(
    r"((?:pass(?:wor[dt]|wd|phrase)?|pwd|secret|token|psk|passkey|(?:api|access|private|shared|pre_?shared)[_-]?key|wpakey|"
    r"community|credential)s?\w{0,12}[\"']?(?:\s{0,4}[=:]\s{0,4}|\s{1,4})[\"']?)([^\s\"'<>,;]{3,200})",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(://[^\s/:@]{1,80}:)([^\s/@]{1,80})(@)")
_KEY_LINE = re.compile(r"^[A-Za-z0-9+/=]{40,}$")
_ACCOUNT = re.compile(r"^([^:\s]{1,64}:)([^:]{3,200})(:)")
_ACCOUNT_FILES = re.compile(r"(?:^|/)(?:g?shadow|passwd|group|master\.passwd)[^/]*$")


def quote(firmware: Firmware, device: Device, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, in the same order, with what stands around them where it can be shown."""
    nodes = {(node.chain, node.path): node for node in firmware.nodes}
    secrets = {each for account in device.accounts for each in (account.secret, account.plain)}
    quoter = _Quoter(firmware, nodes, secrets)
    return tuple(quoter.quoted(finding) for finding in findings)


class _Quoter:
    def __init__(self, firmware: Firmware, nodes: dict[tuple[tuple[str, ...], str], Node], secrets: set[str]) -> None:
        self._firmware = firmware
        self._nodes = nodes
        self._secrets = secrets
        self._lines: dict[str, list[str]] = {}
        self._text = _TEXT
        self._count = 0

    def quoted(self, finding: Finding) -> Finding:
        if self._count >= QUOTED or finding.quote is not None:
            return finding
        where = finding.location
        node = self._nodes.get((where.chain, where.path))
        facts = self._firmware.facts_of(node) if node is not None else None
        found: Quote | None = None
        if facts is not None and facts.text is not None and where.line is not None:
            found = self._around(facts, where.line, finding)
        elif where.offset is not None and not finding.secret:
            found = self._bytes(where, facts)
        if found is None:
            return finding
        self._count += 1
        return msgspec.structs.replace(finding, quote=found)

    # ------------------------------------------------------------------ lines

    def _around(self, facts: Facts, line: int, finding: Finding) -> Quote | None:
        lines = self._split(facts)
        if not 1 <= line <= len(lines):
            return None
        first = max(1, line - _AROUND)
        secrets = {*self._secrets, finding.secret, *(hit.secret for hit in (*facts.patterns, *facts.yara))}
        known = sorted((each for each in secrets if len(each) >= 3), key=len, reverse=True)
        accounts = bool(_ACCOUNT_FILES.search(finding.location.path))
        rows = [masked(each, known, accounts=accounts) for each in lines[first - 1 : line + _AROUND]]
        at = line - first
        if "***" in finding.evidence and rows[at] == lines[line - 1][:_LONGEST]:
            rows[at] = finding.evidence  # it knows a secret here that nothing above has found
        return Quote(kind="lines", start=first, rows=tuple(rows), mark=at)

    def _split(self, facts: Facts) -> list[str]:
        text = facts.text or ""
        if facts.sha256 not in self._lines:
            self._text -= len(text)
            self._lines[facts.sha256] = text.splitlines() if self._text >= 0 else []
        return self._lines[facts.sha256]

    # ------------------------------------------------------------------ bytes

    def _bytes(self, where: Location, facts: Facts | None) -> Quote | None:
        offset = where.offset or 0
        start = max(0, offset - _BEFORE) // _ROW * _ROW
        if facts is not None and any(_near(facts, start)):
            return None
        content = self._firmware.window(where.chain, where.path, start, _BYTES)
        if not content or _announces(content):
            return None
        rows = tuple(content[at : at + _ROW].hex(" ") for at in range(0, len(content), _ROW))
        return Quote(kind="bytes", start=start, rows=rows, mark=min((offset - start) // _ROW, len(rows) - 1))


def _near(facts: Facts, start: int) -> Iterator[bool]:
    """Whether a private key or a secret may reach into the bytes that would be shown."""
    for key in facts.keys:
        yield key.private and key.offset - _BYTES < start < key.offset + _KEY_REACH
    for hit in (*facts.patterns, *facts.yara):
        yield bool(hit.secret or "***" in hit.text) and hit.offset - _BYTES < start < hit.offset + _SECRET_REACH


def _announces(content: bytes) -> bool:
    """Whether the texts in these bytes hold something that would be masked in a line."""
    texts = (each.decode("ascii") for each in re.findall(rb"[ -~]{6,}", content))
    return any(masked(each) != each for each in texts)


def masked(line: str, secrets: Iterable[str] = (), *, accounts: bool = False) -> str:
    """A line without the secrets that are known, or that its own words announce."""
    shown = line[: 4 * _LONGEST]
    for secret in secrets:
        shown = shown.replace(secret, _MASK)
    if accounts:
        shown = _ACCOUNT.sub(rf"\1{_MASK}\3", shown)
    if _KEY_LINE.match(shown.strip()):
        return _MASK
    shown = _CRYPT.sub(_MASK, shown)
    shown = _ADDRESS.sub(rf"\1{_MASK}\3", shown)
    shown = _NAMED.sub(rf"\1{_MASK}", shown)
    return shown[:_LONGEST]
