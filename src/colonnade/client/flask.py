"""Flask: each visitor's token in a cookie, so that every replica serves them what they have written.

visits = Visits(app, Database.from_environ(), TokenSigner(key))
visits.here.write(work); visits.here.read(work).value
"""

from __future__ import annotations

from flask import Flask, Response, g, request

from colonnade.client.database import Database
from colonnade.client.signing import COOKIE, TokenSigner
from colonnade.client.visit import Visit


class Visits:
    """Installs itself in `app`; `here` is the visit of the request that is being answered."""

    def __init__(self, app: Flask, database: Database, signer: TokenSigner, *, cookie: str = COOKIE) -> None:
        self.database = database
        self._signer = signer
        self._cookie = cookie
        app.after_request(self._keep)

    @property
    def here(self) -> Visit:
        """Made from the cookie when first asked for. A cookie that is forged or expired is none."""
        visit: Visit | None = g.get("colonnade_visit")
        if visit is None:
            visit = Visit(self.database, self._signer.verify(request.cookies.get(self._cookie)))
            g.colonnade_visit, g.colonnade_token = visit, visit.token
        return visit

    def _keep(self, response: Response) -> Response:
        """Also after an error: when an outcome is unknown, the visitor's next look must be at the primary."""
        visit: Visit | None = g.get("colonnade_visit")
        if visit is None:
            return response
        response.vary.add("Cookie")  # what is shown depends on it
        if visit.token != g.colonnade_token:
            response.set_cookie(
                self._cookie,
                self._signer.sign(visit.token),
                max_age=self._signer.max_age_s(visit.token),
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
            )
        return response
