"""Count with POST, look with GET, and say who answered."""

import os

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from visits.models import Page


@require_http_methods(["GET", "HEAD", "POST"])
def visits(request: HttpRequest) -> HttpResponse:
    """GET only looks: the gateway may repeat it on another replica when one dies, which must not count twice."""
    if request.method == "POST":
        count = count_visit(request.path)
    else:
        count = Page.objects.filter(path=request.path).values_list("visits", flat=True).first() or 0
    replica = os.environ.get("COLONNADE_REPLICA", "no replica")
    return HttpResponse(f"{count} visits, says {replica}\n", content_type="text/plain")


def count_visit(path: str) -> int:
    """Adds one in the database itself, so that two replicas at once never count two visits as one."""
    with transaction.atomic():
        Page.objects.get_or_create(path=path)
        Page.objects.filter(path=path).update(visits=F("visits") + 1)
        return Page.objects.get(path=path).visits


def healthy(request: HttpRequest) -> HttpResponse:
    """Alive and ready. Never asks the database: all replicas share it, and would all leave the gateway together."""
    return HttpResponse("ok\n", content_type="text/plain")
