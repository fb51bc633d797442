"""The pages say everything in both languages."""

from __future__ import annotations

import re

from fwcheck.service.pages.render import words


def test_every_word_has_both_languages() -> None:
    for key, both in words().items():
        assert len(both) == 2, key
        assert all(both), key
        assert key == "language" or not re.search(r"[ぁ-んァ-ヶ一-龠]", both[0]), key
