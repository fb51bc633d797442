"""Words that no text of the tool may use of a product: it finds contradictions, it never grants anything."""

from __future__ import annotations

import re

_CLAIMS = re.compile(
    r"\b(compl(?:y|ies|iant|iance|ying)|conform(?:s|ed|ing|ant|ance|ity)?|certif(?:ied|ies)|pass(?:es|ed|ing)?|ready|"
    r"fulfil(?:s|led|ls)?|meets the requirements?)\b|適合|合格|準拠|認証済|認証取得",
    re.IGNORECASE,
)


def claims(text: str) -> list[str]:
    """Every forbidden word of ``text``, with its surroundings."""
    return [text[max(0, hit.start() - 30) : hit.end() + 30] for hit in _CLAIMS.finditer(text)]
