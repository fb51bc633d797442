"""The same finding in several partitions, told once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fwcheck.model import Evidence, Finding

_MOST_WITNESSES = 16


def once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Joins findings of one cause at one path (A/B partitions, recovery copies): the first stays, the others become witnesses."""
    first: dict[str, Finding] = {}
    extra: dict[str, list[Evidence]] = {}
    for finding in findings:
        if finding.fingerprint not in first:
            first[finding.fingerprint] = finding
            extra[finding.fingerprint] = list(finding.witnesses)
        else:
            extra[finding.fingerprint] += [Evidence(location=finding.location, text=finding.evidence), *finding.witnesses]
    for key, finding in first.items():
        witnesses = tuple(dict.fromkeys(_key(each) for each in extra[key]))
        by_key = {_key(each): each for each in extra[key]}
        yield msgspec.structs.replace(finding, witnesses=tuple(by_key[each] for each in witnesses)[:_MOST_WITNESSES])


def _key(each: Evidence) -> tuple[tuple[str, ...], str, int | None, int | None]:
    where = each.location
    return where.chain, where.path, where.offset, where.line
