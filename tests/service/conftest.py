"""One service for all tests that do not break it: the embedded default, and the same with everything that can be outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.backends import Redis, missing, object_store, postgres, rabbitmq
from support.serving import INSECURE, REPAIRED, Served

# Outside: PostgreSQL, Celery over Redis, an object store. Queued: PostgreSQL, Celery over RabbitMQ, the data folder.
KINDS = ("embedded", "outside", "queued")


@pytest.fixture(scope="session", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as stack:
        environment = surroundings(request.param, folder, stack)
        service = Served(folder, environment=environment)
        stack.callback(service.stop)
        yield service


def surroundings(kind: str, folder: Path, stack: ExitStack) -> dict[str, str]:
    """The settings that name what is outside, started for it."""
    if kind == "embedded":
        return {}
    if lacks := missing("postgresql", "redis-server" if kind == "outside" else "rabbitmq-server"):
        pytest.skip(lacks)
    environment = {"FWCHECK_DATABASE": stack.enter_context(postgres())("fwcheck")}
    if kind == "queued":
        return {**environment, "FWCHECK_BROKER": stack.enter_context(rabbitmq())}
    redis = Redis(folder)
    stack.callback(redis.stop)
    return {**environment, **stack.enter_context(object_store()), "FWCHECK_BROKER": redis.url}


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
