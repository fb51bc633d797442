"""The order of the stages: image, extraction, inspection, device, analysers, mapper, report, gate.

The only file that sees them all. Nothing here knows a format, a rule or a criterion.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fwcheck import __version__
from fwcheck.declaration import Declaration, DeclarationError
from fwcheck.declaration import contents as declaration_contents
from fwcheck.declaration import parse as parse_declaration
from fwcheck.device.firmware import Firmware
from fwcheck.gate.demands import Level, Tier
from fwcheck.handwritten import Misread, line_of
from fwcheck.model import SCHEMA_VERSION, Coverage, Gap, GateResult, Image, Report, TierSummary, Tool
from fwcheck.unpacking import LARGEST, InputError, Progress, ReadOptions, extract, open_image, silent

if TYPE_CHECKING:
    from fwcheck.device.signatures import PublicKey
    from fwcheck.judging import Gates
    from fwcheck.remembered import Remembered
    from fwcheck.vulnerabilities.database import Knowledge
    from fwcheck.vulnerabilities.store import Statement

__all__ = ["LARGEST", "InputError", "Options", "Progress", "extract", "open_image", "rules_digest", "scan", "unread"]

_COLLECT = 50_000  # allocations between two collections of the youngest values


class Options(ReadOptions, frozen=True, kw_only=True):
    """What a scan may use and what is asked of it."""

    target: str | None = None  # None: the one that the maker states, else STAR-1
    product: Path | None = None  # what the maker states of the product (product.toml)
    update_keys: tuple[Path, ...] = ()  # files with public keys that the signatures of the image are verified with
    database: Path | None = None  # the knowledge file; None: the user's own, else the one shipped
    vex: tuple[Path, ...] = ()  # documents that say which known vulnerabilities do not count
    min_tier: Tier | None = None
    min_score: int | None = None
    fail_on: Level | None = None
    policy: Path | None = None  # what a team asks of its images (policy.toml)
    waivers: Path | None = None  # findings that somebody answers for (waivers.toml)
    baseline: Path | None = None  # an earlier report: only what is new fails
    recall: bool = False  # the report that the cache keeps of the same image will do; it holds no secrets to be shown


def ran(rules: Iterable[str], declared: Declaration | None) -> frozenset[str]:
    """The rules that were looked for: those on statements only where there are any."""
    return frozenset(rule for rule in rules if declared is not None or not rule.startswith("DEC-"))


def _declaration(path: Path | None) -> Declaration | None:
    """What the maker states; raises InputError when the file is no declaration, or speaks of what nobody asks."""
    if path is None:
        return None
    try:
        content = declaration_contents(path)
        declared = parse_declaration(content, str(path))
        check_criteria(declared, str(path), content)
    except DeclarationError as error:
        raise InputError(str(error)) from error
    return declared


def check_criteria(declared: Declaration, name: str, content: bytes) -> None:
    """Raises DeclarationError when a declaration, read from ``content``, speaks of criteria that there are not."""
    from fwcheck.jcstar.catalogue import unknown  # noqa: PLC0415  # few scans are given a declaration

    for part, criteria in (("documents", declared.documents), ("not_applicable", declared.not_applicable)):
        if lost := unknown(tuple(criteria)):
            words = f"no criterion {lost[0]}; 'fwcheck explain all' lists them"
            raise DeclarationError(Misread(words, line_of(content.decode("utf-8", "replace"), [part, lost[0]])).of(name))


def scan(path: Path, options: Options, progress: Progress = silent) -> Report:
    """The whole way from an image file to its report.

    Raises InputError when the file cannot be read or is empty.
    """
    with _seldom_collected():
        return _scan(path, options, progress)


def unread(image: Image, reason: str, options: Options) -> Report:
    """The report on an image that could not be read at all and must not be tried again: a gap, and every gate undecided."""
    coverage = Coverage(
        bytes_total=image.size,
        bytes_explained=0,
        bytes_padding=0,
        bytes_unknown=image.size,
        bytes_encrypted=0,
        files=0,
        gaps=(Gap(node=image.name, reason=reason, bytes=image.size),),
    )
    return _concluded(Firmware(image, (), {}, coverage), _Given(options), _Clock(), silent)


class _Given:
    """What else a scan is given, read before the image is: what is broken of it is told first. Raises InputError."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.keys = _update_keys(options.update_keys)
        self.statements = _statements(options.vex)
        self.declared = _declaration(options.product)
        files = (options.policy, options.waivers, options.baseline)
        self.gates = read_gates(options) if any(files) else None
        if options.database is not None:
            _knowledge(options.database)


