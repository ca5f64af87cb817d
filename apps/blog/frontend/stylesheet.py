"""Serve the stylesheet and the icon so that browsers ask for them once.

Their address carries a hash of their content. During a rollout an old replica may be asked for the new address; it
then answers without letting anybody keep the answer, else a browser would hold the old style for a year.
"""

import hashlib
from pathlib import Path

from flask import Flask, Response, request, url_for

FOR_A_YEAR = "public, max-age=31536000, immutable"


def install(app: Flask) -> None:
    folder = Path(app.static_folder or "static")
    versions = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in folder.iterdir() if path.is_file()
    }

    @app.template_global()
    def asset(name: str) -> str:
        """The address of a file in `static`."""
        return url_for("static", filename=name, v=versions[name])

    @app.after_request
    def set_lifetime(response: Response) -> Response:
        if request.endpoint == "static":
            name = (request.view_args or {}).get("filename", "")
            is_current = response.status_code < 400 and request.args.get("v") == versions.get(name)
            response.headers["Cache-Control"] = FOR_A_YEAR if is_current else "no-cache"
        return response
