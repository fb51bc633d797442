"""Whatever is sent, the service answers as its OpenAPI document says, and never with a defect of its own."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.serving import Served

pytestmark = pytest.mark.parametrize(
    "served", ["embedded"], indirect=True, scope="session"
)  # what is outside makes no difference

schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = int(os.environ.get("FWCHECK_FUZZ", "10"))  # requests for each operation
STREAM = "GET /api/v1/scans/{scan}/events"  # its errors are those of the scan's status
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


def test_no_request_finds_a_defect(served: Served) -> None:
    with served.http() as http:
        schema = schemathesis.openapi.from_dict(http.get("/schema").json())
    schema.config.update(base_url=served.url)
    asked = 0
    for operation in (result.ok() for result in schema.get_all_operations()):
        if operation.label == STREAM:
            continue

        @settings(max_examples=EXAMPLES, **QUIET)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked
            answer = case.call(headers={"Authorization": f"Bearer {served.token}"})
            asked += 1
            assert answer.status_code < 500, (case, answer.content)
            if answer.status_code >= 400:
                assert answer.headers["content-type"][0] == "application/problem+json"
                assert json.loads(answer.content)["status"] == answer.status_code

        ask()
    assert asked > 100
    assert served.events("defect") == []
