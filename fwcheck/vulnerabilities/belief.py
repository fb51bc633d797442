"""Who is believed, where several publishers speak of the same component and CVE."""

from __future__ import annotations

from typing import NamedTuple

from fwcheck.vulnerabilities.versions import key

# Those who make the program, then the CVE List and NVD. What the project keeps itself fills holes only.
RANK = {"OpenSSL": 0, "curl": 0, "kernel.org": 0, "Linux stable": 1, "CVE List": 2, "NVD": 3, "OSV": 4, "CSAF": 5}
OWN = 9
_STREAMS = "Linux stable"  # tells of the stable streams it names; of the others somebody else may


class Range(NamedTuple):
    """What one publisher says of one component and CVE: a range of versions, or that it is not about such systems."""

    first: str
    last: str
    inclusive: int  # bit 0 the first, bit 1 the last; ELSEWHERE: no range at all
    source: str
    as_of: str = ""
    condition: str = ""


ELSEWHERE = 4


def believed(said: list[Range]) -> list[Range]:
    """The ranges that hold: the most trusted publisher's, with what the next says of streams that it leaves out."""
    if len(said) == 1:
        return said if said[0].inclusive != ELSEWHERE else []
    ranks = sorted({RANK.get(each.source, OWN) for each in said})
    by_rank = [[each for each in said if RANK.get(each.source, OWN) == rank] for rank in ranks]
    if ranks[0] > RANK[_STREAMS] and any(each.inclusive == ELSEWHERE for each in said):
        return []  # one says that it is not about such systems, the others just do not say
    held = [each for each in by_rank[0] if each.inclusive != ELSEWHERE]
    if len(by_rank) > 1 and held and all(each.source == _STREAMS for each in held):
        others = [each for each in by_rank[1] if each.inclusive != ELSEWHERE]
        held += [each for each in others if not any(_overlap(each, stream) for stream in held)]
    return held


def _overlap(left: Range, right: Range) -> bool:
    """Whether two ranges may share a version."""
    return not any(
        one.last and other.first and (key(one.last), bool(one.inclusive & 2)) <= (key(other.first), False)
        for one, other in ((left, right), (right, left))
    )
