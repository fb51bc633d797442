"""The base score of a CVSS 4.0 vector (FIRST, CVSS v4.0 specification, section 8: macro vectors, and interpolation in them).

Threat and environmental metrics are left out, as for a base score: exploit maturity counts as attacked, requirements as high. Of
the specification's 270 macro vectors that leaves those that stand here.
"""

from __future__ import annotations

from itertools import product

# Steps of a tenth that a metric's value lies below its worst.
_STEPS = {
    "AV": "NALP", "PR": "NLH", "UI": "NPA", "AC": "LH", "AT": "NP", "VC": "HLN", "VI": "HLN", "VA": "HLN", "SC": "SHLN",
    "SI": "SHLN", "SA": "SHLN",
}  # fmt: skip
# Rows by EQ1 and EQ2; columns by EQ3 with EQ6 (00, 01, 10, 11, 21), each for EQ4 of 1 and 2.
_THIRD = ("00", "01", "10", "11", "21")
_SCORES = (
    (10.0, 9.3, 9.6, 9.0, 9.3, 8.8, 9.2, 8.0, 7.9, 6.9),
    (9.5, 9.2, 9.1, 8.1, 9.2, 8.4, 8.2, 7.0, 7.1, 6.3),
    (9.4, 8.7, 8.9, 7.5, 8.6, 7.2, 7.6, 5.7, 6.5, 5.3),
    (9.0, 7.7, 7.7, 6.6, 7.4, 6.1, 5.9, 5.2, 5.8, 2.3),
    (8.6, 7.0, 7.4, 5.4, 7.2, 5.3, 5.7, 3.6, 4.7, 2.4),
    (7.3, 5.4, 5.5, 4.3, 6.1, 4.6, 5.1, 1.8, 2.4, 1.0),
)
# The worst vectors of each equivalence, and the steps from there to its mildest.
_FIRST = (("AV:N/PR:N/UI:N",), ("AV:A/PR:N/UI:N", "AV:N/PR:L/UI:N", "AV:N/PR:N/UI:P"), ("AV:P/PR:N/UI:N", "AV:A/PR:L/UI:P"))
_SECOND = (("AC:L/AT:N",), ("AC:H/AT:N", "AC:L/AT:P"))
_SYSTEM = {"00": ("VC:H/VI:H/VA:H",), "10": ("VC:L/VI:H/VA:H", "VC:H/VI:L/VA:H"), "21": ("VC:L/VI:L/VA:L",)}
_BEYOND = {1: ("SC:H/SI:H/SA:H",), 2: ("SC:L/SI:L/SA:L",)}
_DEPTH_FIRST, _DEPTH_SECOND = (1, 4, 5), (1, 2)
_DEPTH_SYSTEM = {"00": 7, "10": 8, "21": 10}
_DEPTH_BEYOND = {1: 5, 2: 4}
_LOWER = {"00": ("01", "10"), "10": ("11",), "21": ()}


def score(metrics: dict[str, str]) -> float:
    """The base score; raises KeyError or ValueError for metrics that are missing or unknown."""
    held = {name: values.index(metrics[name]) for name, values in _STEPS.items()}
    impact = [metrics[name] for name in ("VC", "VI", "VA", "SC", "SI", "SA")]
    if "S" in impact:  # safety is a modified metric alone
        raise ValueError("no base metric")
    if set(impact) == {"N"}:
        return 0.0
    place = _place(metrics)
    worst = _worst(held, place)
    value = _value(*place)
    first, second, system, beyond = place
    lower = (  # the macro vectors one step down in one equivalence, the metrics of it, and its depth
        ([_value(first + 1, second, system, beyond)] if first < 2 else [], ("AV", "PR", "UI"), _DEPTH_FIRST[first]),
        ([_value(first, 1, system, beyond)] if second < 1 else [], ("AC", "AT"), _DEPTH_SECOND[second]),
        ([_value(first, second, each, beyond) for each in _LOWER[system]], ("VC", "VI", "VA"), _DEPTH_SYSTEM[system]),
        ([_value(first, second, system, 2)] if beyond < 2 else [], ("SC", "SI", "SA"), _DEPTH_BEYOND[beyond]),
    )
    parts = [0.0]  # exploit maturity: there is a lower one, and this is the worst of its own
    for values, names, depth in lower:
        if values:
            steps = sum(held[name] - worst[name] for name in names)
            parts.append((value - max(values)) * steps / depth)
    return _rounded(value - sum(parts) / len(parts))


def _place(metrics: dict[str, str]) -> tuple[int, int, str, int]:
    """EQ1, EQ2, EQ3 with EQ6, EQ4 of a base vector."""
    near = metrics["AV"] == "N", metrics["PR"] == "N", metrics["UI"] == "N"
    first = 0 if all(near) else 1 if any(near) and metrics["AV"] != "P" else 2
    second = 0 if metrics["AC"] == "L" and metrics["AT"] == "N" else 1
    high = [metrics[name] == "H" for name in ("VC", "VI", "VA")]
    system = "00" if high[0] and high[1] else "10" if any(high) else "21"
    return first, second, system, 1 if "H" in (metrics["SC"], metrics["SI"], metrics["SA"]) else 2


def _worst(held: dict[str, int], place: tuple[int, int, str, int]) -> dict[str, int]:
    """The first of the worst vectors of this macro vector that is nowhere milder than the vector itself."""
    first, second, system, beyond = place
    for parts in product(_FIRST[first], _SECOND[second], _SYSTEM[system], _BEYOND[beyond]):
        pairs = (metric.split(":") for part in parts for metric in part.split("/"))
        found = {name: _STEPS[name].index(value) for name, value in pairs}
        if all(found[name] <= step for name, step in held.items()):
            return found
    raise ValueError("no worst vector")


def _value(first: int, second: int, system: str, beyond: int) -> float:
    return _SCORES[first * 2 + second][_THIRD.index(system) * 2 + beyond - 1]


def _rounded(value: float) -> float:
    """One decimal, halves upwards; within 0 and 10."""
    return int(min(max(value, 0.0), 10.0) * 10 + 0.5 + 1e-6) / 10