def check(options: Options) -> None:
    """Reads everything that a scan is given beside the image; raises InputError for what is broken of it."""
    _Given(options)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rare garbage collection: a scan makes hundreds of thousands of values that live to its end, and hardly a cycle.

    Going over them again and again costs the stages behind extraction half of their time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _scan(path: Path, options: Options, progress: Progress) -> Report:
    clock = _Clock()
    given = _Given(options)
    remembered = _remembered(path, options)
    if remembered is not None and (known := remembered.get()) is not None:
        return _recalled(known, given, clock)
    firmware = extract(path, options, progress, _later_stages(options.database))
    clock.mark("extraction_and_inspection")
    gc.freeze()  # the tree and the facts stay
    report = _concluded(firmware, given, clock, progress)
    if remembered is not None:
        from fwcheck.analysers.registry import rules  # noqa: PLC0415
        from fwcheck.judging import unsettled  # noqa: PLC0415

        remembered.put(unsettled(report, ran(rules(), given.declared)))
    return report


def _remembered(path: Path, options: Options) -> Remembered | None:
    """Where the report of this image is kept between scans, if it may be."""
    if not options.recall or options.cache is None or options.second_opinions:
        return None
    from fwcheck.remembered import Remembered, key  # noqa: PLC0415
    from fwcheck.vulnerabilities.database import user_file  # noqa: PLC0415

    database = options.database or user_file()
    files = [*options.update_keys, *options.vex, *([options.product] if options.product is not None else [])]
    said = (options.target, msgspec.structs.replace(options.limits, stop=None, meter=None))
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        with path.open("rb") as file:
            image = hashlib.file_digest(file, "sha256").hexdigest()
        state = f"{database} {database.stat().st_size} {database.stat().st_mtime_ns}" if database.is_file() else ""
        return Remembered(options.cache, key(image, options.name or path.name, said, files, state))
    except OSError:
        return None  # told where it is read


def _recalled(report: Report, given: _Given, clock: _Clock) -> Report:
    """The kept report with the gates of this run."""
    gates = given.gates or read_gates(given.options)
    names: frozenset[str] = frozenset()
    if gates.waivers is not None:  # only they change what the levels are judged by
        from fwcheck.analysers.registry import rules  # noqa: PLC0415

        names = ran(rules(), given.declared)
    device = msgspec.structs.replace(report.device, components=report.components)
    report = gates.again(msgspec.structs.replace(report, device=device), names)
    clock.mark("recalled")
    return msgspec.structs.replace(report, timing=clock.total())


def _concluded(firmware: Firmware, given: _Given, clock: _Clock, progress: Progress) -> Report:
    """The stages behind extraction."""
    options, declared = given.options, given.declared

    from fwcheck.device.build import build  # noqa: PLC0415  # only a scan pays for what comes after extraction

    progress("device model", 0, 1)
    device = build(firmware, given.keys)
    clock.mark("device")

    from fwcheck.device.kernel_configuration import architecture, configurations  # noqa: PLC0415
    from fwcheck.vulnerabilities.annotate import annotate  # noqa: PLC0415

    knowledge = _knowledge(options.database)
    try:
        known = annotate(
            device.components,
            knowledge,
            given.statements,
            configurations(firmware),
            architecture(firmware),
            declared.product if declared is not None else None,
        )
    except ValueError as error:
        raise InputError(f"{knowledge.path}: {error}") from error
    device = msgspec.structs.replace(device, components=known, declared=declared)
    clock.mark("vulnerabilities")

    from fwcheck.analysers.registry import analyse, rules  # noqa: PLC0415
    from fwcheck.listing import listing  # noqa: PLC0415
    from fwcheck.quotation import quote  # noqa: PLC0415

    progress("analysers", 0, 1)
    findings = quote(firmware, device, analyse(firmware, device))
    clock.mark("analysers")

    from fwcheck.jcstar.mapper import judge, summary  # noqa: PLC0415

    target = options.target or (declared.product.target if declared is not None else None) or "STAR-1"
    gates = given.gates or read_gates(options)
    settled = gates.settle(findings)
    tiers = judge(settled.findings, firmware.coverage, device, target=target, ran=ran(rules(), declared))
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool(
            name="fwcheck",
            version=__version__,
            rules_digest=rules_digest(),
            database_date=knowledge.date,
            database_digest=knowledge.digest,
        ),
        image=firmware.image,
        coverage=firmware.coverage,
        device=device,
        components=device.components,
        findings=settled.findings,
        tiers=tiers,
        tier=TierSummary(target=target, **summary(tiers, target)),
        gate=GateResult(),
        tree=listing(firmware),
        timing={},
    )
    report = gates.held(report, settled)
    clock.mark("judgement")
    return msgspec.structs.replace(report, timing=clock.total())


