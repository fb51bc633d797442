"""One service for all tests that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.serving import INSECURE, REPAIRED, Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    service = Served(tmp_path_factory.mktemp("service"))
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def scanned(served: Served) -> dict[str, str]:
    """The insecure and the repaired sample as two versions of one product: name to scan."""
    ids = {}
    for name, image in (("insecure", INSECURE), ("repaired", REPAIRED)):
        answer = served.upload(image, product="sample router", version=name)
        assert answer.status_code == 202, answer.text
        ids[name] = answer.json()["id"]
    for id in ids.values():
        assert served.settled(id)["status"] == "done"
    return ids
