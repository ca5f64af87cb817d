"""One entry for each thing that the page's API offers: its route, its description for machines (OpenAPI) and the check
of what is sent are made from it, so that none of the three can say something else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade import __version__
from colonnade.core.errors import ColonnadeError, DriverUnavailable, HostError, SpecError

BODY_BYTES_MAX = 16 * 1024

Text = Annotated[str, StringConstraints(max_length=200)]
"""Names and searches: nobody means anything by more."""


class Asked(BaseModel):
    """What may be sent, in a body or behind a `?`. What is not named is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Asked):
    """No parameters."""


AskedT = TypeVar("AskedT", bound=Asked)

Handler = Callable[[Request, Any], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Offer:
    """`asked` is what `handle` gets beside the request: from the query of a GET, from the body of a POST."""

    method: str
    path: str
    summary: str
    handle: Handler
    asked: type[Asked] = Nothing
    answers: str = "application/json"

    def route(self) -> Route:
        return Route(self.path, self._answer, methods=[self.method], name=self.path)

    async def _answer(self, request: Request) -> Response:
        try:
            raw = await _body(request) if self.method == "POST" else _query(request)
            asked = self.asked.model_validate(raw)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            return refused(SpecError(problem["msg"], subject=where, hint="see /api/openapi.json"))
        except ColonnadeError as error:
            return refused(error)
        try:
            return await self.handle(request, asked)
        except ColonnadeError as error:
            return refused(error)


def refused(error: ColonnadeError) -> JSONResponse:
    away = isinstance(error, DriverUnavailable)
    status = 503 if away else 409 if error.exit_code == HostError.exit_code else 400
    return JSONResponse({"error": error.message, "hint": error.hint, "subject": error.subject}, status_code=status)


def _query(request: Request) -> dict[str, Any]:
    return dict(request.query_params)


async def _body(request: Request) -> Any:
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY_BYTES_MAX:
            raise SpecError("the request is too large", subject="body", hint=f"at most {BODY_BYTES_MAX} bytes")
    try:
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise SpecError("is not JSON", subject="body", hint="send an object") from error


def describe(offers: Sequence[Offer], *, proof_header: str) -> dict[str, Any]:
    """The OpenAPI description."""
    paths: dict[str, dict[str, Any]] = {}
    for offer in offers:
        schema = offer.asked.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("title", None)
        operation: dict[str, Any] = {"summary": offer.summary, "responses": _responses(offer)}
        if offer.method == "POST":
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        else:
            required = schema.get("required", [])
            operation["parameters"] = [
                {"name": name, "in": "query", "required": name in required, "schema": about}
                for name, about in schema.get("properties", {}).items()
            ]
        paths.setdefault(offer.path, {})[offer.method.lower()] = operation
    proof = {"type": "apiKey", "in": "header", "name": proof_header}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Colonnade dashboard", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"proof": proof}},
        "security": [{"proof": []}],
    }


def _responses(offer: Offer) -> Mapping[str, Any]:
    refusals = {"400": "not understood", "401": "nobody is logged in", "403": "not allowed", "409": "not possible now"}
    said = {code: {"description": text} for code, text in refusals.items()}
    more = {"421": {"description": "another host was asked for"}, "429": {"description": "too often"}}
    more |= {"503": {"description": "the controller is away"}}
    return {"200": {"description": "done", "content": {offer.answers: {}}}, **said, **more}
