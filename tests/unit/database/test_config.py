"""The text of the configuration, and what a declaration may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.core.errors import SpecError
from colonnade.database.config import (
    NodeConfig,
    acknowledgements_of,
    check_parameters,
    follow_conf,
    pg_hba_conf,
    postgresql_conf,
)
from colonnade.database.quorum import synchronous_names
from colonnade.database.state import Address
from colonnade.spec.model import DatabaseSpec

QUORUM = synchronous_names(1, ("a", "b", "c"))
NODE = NodeConfig("b", 15_001, Path("/run/it's here"), Path("/data/history"), QUORUM, 18)
ASYNC = NodeConfig("b", 15_001, Path("/run/s"), Path("/data/history"), synchronous_names(0, ("a", "b", "c")), 18)


def test_every_node_has_the_same_quorum() -> None:
    assert """synchronous_standby_names = 'ANY 1 ("a", "b", "c")'""" in postgresql_conf(DatabaseSpec(), NODE)
    assert "synchronous_standby_names = ''" in postgresql_conf(DatabaseSpec(durability="async"), ASYNC)


def test_quotes_are_escaped() -> None:
    assert "unix_socket_directories = '/run/it''s here'" in postgresql_conf(DatabaseSpec(), NODE)


def test_user_parameters_are_taken_and_ours_are_refused() -> None:
    spec = DatabaseSpec(parameters={"work_mem": "8MB", "jit": False})
    text = postgresql_conf(spec, NODE)
    assert "work_mem = '8MB'" in text
    assert "jit = off" in text
    for name in ("fsync", "synchronous_commit", "Synchronous_Standby_Names", "restart_after_crash", "include"):
        with pytest.raises(SpecError, match=name) as caught:
            check_parameters({name: "off"})
        assert caught.value.hint
    with pytest.raises(SpecError):
        check_parameters({"work_mem": "8MB'\nfsync = off"})


def test_settings_of_newer_versions_are_left_out_for_older_ones() -> None:
    old = NodeConfig("b", 1, Path("/s"), Path("/h"), "", 16)
    assert "allow_alter_system" not in postgresql_conf(DatabaseSpec(), old)
    assert "io_method" not in postgresql_conf(DatabaseSpec(), old)


def test_nobody_is_trusted() -> None:
    assert "trust" not in pg_hba_conf()
    assert pg_hba_conf().count("scram-sha-256") == 3


def test_following_names_the_member_and_never_a_password() -> None:
    text = follow_conf("b", Address("127.0.0.1", 15_000), Path("/data/pgpass"))
    assert "application_name=''b''" in text
    assert "passfile=''/data/pgpass''" in text
    assert "password=" not in text
    assert follow_conf("b", None, Path("/data/pgpass")) == "primary_conninfo = ''\n"


def test_a_commit_that_would_wait_for_more_standbys_than_there_are_is_refused() -> None:
    with pytest.raises(SpecError, match="writes would hang"):
        acknowledgements_of(DatabaseSpec(standbys=1, quorum_size=2))
    assert acknowledgements_of(DatabaseSpec(standbys=0)) == 0
