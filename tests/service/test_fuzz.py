"""Whatever is sent, the service answers as its OpenAPI document says, and never with a defect of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.serving import Served

schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = int(os.environ.get("FWCHECK_FUZZ", "10"))  # requests for each operation
STREAM = "GET /api/v1/scans/{scan}/events"  # its errors are those of the scan's status
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A service of its own: what is sent to it leaves uploads and tokens behind."""
    service = Served(tmp_path, workers=-1)
    yield service
    service.stop()


def test_no_request_finds_a_defect(own: Served) -> None:
    with own.http() as http:
        schema = schemathesis.openapi.from_dict(http.get("/schema").json())
    schema.config.update(base_url=own.url)
    asked = 0
    for operation in (result.ok() for result in schema.get_all_operations()):
        if operation.label == STREAM:
            continue

        @settings(max_examples=EXAMPLES, **QUIET)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            answer = case.call(headers={"Authorization": f"Bearer {own.token}"})
            asked += 1
            assert answer.status_code < 500, (case, answer.content)
            if answer.status_code >= 400:
                assert answer.headers["content-type"][0] == "application/problem+json"
                assert json.loads(answer.content)["status"] == answer.status_code

        ask()
    assert asked > 100
    assert own.events("defect") == []
