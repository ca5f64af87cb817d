"""Whether this replica lives and may be sent requests.

Ready never asks the database: all replicas share it, so its failover would take every one of them out of rotation at
the moment in which they should be waiting for the new primary.
"""

from flask import Blueprint, Response

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def live() -> Response:
    return Response("live\n", content_type="text/plain")


@blueprint.get("/readyz")
def ready() -> Response:
    return Response("ready\n", content_type="text/plain")