def read_gates(options: Options) -> Gates:
    """The gates asked for; raises InputError when one of their files is broken."""
    from fwcheck.gate import BrokenFile  # noqa: PLC0415
    from fwcheck.judging import Gates  # noqa: PLC0415

    try:
        return Gates.read(options)
    except BrokenFile as error:
        raise InputError(str(error)) from error


def prepare(options: Options) -> None:
    """Gets everything ready that every scan needs: processes forked from now on share it."""
    from fwcheck.inspection.preload import preload  # noqa: PLC0415

    preload(options.cache)
    for step in _later_stages(options.database):
        step()


def _update_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    if not paths:
        return ()
    from fwcheck.device.update_keys import NoKey, read  # noqa: PLC0415  # few scans are given keys
    from fwcheck.inspection.pgp_keys import keys_of  # noqa: PLC0415

    found: list[PublicKey] = []
    for path in paths:
        try:
            found += read(path, keys_of)
        except (OSError, NoKey) as error:
            raise InputError(f"--update-key {path}: {getattr(error, 'strerror', None) or error}") from error
    return tuple(found)


def _later_stages(database: Path | None) -> list[Callable[[], object]]:
    """Imports and tables of the stages behind extraction: got ready while the workers read."""
    modules = ("device.build", "analysers.registry", "vulnerabilities.database", "jcstar.mapper", "judging", "reports.json")
    steps: list[Callable[[], object]] = [partial(import_module, f"fwcheck.{module}") for module in modules]
    return [*steps, lambda: import_module("fwcheck.analysers.registry").registered(), partial(_knowledge, database)]


@cache
def _knowledge(path: Path | None) -> Knowledge:
    from fwcheck.vulnerabilities.database import Knowledge, user_file  # noqa: PLC0415

    try:
        return Knowledge.open(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path or user_file()}: {getattr(error, 'strerror', None) or error}") from error


def knowledge_date(path: Path | None) -> str:
    """As of when the knowledge is that a scan would use; raises InputError."""
    return _knowledge(path).date


def knowledge_digest(path: Path | None) -> str:
    """The digest of the knowledge that a scan would use; raises InputError."""
    return _knowledge(path).digest


def _statements(paths: Sequence[Path]) -> tuple[Statement, ...]:
    if not paths:
        return ()
    from fwcheck.vulnerabilities.vex import NotVex, read  # noqa: PLC0415  # few scans are given statements

    try:
        return tuple(each for path in paths for each in read(path))
    except NotVex as error:
        raise InputError(f"--vex {error}") from error


def rules_digest() -> str:
    """A digest over everything that decides findings: tool version, rules, pattern catalogues, profiles."""
    from fwcheck.analysers.registry import rules  # noqa: PLC0415
    from fwcheck.inspection.inspect import INSPECTOR_VERSION  # noqa: PLC0415
    from fwcheck.jcstar.catalogue import digest as profiles  # noqa: PLC0415

    known = msgspec.json.encode(sorted(rules().values(), key=lambda rule: rule.id))
    parts = [__version__, INSPECTOR_VERSION, profiles(), hashlib.sha256(known).hexdigest()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _Clock:
    """Wall seconds per stage."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._stages: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._stages[stage] = round(now - self._last, 4)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._stages, "total": round(time.perf_counter() - self._begun, 4)}
