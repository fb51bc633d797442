"""Small files as the body of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from fwcheck.service.problems import Problem


@dataclass
class RawBody(Operation):
    """A request whose body is the file itself."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody(content={"application/octet-stream": OpenAPIMediaType(schema=schema)}, required=True)


async def body(request: Request[Any, Any, Any], limit: int) -> bytes:
    """The whole of it; raises Problem when it is larger than that."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > limit:
            raise Problem(413, "Content Too Large", f"this file may have {limit} bytes", limit=limit)
    return bytes(content)
