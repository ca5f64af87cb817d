"""Errors as pages of the same design. What went wrong inside goes to the log, not to the visitor."""

from dataclasses import dataclass

from flask import Flask, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from frontend.backend_client import BackendUnavailable


@dataclass(frozen=True, slots=True)
class Words:
    heading: str
    text: str


WORDS = {
    403: Words("Not from here", "This form was sent from another site, so nothing was saved."),
    404: Words("Nothing here", "There is no page at this address. It may have been mistyped, or never have existed."),
    405: Words("Not like that", "This address does not take that kind of request."),
    413: Words("Too long", "That was more text than a post can hold: at most 16,000 characters."),
    500: Words("Our mistake", "Something failed on our side and has been written down. Nothing you did was wrong."),
    503: Words(
        "The database is changing hands",
        "One of its servers has failed and another is taking over. This usually takes less than a second. "
        "Nothing that was saved is lost.",
    ),
}
OTHERWISE = Words("That did not work", "The request could not be understood.")


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(BackendUnavailable, _unavailable)


def _http(error: HTTPException) -> Response:
    response = _page(error.code or 500)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _unavailable(_: BackendUnavailable) -> Response:
    response = _page(503)
    response.headers["Retry-After"] = "1"
    return response


def _page(status: int) -> Response:
    again = request.full_path.rstrip("?") if status == 503 and request.method == "GET" else None
    return make_response(
        render_template("error.html", status=status, words=WORDS.get(status, OTHERWISE), again=again), status
    )
