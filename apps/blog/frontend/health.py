"""Whether this replica lives and may be sent requests.

Ready never asks the backend: all frontends share it, so its trouble would take every one of them out of rotation and
leave nobody to say so on a decent page.
"""

from flask import Blueprint, Response

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def live() -> Response:
    return Response("live\n", content_type="text/plain")


@blueprint.get("/readyz")
def ready() -> Response:
    return Response("ready\n", content_type="text/plain")
