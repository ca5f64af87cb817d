"""Errors as answers: JSON in the form of RFC 9457, with a stable `code` for programs and a `detail` for people.

Says nothing of the database's inside: what happened there goes to the log.
"""

import json
from typing import Any

from colonnade.client import CommitUnknown, KeyReused, Unavailable
from flask import Flask, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from backend.validation import Invalid

RETRY_AFTER_S = 1
"""A failover is over by then."""


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    body = {"title": code.replace("_", " ").capitalize(), "status": status, "code": code, "detail": detail, **more}
    text = json.dumps(body, ensure_ascii=False) + "\n"
    return Response(text, status, content_type="application/problem+json", headers={"Cache-Control": "no-store"})


def install(app: Flask) -> None:
    """Teach `app` to answer every error in this form."""
    app.register_error_handler(Invalid, _invalid)
    app.register_error_handler(KeyReused, _key_reused)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(CommitUnknown, _outcome_unknown)
    app.register_error_handler(HTTPException, _http)


def _invalid(error: Invalid) -> Response:
    return problem(400, "invalid", "Some of the request is not as it should be.", errors=error.errors)


def _key_reused(_: KeyReused) -> Response:
    return problem(422, "idempotency_key_reused", "This Idempotency-Key was used for a different request before.")


def _unavailable(_: Exception) -> Response:
    detail = "The database is changing hands. Nothing is lost by sending the same request again."
    response = problem(503, "unavailable", detail)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _outcome_unknown(error: CommitUnknown) -> Response:
    if error.is_repeatable:
        return _unavailable(error)
    # Not 503, which invites everybody on the way to send the request again.
    detail = (
        "The connection broke while the write was being committed: it may or may not have happened. "
        "Look before repeating it; with an Idempotency-Key repeating is always safe."
    )
    return problem(504, "outcome_unknown", detail)


def _http(error: HTTPException) -> Response:
    # Keeps the exception's own headers, such as Allow; an unforeseen error arrives here as a plain 500.
    code = "internal_error" if isinstance(error, InternalServerError) else (error.name or "error").lower()
    response = problem(error.code or 500, code.replace(" ", "_"), error.description or "")
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response
