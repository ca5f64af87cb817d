"""The mark of a recent write: recognised by every replica, by nobody forged, and not for long."""

import pytest
from flask import Flask, Response, request
from itsdangerous import TimestampSigner

from backend.recent_write import COOKIE, FOR_S, RecentWrite

KEY = b"k" * 32


def is_marked(token: str, key: bytes = KEY) -> bool:
    with Flask(__name__).test_request_context(headers={"Cookie": f"{COOKIE}={token}"}):
        return RecentWrite(key).is_marked(request)


def token() -> str:
    with Flask(__name__).test_request_context():
        response = Response()
        RecentWrite(KEY).mark(response, request)
        return response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


def test_every_replica_with_the_same_key_recognises_it() -> None:
    assert is_marked(token())


def test_forged_and_foreign_marks_count_for_nothing() -> None:
    assert not is_marked("w.abc.def")
    assert not is_marked("")
    assert not is_marked(token(), key=b"another")


def test_it_wears_off(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = token()
    now = TimestampSigner(KEY).get_timestamp()
    # The signer reads the clock itself; there is no other way to let seconds pass without waiting for them.
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: now + FOR_S + 2)
    assert not is_marked(mark)
