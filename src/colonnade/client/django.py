"""Django: each visitor's token in a cookie, so that every replica serves them what they have written.

MIDDLEWARE = [..., "colonnade.client.django.VisitMiddleware"]; then, in a view, request.visit.write(work).

The database and the key come from the environment (`Settings.from_environ`). For views that are called in threads,
which are Django's own way; in `async` views use `aio.py` with the token of `request.visit`.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse  # type: ignore[import-untyped]
from django.utils.cache import patch_vary_headers  # type: ignore[import-untyped]

from colonnade.client.database import Database
from colonnade.client.settings import Settings
from colonnade.client.signing import COOKIE, TokenSigner
from colonnade.client.token import Token
from colonnade.client.visit import Visit


class VisitMiddleware:
    """Gives every request its `visit`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        settings = Settings.from_environ()
        self.database = Database(settings)
        self._signer = TokenSigner(settings.signing_key)
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Also after an error: when an outcome is unknown, the visitor's next look must be at the primary."""
        before = self._signer.verify(request.COOKIES.get(COOKIE)) or Token()
        visit = Visit(self.database, before)
        request.visit = visit
        response = self._get_response(request)
        if visit.is_used:
            patch_vary_headers(response, ["Cookie"])  # what is shown depends on it
        if visit.token != before:
            response.set_cookie(
                COOKIE,
                self._signer.sign(visit.token),
                max_age=self._signer.max_age_s(visit.token),
                httponly=True,
                samesite="Lax",
                secure=request.is_secure(),
            )
        return response
