"""``policy.toml``: what a team asks of its images. TOML 1.0; an unknown key, rule or criterion is an error.

``[all]`` holds for every image, ``[type.router]`` for products of that type (as ``product.toml`` states it), ``[tier.STAR-2]``
for images that are held against that level. Every part that applies holds; none loosens another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from fwcheck.declaration import ProductType
from fwcheck.gate.demands import Demands, Tier, Word, accepted, together
from fwcheck.gate.files import Unfit, load, nearest, parse
from fwcheck.model import Report


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as it is written."""

    name: Word = ""
    all: Demands = Demands()
    type: dict[ProductType, Demands] = {}
    tier: dict[Tier, Demands] = {}


_KEYS = frozenset({*_File.__struct_fields__, *Demands.__struct_fields__})


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy and what reports call it."""

    name: str
    file: _File

    @classmethod
    def read(cls, path: Path) -> Policy:
        """The policy of a file. Raises BrokenFile with one line when it cannot be read or is none."""
        return cls._checked(load(path), str(path), path.name)

    @classmethod
    def parse(cls, content: bytes, name: str) -> Policy:
        """The policy in these bytes. Raises BrokenFile with one line when they are none."""
        return cls._checked(content, name, name)

    @classmethod
    def _checked(cls, content: bytes, where: str, name: str) -> Policy:
        held = parse(content, where, _File, _KEYS)
        try:
            for part, demands in _parts(held):
                _check(part, demands)
        except Unfit as error:
            raise error.of(where, content) from error
        return cls(name=held.name or name, file=held)

    @property
    def dated(self) -> bool:
        """Whether it asks for an age, so that it may fail tomorrow what it passes today."""
        return any(
            demands.max_component_age_days is not None or demands.max_database_age_days is not None
            for _, demands in _parts(self.file)
        )

    def demands(self, report: Report) -> Demands:
        """What it asks of this image."""
        declared = report.device.declared
        parts = [self.file.all]
        if declared is not None and declared.product.type in self.file.type:
            parts.append(self.file.type[declared.product.type])
        parts += [demands for tier, demands in self.file.tier.items() if tier == report.tier.target]
        return together(parts)

    def notes(self, report: Report) -> Iterator[str]:
        """What of it could not be held against this image."""
        if self.file.type and report.device.declared is None:
            yield f"policy {self.name} asks by product type, and no product.toml was given (--product): that was passed over"


def _parts(held: _File) -> Iterator[tuple[str, Demands]]:
    yield "all", held.all
    yield from ((f"type, {name}", demands) for name, demands in held.type.items())
    yield from ((f"tier, {name}", demands) for name, demands in held.tier.items())


def _check(part: str, demands: Demands) -> None:
    """Rules and criteria that do not exist would be demands that every image meets."""
    if demands.forbidden_rules:
        known = rules()
        for each in demands.forbidden_rules:
            if not _matches(each, known):
                words = f"{part}, forbidden_rules: there is no rule {each}{nearest(each, known)}"
                raise Unfit(words, *part.split(", "), "forbidden_rules")
    if demands.verdicts:
        from fwcheck.jcstar.catalogue import criteria  # noqa: PLC0415  # few policies ask for verdicts

        ids = criteria().keys()
        for id, held in demands.verdicts.items():
            if not _matches(id, ids):
                words = f"{part}, verdicts: there is no criterion {id}{nearest(id, ids)}"
                raise Unfit(words, *part.split(", "), "verdicts", id)
            if not accepted(held):
                raise Unfit(f"{part}, verdicts: {id} accepts no verdict at all", *part.split(", "), "verdicts", id)


def rules() -> Collection[str]:
    """The ids of all rules there are."""
    from fwcheck.analysers.registry import rules as every  # noqa: PLC0415  # all analysers are imported for it

    return every().keys()


def _matches(pattern: str, known: Collection[str]) -> bool:
    return any(fnmatchcase(each, pattern) for each in known)
