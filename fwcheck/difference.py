"""What changed between two reports: components, services, accounts, findings and verdicts that appeared, went or changed.

Findings are the same by their fingerprint, which outlives builds; components by name, where one version was replaced by another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Literal, TypeVar

import msgspec

from fwcheck.jcstar.extent import size
from fwcheck.model import Component, CryptoAsset, Finding, Listener, Report, TierVerdict, Verdict
from fwcheck.vulnerabilities.versions import compare as compare_versions
from fwcheck.vulnerabilities.versions import key


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs. ``before`` and ``after`` are empty where it was not there."""

    what: str  # "openssl", "telnetd", "root", "UPD-002 ...", "S1.1-08"
    kind: Literal["appeared", "went", "changed", "kept"]  # kept: the same on both sides, where that is worth knowing
    before: str = ""
    after: str = ""
    worse: bool | None = None  # where one can be said to be worse than the other
    place: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an image stands at the level that is compared."""

    level: str
    refuted: bool
    contradicted: int  # criteria
    decidable: int
    total: int
    score: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two reports, in groups."""

    old: str
    new: str
    stands: tuple[Standing, Standing] | None = None  # the old one and the new one, where both were held against one level
    verdicts: tuple[Change, ...] = ()
    findings: tuple[Change, ...] = ()
    components: tuple[Change, ...] = ()
    services: tuple[Change, ...] = ()
    accounts: tuple[Change, ...] = ()
    coverage: tuple[Change, ...] = ()
    listeners: tuple[Change, ...] = ()
    keys: tuple[Change, ...] = ()  # private keys; those that both images hold are "kept"
    sizes: tuple[Change, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing differs."""
        groups = (self.verdicts, self.findings, self.components, self.services, self.accounts, self.coverage)
        return not any((*groups, self.listeners, self.sizes, [each for each in self.keys if each.kind != "kept"]))


Item = TypeVar("Item")
_VERDICTS = ("support", "not-observed", "declared", "not-applicable", "not-decidable", "concern", "violation")
_ENABLED = ("no", "unknown", "yes")
_REACH = ("local", "unknown", "lan", "wan")
_FILES = 10  # named of those whose size changed
_UNREAD = 0.01  # share of the image by which what is unread has to differ to be told


def compare(old: Report, new: Report) -> Difference:
    """What is different in ``new``."""
    return Difference(
        old=f"{old.image.name} ({old.image.sha256[:12]})",
        new=f"{new.image.name} ({new.image.sha256[:12]})",
        stands=_stands(old, new),
        verdicts=tuple(_verdicts(old, new)),
        findings=tuple(_findings(old, new)),
        components=tuple(_components(old, new)),
        services=tuple(_services(old, new)),
        accounts=tuple(_accounts(old, new)),
        coverage=tuple(_coverage(old, new)),
        listeners=tuple(_listeners(old, new)),
        keys=tuple(_keys(old, new)),
        sizes=tuple(_sizes(old, new)),
    )


def _paired(old: Iterable[Item], new: Iterable[Item], key: Callable[[Item], Hashable]) -> list[tuple[Item | None, Item | None]]:
    before: dict[Hashable, Item] = {}
    after: dict[Hashable, Item] = {}
    for held, items in ((before, old), (after, new)):
        for item in items:
            held.setdefault(key(item), item)
    return [(before.get(each), after.get(each)) for each in dict.fromkeys((*before, *after))]


def _stands(old: Report, new: Report) -> tuple[Standing, Standing] | None:
    held = [tier for report in (old, new) for tier in report.tiers if tier.id == new.tier.target]
    if len(held) != 2:
        return None
    return standing(held[0]), standing(held[1])


def standing(tier: TierVerdict) -> Standing:
    """Where an image stands at a level that was judged."""
    return Standing(
        level=tier.id,
        refuted=tier.refuted,
        contradicted=sum(row.verdict is Verdict.VIOLATION for row in tier.criteria),
        decidable=tier.decidable,
        total=tier.total,
        score=tier.score,
    )


def _verdicts(old: Report, new: Report) -> Iterable[Change]:
    """Criteria of the target level of the new report."""
    target = new.tier.target
    rows = [{row.id: row for tier in each.tiers if tier.id == target for row in tier.criteria} for each in (old, new)]
    for id in dict.fromkeys((*rows[0], *rows[1])):
        before, after = rows[0].get(id), rows[1].get(id)
        if before is not None and after is not None and before.verdict != after.verdict:
            worse = _VERDICTS.index(after.verdict.value) > _VERDICTS.index(before.verdict.value)
            yield Change(what=id, kind="changed", before=before.verdict.value, after=after.verdict.value, worse=worse)
    if old.tier.score != new.tier.score and old.tier.target == target:
        yield Change(
            what="score",
            kind="changed",
            before=str(old.tier.score),
            after=str(new.tier.score),
            worse=new.tier.score < old.tier.score,
        )


def _findings(old: Report, new: Report) -> Iterable[Change]:
    for before, after in _paired(old.findings, new.findings, lambda each: each.fingerprint):
        held = after or before
        if held is None or held.verdict == "info":
            continue
        what, place = f"{held.rule} {held.title}", held.location.path
        adverse = held.verdict in ("violation", "concern")
        if before is None:
            yield Change(what=what, kind="appeared", after=_weight(held), worse=adverse, place=place)
        elif after is None:
            yield Change(what=what, kind="went", before=_weight(held), worse=not adverse, place=place)
        elif _weight(before) != _weight(after):
            yield Change(what=what, kind="changed", before=_weight(before), after=_weight(after), place=place)


def _weight(finding: Finding) -> str:
    return f"{finding.severity.value} {finding.verdict}" + (" (waived)" if finding.waived else "")


def _components(old: Report, new: Report) -> Iterable[Change]:
    """By name: the versions that one image holds against those of the other, and whether more is known against them."""
    held: list[dict[str, list[Component]]] = [{}, {}]
    for components, report in zip(held, (old, new), strict=True):
        for component in report.components:
            components.setdefault(component.name, []).append(component)
    for name in sorted(held[0].keys() | held[1].keys()):
        before, after = (side.get(name, []) for side in held)
        versions = [sorted({each.version or "?" for each in side}, key=key) for side in (before, after)]
        known = [_known(side) for side in (before, after)]
        if versions[0] == versions[1] and known[0] == known[1]:
            continue
        kind: Literal["appeared", "went", "changed"] = "appeared" if not before else "went" if not after else "changed"
        words = [", ".join(side) for side in versions]
        if before and after and versions[0] != versions[1]:
            words[1] += {1: " (up)", -1: " (down)"}.get(_direction(versions[0][-1], versions[1][-1]), "")
        worse = None if known[0] == known[1] else known[1] > known[0]
        words = [
            f"{text}{_problems(count)}" if worse is not None and text else text for text, count in zip(words, known, strict=True)
        ]
        yield Change(what=name, kind=kind, before=words[0], after=words[1], worse=worse)


def _direction(before: str, after: str) -> int:
    return 0 if "?" in (before, after) else -compare_versions(before, after)


def _known(components: Iterable[Component]) -> tuple[int, int]:
    """How many vulnerabilities are known to be exploited, and how many are known."""
    held = {each.id: each for component in components for each in component.vulnerabilities}
    return sum(each.known_exploited for each in held.values()), len(held)


def _problems(known: tuple[int, int]) -> str:
    exploited = f", {known[0]} exploited" if known[0] else ""
    return f" [{known[1]} known{exploited}]"


def _listeners(old: Report, new: Report) -> Iterable[Change]:
    """Ports by number, protocol and service; how far each is reached by the shipped firewall."""

    def state(each: Listener) -> str:
        return f"{each.address or 'any address'}, reached from {each.reachable_from}"

    def name(each: Listener) -> str:
        return f"{each.protocol}/{each.port if each.port is not None else '?'} {each.service}"

    for before, after in _paired(
        old.device.listeners, new.device.listeners, lambda each: (each.protocol, each.port, each.service)
    ):
        if before is None and after is not None:
            yield Change(what=name(after), kind="appeared", after=state(after), worse=after.reachable_from != "local")
        elif after is None and before is not None:
            yield Change(what=name(before), kind="went", before=state(before), worse=False)
        elif before is not None and after is not None and state(before) != state(after):
            reach = [_REACH.index(each.reachable_from) for each in (before, after)]
            worse = None if reach[0] == reach[1] else reach[1] > reach[0]
            yield Change(what=name(after), kind="changed", before=state(before), after=state(after), worse=worse)


def _keys(old: Report, new: Report) -> Iterable[Change]:
    """Private keys: those in both images, which all their units share, then those at one place that became others."""
    sides = [{each.fingerprint: each for each in report.device.crypto if _secret(each)} for report in (old, new)]
    for fingerprint in sorted(sides[0].keys() & sides[1].keys()):
        asset = sides[1][fingerprint]
        yield Change(what=_key_name(asset), kind="kept", before=fingerprint[:16], after=fingerprint[:16], place=_place(asset))
    gone = {_place(each): each for fingerprint, each in sides[0].items() if fingerprint not in sides[1]}
    for fingerprint, asset in sides[1].items():
        if fingerprint in sides[0]:
            continue
        before = gone.pop(_place(asset), None)
        kind: Literal["appeared", "changed"] = "appeared" if before is None else "changed"
        shown = before.fingerprint[:16] if before is not None else ""
        worse = True if before is None else None
        yield Change(what=_key_name(asset), kind=kind, before=shown, after=fingerprint[:16], worse=worse, place=_place(asset))
    for place, asset in gone.items():
        yield Change(what=_key_name(asset), kind="went", before=asset.fingerprint[:16], worse=False, place=place)


def _secret(asset: CryptoAsset) -> bool:
    return asset.kind == "private-key" and bool(asset.fingerprint)


def _key_name(asset: CryptoAsset) -> str:
    return f"{asset.algorithm}{f'-{asset.bits}' if asset.bits else ''} private key"


def _place(asset: CryptoAsset) -> str:
    return asset.evidence[0].location.path if asset.evidence else ""


def _sizes(old: Report, new: Report) -> Iterable[Change]:
    """The image, its parts by format and order, and the files whose size changed most."""
    if old.image.size != new.image.size:
        yield Change(what="image", kind="changed", before=size(old.image.size), after=size(new.image.size))
    if old.coverage.files != new.coverage.files:
        yield Change(what="files", kind="changed", before=str(old.coverage.files), after=str(new.coverage.files))
    parts = [_parts(report) for report in (old, new)]
    for name in dict.fromkeys((*parts[0], *parts[1])):
        before, after = (side.get(name) for side in parts)
        if before != after:
            kind: Literal["appeared", "went", "changed"] = (
                "appeared" if before is None else "went" if after is None else "changed"
            )
            words = ["" if each is None else size(each) for each in (before, after)]
            yield Change(what=name, kind=kind, before=words[0], after=words[1])
    files = [{leaf.path: leaf.size for branch in report.tree for leaf in branch.leaves} for report in (old, new)]
    common = [(path, files[0][path], files[1][path]) for path in files[0].keys() & files[1].keys()]
    grown = sorted((each for each in common if each[1] != each[2]), key=lambda each: (-abs(each[2] - each[1]), each[0]))
    for path, was, now in grown[:_FILES]:
        yield Change(what="file", kind="changed", before=size(was), after=size(now), place=path)


def _parts(report: Report) -> dict[str, int]:
    """The containers of the image itself, by format and how many of it came before; offsets move from build to build."""
    counts: dict[str, int] = {}
    out: dict[str, int] = {}
    for branch in report.tree:
        if len(branch.chain) == 2 and branch.format:
            counts[branch.format] = counts.get(branch.format, 0) + 1
            out[branch.format if counts[branch.format] == 1 else f"{branch.format} {counts[branch.format]}"] = branch.size
    return out


def _services(old: Report, new: Report) -> Iterable[Change]:
    def started(enabled: str) -> str:
        return {"yes": "started by default", "no": "not started"}.get(enabled, "start not decidable")

    for before, after in _paired(old.device.services, new.device.services, lambda each: (each.name, each.program)):
        held = after or before
        if held is None:
            continue
        if before is None:
            yield Change(
                what=held.name, kind="appeared", after=started(held.enabled), worse=held.enabled == "yes", place=held.program
            )
        elif after is None:
            yield Change(what=held.name, kind="went", before=started(held.enabled), place=held.program)
        elif before.enabled != after.enabled:
            worse = _ENABLED.index(after.enabled) > _ENABLED.index(before.enabled)
            yield Change(
                what=held.name, kind="changed", before=started(before.enabled), after=started(after.enabled), worse=worse,
                place=held.program,
            )  # fmt: skip


def _accounts(old: Report, new: Report) -> Iterable[Change]:
    for before, after in _paired(old.device.accounts, new.device.accounts, lambda each: (each.name, each.file)):
        held = after or before
        if held is None:
            continue
        states = [
            f"password: {each.password}" + (", cracked" if each.cracked else "") if each else "" for each in (before, after)
        ]
        if states[0] == states[1]:
            continue
        kind: Literal["appeared", "went", "changed"] = "appeared" if before is None else "went" if after is None else "changed"
        worse = None if after is None else after.password == "empty" or after.cracked
        yield Change(what=held.name, kind=kind, before=states[0], after=states[1], worse=worse, place=held.file)


def _coverage(old: Report, new: Report) -> Iterable[Change]:
    """What could not be read, where it differs by more than one part in a hundred."""
    shares = []
    for report in (old, new):
        account = report.coverage
        shares.append((account.bytes_unknown + account.bytes_encrypted) / max(1, account.bytes_total))
    if abs(shares[0] - shares[1]) > _UNREAD:
        before, after = (f"{100 * share:.1f} % unread" for share in shares)
        yield Change(what="image", kind="changed", before=before, after=after, worse=shares[1] > shares[0])
