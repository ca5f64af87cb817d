"""What is due, and what may go; and that nothing goes which a kept backup needs, whatever there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.database.backup.catalogue import (
    Backup,
    backup_from_json,
    backup_to_json,
    chain_of,
    new_id,
    stamp,
    usable,
)
from colonnade.database.backup.lineage import SEGMENT_BYTES, lineage_of, segment_name
from colonnade.database.backup.schedule import (
    CHAIN_MAX,
    RETRY_MAX_S,
    Situation,
    TakeBackup,
    VerifyLatest,
    decide,
    dispensable_wal,
    retain,
)
from colonnade.spec.model import BackupSpec

from .backup_builders import HOUR_S, backup

SPEC = BackupSpec()
ONE = (backup(10),)


@pytest.mark.parametrize(
    ("situation", "at_h", "reason"),
    [
        (Situation((), has_primary=True), 10, "no_usable_backup"),
        (Situation((), has_primary=False), 10, "no_primary"),
        (Situation((), has_primary=True, is_busy=True), 10, "busy"),
        (Situation((), has_primary=True, failures=1, failed_at_s=10 * HOUR_S - 30), 10, "waits_after_failure"),
        (Situation((), has_primary=True, failures=1, failed_at_s=10 * HOUR_S - 90), 10, "no_usable_backup"),
        (Situation((), has_primary=True, failures=99, failed_at_s=9 * HOUR_S - 1), 10, "no_usable_backup"),
        (Situation(ONE, has_primary=True), 10.5, "nothing_due"),
        (Situation(ONE, has_primary=True), 11, "incremental_due"),
        (Situation(ONE, has_primary=True), 34, "full_due"),
        (Situation(ONE, has_primary=True), 5, "nothing_due"),
        (Situation((*ONE, backup(11, 10)), has_primary=True), 11.5, "nothing_due"),
        (Situation((*ONE, backup(11, 10)), has_primary=True), 12, "incremental_due"),
        (Situation((*ONE, backup(33, 10)), has_primary=True), 33.5, "nothing_due"),
    ],
)
def test_what_is_due(situation: Situation, at_h: float, reason: str) -> None:
    decision = decide(at_h * HOUR_S, situation, SPEC)
    assert decision.reason == reason
    assert decision.message
    assert bool(decision.actions) == reason.endswith(("due", "backup")) or reason == "nothing_due"


def test_without_incrementals_only_full_ones_are_made() -> None:
    spec = BackupSpec(incremental_every=0)
    assert decide(20 * HOUR_S, Situation(ONE, has_primary=True), spec).reason == "nothing_due"


def test_a_long_chain_ends_with_a_full_one() -> None:
    spec = BackupSpec(full_every=9999 * 86400.0)
    chain = [backup(1), *(backup(number, number - 1) for number in range(2, CHAIN_MAX + 3))]
    decision = decide((CHAIN_MAX + 5) * HOUR_S, Situation(chain, has_primary=True), spec)
    assert (decision.reason, decision.actions) == ("chain_full", (TakeBackup("full"),))


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, True),
        ({"verified_at_s": 10 * HOUR_S}, True),
        ({"verified_at_s": 100 * HOUR_S}, False),
        ({"verification_failures": 1, "verification_failed_at_s": 180 * HOUR_S - 10}, False),
        ({"verification_failures": 20, "verification_failed_at_s": 180 * HOUR_S - RETRY_MAX_S}, True),
    ],
)
def test_when_a_trial_restore_is_due(changes: dict[str, Any], is_due: bool) -> None:
    spec = BackupSpec(full_every=999 * 86400.0, incremental_every=0)
    decision = decide(180 * HOUR_S, replace(Situation(ONE, has_primary=True), **changes), spec)
    assert (decision.actions == (VerifyLatest(),)) is is_due
    never = BackupSpec(full_every=999 * 86400.0, incremental_every=0, verify_every=0)
    assert decide(180 * HOUR_S, replace(Situation(ONE, has_primary=True), **changes), never).reason == "nothing_due"


def test_the_newest_fulls_are_kept_with_what_rests_on_them() -> None:
    backups = [backup(1), backup(2, 1), backup(3), backup(4, 3), backup(5, 4), backup(6)]
    found = retain(backups, backups, "", 2)
    assert [each.id for each in found.backups] == ["b2", "b1"]
    assert found.wal_before == 3000


def test_the_last_one_that_was_proved_good_is_kept() -> None:
    backups = [backup(1), backup(2, 1), backup(3), backup(4)]
    assert [each.id for each in retain(backups, backups, "b2", 1).backups] == ["b3"]


def test_nothing_goes_while_the_present_history_has_no_full_backup() -> None:
    backups = [backup(1), backup(2), backup(3)]
    found = retain(backups, (), "", 1)
    assert (found.backups, found.wal_before) == ((), None)
    assert dispensable_wal([segment_name(1, 0)], found) == []


def test_backups_of_a_history_that_was_left_stay_until_newer_ones_push_them_out() -> None:
    old, left, new = backup(1), backup(2, lsn=2_000), backup(3, timeline=2, lsn=1_600)
    lineage = lineage_of(2, {2: [(1, 1_500)]})
    assert usable([old, left, new], lineage) == (old, new)
    assert retain([old, left, new], usable([old, left, new], lineage), "", 2).backups == ()
    assert retain([old, left, new], usable([old, left, new], lineage), "", 1).backups == (left, old)


def test_a_backup_survives_its_json() -> None:
    assert backup_from_json(backup_to_json(backup(2, 1))) == backup(2, 1)
    assert new_id(0, "full") == "19700101T000000Z-full"
    assert stamp(0) == "1970-01-01 00:00:00 UTC"


@st.composite
def catalogues(draw: st.DrawFn) -> list[Backup]:
    found: list[Backup] = []
    for number in range(1, draw(st.integers(1, 25))):
        parents = [each for each in found if chain_of(each, found)]
        is_full = not parents or draw(st.booleans())
        parent = None if is_full else int(draw(st.sampled_from(parents)).id[1:])
        made = backup(number, parent, lsn=number * SEGMENT_BYTES)
        if not draw(st.integers(0, 9)) and found:
            found.pop(draw(st.integers(0, len(found) - 1)))  # somebody deleted one by hand
        found.append(made)
    return found


@given(catalogues(), st.integers(1, 5), st.data())
def test_what_is_kept_can_always_be_restored(backups: list[Backup], keep_full: int, data: st.DataObject) -> None:
    complete = [each for each in backups if chain_of(each, backups)]
    verified = data.draw(st.sampled_from(["", *(each.id for each in backups)]))
    found = retain(backups, complete, verified, keep_full)
    kept = [each for each in backups if each not in found.backups]
    fulls = [each for each in complete if each.kind == "full"]
    names = [segment_name(1, number) for number in range(30)]
    gone = set(dispensable_wal(names, found))
    for each in kept:
        chain = chain_of(each, kept)
        if chain_of(each, backups):
            assert chain, "what a kept backup rests on is kept"
            needed = {segment_name(1, number) for number in range(chain[0].start_lsn // SEGMENT_BYTES, 30)}
            assert not needed & gone, "and the WAL that leads on from it"
    for full in fulls[-keep_full:]:
        assert full in kept
    if fulls:
        assert any(each.kind == "full" for each in kept)
    _children_first(found.backups)


def _children_first(order: Sequence[Backup]) -> None:
    seen: set[str] = set()
    for each in order:
        assert each.parent not in seen, "a backup is deleted before what rests on it"
        seen.add(each.id)


@given(catalogues(), st.floats(0, 1e9), st.booleans(), st.booleans(), st.integers(0, 50))
def test_a_decision_never_does_two_things_and_always_says_why(
    backups: list[Backup], now: float, has_primary: bool, is_busy: bool, failures: int
) -> None:
    complete = [each for each in backups if chain_of(each, backups)]
    situation = Situation(complete, has_primary=has_primary, is_busy=is_busy, failures=failures, failed_at_s=now - 5)
    decision = decide(now, situation, SPEC)
    assert len(decision.actions) <= 1
    assert decision.reason
    assert decision.message
    if not has_primary or is_busy or failures:
        assert not decision.actions
    if TakeBackup("incremental") in decision.actions:
        assert any(each.kind == "full" for each in complete)
