"""When the next backup or trial restore is due, and what may be deleted. Pure: no clock, no disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from colonnade.core.decision import Decision
from colonnade.database.backup.catalogue import Backup, Kind, chain_of, stamp
from colonnade.database.backup.lineage import is_before
from colonnade.spec.model import BackupSpec

RETRY_FIRST_S = 60.0
RETRY_MAX_S = 3600.0
"""A backup or verification that failed is tried again after a minute, doubled each time up to an hour."""

LOOK_S = 5.0
"""Between two looks when nothing can be done."""

CHAIN_MAX = 200
"""Incrementals on one full backup: combining opens all of them at once. Then the next one is a full one."""


@dataclass(frozen=True, slots=True)
class TakeBackup:
    kind: Kind


@dataclass(frozen=True, slots=True)
class VerifyLatest:
    """Restore the latest backup for trial."""


Action = TakeBackup | VerifyLatest


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision rests on. Times are wall-clock seconds since the epoch: they are compared with what an earlier
    controller wrote down."""

    usable: Sequence[Backup]
    """Complete and on the history that is served now, oldest first."""
    has_primary: bool
    is_busy: bool = False
    failures: int = 0
    """Backups that failed in a row."""
    failed_at_s: float = 0.0
    verified_at_s: float | None = None
    """The last trial restore, good or bad; None: never."""
    verification_failures: int = 0
    """In a row, only counting those that could not be carried out."""
    verification_failed_at_s: float = 0.0


def retry_pause_s(failures: int) -> float:
    return 0.0 if failures == 0 else min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 10))


def interval_s(spec: BackupSpec) -> float:
    """How often there should be a backup, full or incremental."""
    return min(spec.full_every_s, spec.incremental_every_s or spec.full_every_s)


def decide(now: float, situation: Situation, spec: BackupSpec) -> Decision[Action]:
    """The next thing to do. `now` in seconds since the epoch; a clock that was set back makes nothing due at once."""
    if situation.is_busy:
        return Decision((), "busy", "a backup or a verification is under way", LOOK_S)
    if not situation.has_primary:
        return Decision((), "no_primary", "there is no primary to copy", LOOK_S)
    wait_s = situation.failed_at_s + retry_pause_s(situation.failures) - now
    if 0 < wait_s <= RETRY_MAX_S:
        message = f"the last {situation.failures} failed: the next attempt is in {wait_s:.0f} s"
        return Decision((), "waits_after_failure", message, min(wait_s, LOOK_S))
    return _backup_due(now, situation, spec) or _verification_due(now, situation, spec) or _idle(now, situation, spec)


def _backup_due(now: float, situation: Situation, spec: BackupSpec) -> Decision[Action] | None:
    fulls = [backup for backup in situation.usable if backup.kind == "full"]
    if not fulls:
        message = "there is no backup of the present history: a full one is made"
        return Decision((TakeBackup("full"),), "no_usable_backup", message)
    age_s = now - fulls[-1].finished_s
    if age_s >= spec.full_every_s:
        message = f"the last full backup is {age_s:.0f} s old, one is made every {spec.full_every_s:g} s"
        return Decision((TakeBackup("full"),), "full_due", message)
    latest = situation.usable[-1]
    age_s = now - latest.finished_s
    if spec.incremental_every_s and age_s >= spec.incremental_every_s:
        if len(chain_of(latest, situation.usable)) > CHAIN_MAX:
            message = f"{CHAIN_MAX} incrementals rest on {fulls[-1].id}: a full one is made"
            return Decision((TakeBackup("full"),), "chain_full", message)
        message = f"the last backup is {age_s:.0f} s old, an incremental is made every {spec.incremental_every_s:g} s"
        return Decision((TakeBackup("incremental"),), "incremental_due", message)
    return None


def _verification_due(now: float, situation: Situation, spec: BackupSpec) -> Decision[Action] | None:
    if not spec.verify_every_s:
        return None
    if now < situation.verification_failed_at_s + retry_pause_s(situation.verification_failures):
        return None
    if situation.verified_at_s is None:
        # Not at once: a system that was just started has better things to do.
        age_s = now - situation.usable[0].finished_s
        due_s = min(spec.verify_every_s, spec.full_every_s)
        said = f"no restore was ever tried in {age_s:.0f} s"
    else:
        age_s, due_s = now - situation.verified_at_s, spec.verify_every_s
        said = f"the last trial restore was {age_s:.0f} s ago"
    if age_s < due_s:
        return None
    return Decision((VerifyLatest(),), "verification_due", f"{said}, one is made every {spec.verify_every_s:g} s")


def _idle(now: float, situation: Situation, spec: BackupSpec) -> Decision[Action]:
    latest = situation.usable[-1]
    message = f"the latest backup is {latest.id}, {max(0.0, now - latest.finished_s):.0f} s old"
    return Decision((), "nothing_due", message, LOOK_S)


@dataclass(frozen=True, slots=True)
class Retention:
    """What goes. `backups` in the order in which they are deleted (children before parents); `wal_before` is the LSN
    before which no kept backup needs WAL, None when no WAL may go."""

    backups: tuple[Backup, ...]
    wal_before: int | None
    message: str


def retain(backups: Sequence[Backup], usable: Sequence[Backup], verified_id: str, keep_full: int) -> Retention:
    """Keep the newest `keep_full` full backups of the present history with what rests on them, the one that was last
    restored for trial with success, and backups of a history that was left as long as they are newer than the oldest
    kept. Nothing goes while there is no full backup of the present history."""
    fulls = [backup for backup in usable if backup.kind == "full"]
    if not fulls:
        return Retention((), None, "nothing is deleted: there is no full backup of the present history")
    kept_roots = {backup.id for backup in fulls[-keep_full:]}
    verified = next((backup for backup in backups if backup.id == verified_id), None)
    if verified is not None and (chain := chain_of(verified, backups)):
        kept_roots.add(chain[0].id)
    oldest_s = min(backup.finished_s for backup in fulls[-keep_full:])
    present = {backup.id for backup in usable}

    def is_kept(backup: Backup) -> bool:
        chain = chain_of(backup, backups)
        if chain and chain[0].id in kept_roots:
            return True
        return backup.id not in present and bool(chain) and chain[0].finished_s >= oldest_s

    kept = [backup for backup in backups if is_kept(backup)]
    gone = sorted((b for b in backups if b not in kept), key=lambda b: (b.finished_s, b.id), reverse=True)
    wal_before = min(backup.start_lsn for backup in kept)
    message = f"{len(kept)} backups are kept, the oldest from {stamp(min(b.finished_s for b in kept))}"
    return Retention(tuple(gone), wal_before, message)


def dispensable_wal(names: Collection[str], retention: Retention) -> list[str]:
    """Archived segments that no kept backup needs. Histories stay: they are small, and numbers must stay taken."""
    if retention.wal_before is None:
        return []
    return [name for name in names if is_before(name, retention.wal_before)]
