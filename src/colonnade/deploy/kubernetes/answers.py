"""What the answers of an API server mean that are no success: errors of lightkube and of HTTP, as ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import msgspec
from lightkube import ApiError
from lightkube.core.exceptions import ConfigError

from colonnade.core.errors import DriverError, DriverUnavailable, HostError

ANSWER_CHARS = 200
"""Shown of an answer that is not the API's own."""


class WrittenMeanwhile(DriverUnavailable):
    """Somebody else wrote to the object since it was looked at (409)."""


class NotServed(DriverError):
    """There is nothing of that kind or name, or one may not see it (404, 403)."""


def _is_for_now(code: int) -> bool:
    """Whether the same request may be answered otherwise in a moment. 401: whoever knows the users is away. 409:
    somebody else wrote at the same time. 429: it is busy."""
    return code >= 500 or code in (401, 409, 429)


def _refused(code: int, said: str, subject: str) -> DriverError:
    """What an answer that is an error means."""
    if _is_for_now(code):
        found = WrittenMeanwhile if code == 409 else DriverUnavailable
        return found(
            f"the API server cannot do that now: {said} ({code})",
            subject=subject,
            hint="wait a moment and ask again; `kubectl get nodes` shows whether it is well",
        )
    return (NotServed if code in (403, 404) else DriverError)(
        f"the API server refuses: {said} ({code})",
        subject=subject,
        hint="`kubectl auth whoami` and `kubectl auth can-i --list` show who you are there and what you may",
    )


def _excerpt(answer: httpx2.Response) -> str:
    """Of an answer in no format of the API: a proxy's, or that of a server which is starting, or busy."""
    # The body of one that was to be followed is not read yet.
    text = " ".join(answer.text.split()) if answer.is_closed else ""
    return text[:ANSWER_CHARS] or answer.reason_phrase or "no word"


@contextmanager
def translated(subject: str) -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        code = error.status.code or error.response.status_code
        raise _refused(code, error.status.message or error.response.reason_phrase, subject) from error
    except httpx2.HTTPStatusError as error:
        if error.response.status_code == 404:
            # Of a thing that is not there it speaks in its own format.
            raise NotServed(
                "this cluster has nothing of that kind",
                subject=subject,
                hint="install what brings it, or leave the component out (--with)",
            ) from error
        raise _refused(error.response.status_code, _excerpt(error.response), subject) from error
    except ConfigError as error:
        # Found out at the first request: a way to log in that lightkube does not know.
        raise HostError(
            f"the kubeconfig's way to log in does not do: {error}",
            subject="kubeconfig",
            hint="with `kubectl create token` a user with a plain token can be made",
        ) from error
    except (json.JSONDecodeError, msgspec.MsgspecError) as error:
        raise DriverError(
            f"what answers is no API server: {error}",
            subject=subject,
            hint="is a proxy, or a page to log in, in between? `kubectl get --raw /version` shows what answers",
        ) from error
    except httpx2.HTTPError as error:
        raise DriverUnavailable(
            f"the API server does not answer: {error}", subject=subject, hint="does `kubectl get nodes` answer?"
        ) from error
