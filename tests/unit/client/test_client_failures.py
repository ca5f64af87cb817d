"""Which failed writes may be tried again: the table that everything else relies on."""

import psycopg
import psycopg.errors
import pytest
import sqlalchemy.exc

from colonnade.client.failures import Failure, Fate, NotReplicated, fate, spoils_the_pool

AGAIN, FOR_GOOD, UNKNOWN = Fate.UNDONE_TRY_AGAIN, Fate.UNDONE_FOR_GOOD, Fate.UNKNOWN


@pytest.mark.parametrize(
    ("sqlstate", "severity", "before_commit", "after_commit"),
    [
        (None, None, AGAIN, UNKNOWN),  # cut off: the case everything is about
        ("08006", "FATAL", AGAIN, UNKNOWN),
        ("08006", "ERROR", AGAIN, UNKNOWN),  # a driver's own word, not the server's
        ("57P01", "FATAL", AGAIN, UNKNOWN),  # shut down while waiting for the standbys
        ("57P02", "FATAL", AGAIN, UNKNOWN),
        ("57P03", "FATAL", AGAIN, UNKNOWN),
        ("53300", "FATAL", AGAIN, UNKNOWN),
        ("25006", "ERROR", AGAIN, AGAIN),  # a standby refused it: whenever it did, nothing is written
        ("40001", "ERROR", AGAIN, AGAIN),  # may be raised by COMMIT itself, which then rolls back
        ("40P01", "ERROR", AGAIN, AGAIN),
        ("55P03", "ERROR", AGAIN, AGAIN),
        ("40003", "ERROR", FOR_GOOD, UNKNOWN),  # statement_completion_unknown says so itself
        ("23505", "ERROR", FOR_GOOD, FOR_GOOD),  # a constraint checked at COMMIT: known not to be written
        ("42P01", "ERROR", FOR_GOOD, FOR_GOOD),
        ("XX000", "PANIC", FOR_GOOD, UNKNOWN),
    ],
)
def test_fate_of_a_failed_transaction(
    sqlstate: str | None, severity: str | None, before_commit: Fate, after_commit: Fate
) -> None:
    failure = Failure(sqlstate, severity)
    assert fate(failure, commit_sent=False) is before_commit
    assert fate(failure, commit_sent=True) is after_commit


def test_warning_on_commit_is_never_a_success_nor_a_failure() -> None:
    failure = Failure.of(NotReplicated("01000: canceling wait for synchronous replication"))
    assert failure is not None
    assert fate(failure, commit_sent=True) is UNKNOWN


def test_no_free_connection_is_a_passing_trouble() -> None:
    failure = Failure.of(sqlalchemy.exc.TimeoutError())
    assert failure is not None
    assert fate(failure, commit_sent=False) is AGAIN


def test_errors_that_are_bugs_are_not_failures_of_the_database() -> None:
    assert Failure.of(ValueError()) is None
    assert Failure.of(psycopg.ProgrammingError("wrong number of parameters")) is None


def test_failure_is_found_inside_of_what_sqlalchemy_raises() -> None:
    wrapped = sqlalchemy.exc.OperationalError("INSERT", {}, psycopg.errors.ReadOnlySqlTransaction())
    failure = Failure.of(wrapped)
    assert failure is not None
    assert failure.sqlstate == "25006"


@pytest.mark.parametrize(
    ("sqlstate", "spoiled"), [("25006", True), ("57P01", True), ("08006", True), ("40001", False), (None, False)]
)
def test_only_a_dead_or_demoted_node_spoils_the_pool(sqlstate: str | None, spoiled: bool) -> None:
    assert spoils_the_pool(Failure(sqlstate, "ERROR")) is spoiled
