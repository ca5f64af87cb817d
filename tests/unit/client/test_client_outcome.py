"""What follows from a failed attempt: another one, or an exception that tells the truth."""

from __future__ import annotations

import psycopg
import psycopg.errors
import pytest

from colonnade.client import CommitUnknown, Token, Unavailable, idempotent
from colonnade.client.failures import NotReplicated
from colonnade.client.outcome import Attempts, is_declared_idempotent

CUT_OFF = psycopg.OperationalError("server closed the connection unexpectedly")


def attempts(*, is_repeatable: bool = False) -> Attempts:
    tried = Attempts(Token(), is_repeatable=is_repeatable)
    tried.begin()
    return tried


def test_before_commit_was_sent_another_attempt_is_always_right() -> None:
    tried = attempts()
    tried.failed(CUT_OFF)
    assert isinstance(tried.give_up(), Unavailable)


@pytest.mark.parametrize("error", [CUT_OFF, NotReplicated("01000: canceling the wait"), psycopg.errors.AdminShutdown()])
def test_after_commit_was_sent_the_outcome_is_unknown_and_nothing_is_repeated(error: Exception) -> None:
    tried = attempts()
    tried.commit_sent = True
    with pytest.raises(CommitUnknown) as raised:
        tried.failed(error)
    assert not raised.value.is_repeatable
    assert raised.value.token.demands_primary(), "that is where the outcome can be looked up"
    assert raised.value.__cause__ is error


def test_what_is_declared_idempotent_is_repeated_and_stays_unknown_when_time_is_up() -> None:
    tried = attempts(is_repeatable=True)
    tried.commit_sent = True
    tried.failed(CUT_OFF)
    tried.begin()
    assert not tried.commit_sent
    tried.failed(CUT_OFF)  # this attempt was undone; the first may have happened
    last = tried.give_up()
    assert isinstance(last, CommitUnknown)
    assert last.is_repeatable


def test_a_servers_error_in_answer_to_commit_means_undone() -> None:
    """With a diagnosis, which only the server gives."""

    class Diagnosed(psycopg.errors.UniqueViolation):
        @property
        def diag(self) -> psycopg.errors.Diagnostic:
            class Said:
                severity_nonlocalized = "ERROR"

            return Said()  # type: ignore[return-value]

    tried = attempts()
    tried.commit_sent = True
    error = Diagnosed()
    with pytest.raises(psycopg.errors.UniqueViolation):
        tried.failed(error)


def test_bugs_are_raised_as_they_are() -> None:
    with pytest.raises(psycopg.ProgrammingError):
        attempts().failed(psycopg.ProgrammingError("wrong number of parameters"))


def test_idempotence_is_declared_by_the_author() -> None:
    @idempotent
    def upsert() -> None: ...

    def insert() -> None: ...

    assert is_declared_idempotent(upsert)
    assert not is_declared_idempotent(insert)
