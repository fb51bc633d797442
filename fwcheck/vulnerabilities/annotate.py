"""Components with what is known of their versions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fwcheck.model import Component
from fwcheck.vulnerabilities.database import Knowledge


def annotate(components: Iterable[Component], knowledge: Knowledge) -> tuple[Component, ...]:
    """The same components with their vulnerabilities, release date and end of support filled in.

    Only a component that carries its project's name is looked up: a sub-package of a distribution has none of its own.
    """
    return tuple(
        msgspec.structs.replace(
            component,
            vulnerabilities=knowledge.vulnerabilities(component),
            end_of_life=knowledge.end_of_life(component),
            released=knowledge.released(component),
        )
        for component in components
    )
