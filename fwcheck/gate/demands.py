"""What can be asked of a report. Demands add up: where two speak of the same, the stricter one holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from fwcheck.model import Severity

Tier = Literal["STAR-1", "STAR-2", "STAR-3", "STAR-4"]
Level = Literal["critical", "high", "medium", "low"]
Wanted = Literal["support", "not-observed", "not-decidable", "not-applicable", "declared", "concern"]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Days = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_LEVELS = tuple(each.value for each in Severity)
WANTED: tuple[Wanted, ...] = ("support", "not-observed", "not-decidable", "not-applicable", "declared", "concern")


class Demands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a report has to meet; the values of one part of a policy, or of the command line."""

    min_tier: Tier | None = None  # the highest level that must not be refuted
    min_score: Percent | None = None  # at the target
    fail_on: Level | None = None  # no finding against the image of this severity or worse
    forbidden_rules: tuple[Word, ...] = ()  # ids, or families ("DBG-*")
    verdicts: dict[Word, Wanted | tuple[Wanted, ...]] = {}  # by criterion or pattern: the verdicts that are accepted
    no_known_exploited: bool = False  # no component with a vulnerability that is known to be exploited
    no_end_of_life: bool = False  # no component that upstream no longer supports
    max_component_age_days: Days | None = None  # since the release of a component's version
    min_coverage: Percent | None = None  # of the content that is no padding
    max_database_age_days: Days | None = None

    def asked(self) -> Iterator[str]:
        """Each demand as the report names it."""
        for name in ("min_tier", "min_score", "fail_on"):
            if (value := getattr(self, name)) is not None:
                yield f"{_words(name)} {value}"
        if self.forbidden_rules:
            yield f"forbidden-rules {', '.join(self.forbidden_rules)}"
        yield from (f"verdict {id}: {' or '.join(accepted(held))}" for id, held in self.verdicts.items())
        yield from (_words(name) for name in ("no_known_exploited", "no_end_of_life") if getattr(self, name))
        for name in ("max_component_age_days", "min_coverage", "max_database_age_days"):
            if (value := getattr(self, name)) is not None:
                yield f"{_words(name)} {value}"

    @property
    def nothing(self) -> bool:
        """Whether nothing is asked."""
        return next(self.asked(), None) is None


def accepted(verdicts: Wanted | tuple[Wanted, ...]) -> tuple[Wanted, ...]:
    """The verdicts of a demand: one may stand without brackets."""
    return verdicts if isinstance(verdicts, tuple) else (verdicts,)


def together(demands: Iterable[Demands]) -> Demands:
    """All of them at once."""
    every = tuple(demands)
    verdicts: dict[str, Wanted | tuple[Wanted, ...]] = {}
    for each in every:
        for id, held in each.verdicts.items():
            before = accepted(verdicts.get(id, WANTED))
            verdicts[id] = tuple(one for one in before if one in accepted(held))
    return Demands(
        min_tier=max((each.min_tier for each in every if each.min_tier), default=None),
        min_score=max((each.min_score for each in every if each.min_score is not None), default=None),
        fail_on=max((each.fail_on for each in every if each.fail_on), key=_LEVELS.index, default=None),
        forbidden_rules=tuple(dict.fromkeys(rule for each in every for rule in each.forbidden_rules)),
        verdicts=verdicts,
        no_known_exploited=any(each.no_known_exploited for each in every),
        no_end_of_life=any(each.no_end_of_life for each in every),
        max_component_age_days=_least(each.max_component_age_days for each in every),
        min_coverage=max((each.min_coverage for each in every if each.min_coverage is not None), default=None),
        max_database_age_days=_least(each.max_database_age_days for each in every),
    )


def _least(values: Iterable[int | None]) -> int | None:
    return min((each for each in values if each is not None), default=None)


def _words(name: str) -> str:
    return name.replace("_", "-")
