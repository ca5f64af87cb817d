"""The loop in the controller: look, decide, do one thing at a time, tell. Also what people ask for by command.

Crash-only: what was under way when a controller died has no JSON and is removed by its successor. Work runs beside the
loop, at low priority, and is cancelled when the system goes down.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_never

from colonnade.core.clock import Clock
from colonnade.core.errors import ColonnadeError, DriverError, DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.database.backup import schedule
from colonnade.database.backup.base_backup import Source, remove_unfinished, take_backup
from colonnade.database.backup.catalogue import Backup, Kind, read_catalogue, stamp, usable
from colonnade.database.backup.lag import ArchiveLag, read_lag
from colonnade.database.backup.lineage import Lineage, Reach, lineage_of, newest_timeline, reach_of
from colonnade.database.backup.restore_plan import last_commit_s
from colonnade.database.backup.schedule import Action, Situation, TakeBackup, VerifyLatest
from colonnade.database.backup.verify import Verification, verification_from_json, verify_latest
from colonnade.database.backup.wal import read_forks
from colonnade.database.backup.workplace import Workplace, remove_scratch
from colonnade.database.state import Address, DatabaseView, NodeView

BEHIND_LOOK_S = 1.0
"""Between two looks while WAL waits for the archive: trouble is told soon, and so is its end."""

TEMPORARY_S_MAX = 3600.0
"""A half-written file in the archive that is older than this has no writer any more."""


@dataclass(slots=True)
class Job:
    """The work that is under way, or was last."""

    number: int
    what: str
    state: str = "running"
    """`running`, `done` or `failed`."""
    message: str = ""


class BackupService:
    """Create it, then `run` for as long as the system lives. `open_place` finds programs and makes directories."""

    def __init__(
        self,
        open_place: Callable[[], Coroutine[Any, Any, Workplace]],
        view: Callable[[], DatabaseView],
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._open_place = open_place
        self._view = view
        self._events = events
        self._clock = clock
        self._work: Workplace | None = None
        self._job: Job | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted: Action | None = None
        self._woken = asyncio.Event()
        self._backups: tuple[Backup, ...] = ()
        self._usable: tuple[Backup, ...] = ()
        self._lag = ArchiveLag()
        self._verification: Verification | None = None
        self._failures = 0
        self._failed_at_s = 0.0
        self._trouble = ""
        self._reason = "not_started"
        self._message = ""
        self._last_commit: tuple[Reach, float | None] | None = None

    # The loop.

    async def run(self) -> None:
        """Until cancelled; then what is under way is cancelled too, and leaves nothing that counts."""
        try:
            while True:
                pause_s: float | None = schedule.LOOK_S
                try:
                    pause_s = await self._tick()
                    self._trouble = ""
                except ColonnadeError as error:
                    self._complain(str(error))
                except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not end the system
                    self._complain(f"{type(error).__name__}: {error}")
                await self._pause(pause_s or schedule.LOOK_S)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _tick(self) -> float | None:
        if self._work is None:
            work = await self._open_place()
            for name in ("verify", work.dump):
                await remove_scratch(work, name)
            for backup_id in await remove_unfinished(work):
                self._tell("backup_discarded", backup_id, "interrupted", f"{backup_id} was interrupted: it is removed")
            self._work = work
        work = self._work
        await self._look(work)
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            decision = schedule.decide(self._clock.wall(), self._situation(), work.backup)
            self._reason, self._message = decision.reason, decision.message
            wanted = decision.actions[0] if decision.actions else None
            if wanted is not None:
                self._begin(wanted)
            return BEHIND_LOOK_S if self._lag.segments else decision.recheck_after_s
        self._carry_out(wanted, work)
        return None

    async def _look(self, work: Workplace) -> None:
        names = [node.name for node in self._view().nodes]
        lag = await asyncio.to_thread(read_lag, names, work.paths, self._clock.wall())
        if bool(lag.trouble) != bool(self._lag.trouble):
            kind, reason = ("archive_behind", "not_archived") if lag.trouble else ("archive_caught_up", "archived")
            self._tell(kind, "archive", reason, lag.trouble or "all WAL that is complete is in the archive")
        self._lag = lag
        self._backups = await asyncio.to_thread(read_catalogue, work.storage)
        self._usable = usable(self._backups, await asyncio.to_thread(self._lineage, work))
        self._verification = verification_from_json(await asyncio.to_thread(work.storage.read_verification))

    def _lineage(self, work: Workplace) -> Lineage:
        forks = read_forks(str(work.storage.archive), str(work.paths.history))
        primary = self._primary()
        timeline = primary.timeline if primary is not None and primary.timeline else newest_timeline(forks)
        return lineage_of(timeline, forks)

    def _primary(self) -> NodeView | None:
        view = self._view()
        return next((node for node in view.nodes if node.name == view.primary and node.port), None)

    def _situation(self) -> Situation:
        verification = self._verification
        failed = verification is not None and bool(verification.error)
        return Situation(
            usable=self._usable,
            has_primary=self._primary() is not None and self._view().is_writable,
            is_busy=self._task is not None,
            failures=self._failures,
            failed_at_s=self._failed_at_s,
            verified_at_s=verification.at_s if verification is not None and not failed else None,
            verification_failures=verification.failures if verification is not None and failed else 0,
            verification_failed_at_s=verification.at_s if verification is not None and failed else 0.0,
        )

    # One piece of work.

    def _begin(self, action: Action) -> Job:
        number = self._job.number + 1 if self._job is not None else 1
        match action:
            case TakeBackup(kind):
                what = f"{kind} backup"
            case VerifyLatest():
                what = "verification"
            case _:
                assert_never(action)
        self._job = Job(number, what)
        self._wanted = action
        self._woken.set()
        return self._job

    def _carry_out(self, action: Action, work: Workplace) -> None:
        job = self._job
        if job is None or self._task is not None:
            return
        coroutine = self._backup(action, work) if isinstance(action, TakeBackup) else self._verify(work)
        self._task = asyncio.create_task(self._finish(job, coroutine), name=job.what)

    async def _finish(self, job: Job, work: Coroutine[Any, Any, str]) -> None:
        try:
            job.message = await work
            job.state = "done"
        except asyncio.CancelledError:
            job.state, job.message = "failed", "the system goes down"
            raise
        except ColonnadeError as error:
            self._fail(job, str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits for this job must be told
            self._fail(job, f"{type(error).__name__}: {error}")
        finally:
            self._task = None
            self._woken.set()

    def _fail(self, job: Job, message: str) -> None:
        job.state, job.message = "failed", message
        if job.what != "verification":
            self._failures += 1
            self._failed_at_s = self._clock.wall()
            self._tell("backup_failed", "backup", "refused", f"the {job.what} failed: {message}")

    async def _backup(self, action: TakeBackup, work: Workplace) -> str:
        primary = self._primary()
        if primary is None or primary.port is None:
            raise DriverUnavailable("there is no primary to copy", subject="backup", hint="see `colonnade db status`")
        parent = self._usable[-1] if self._usable and action.kind == "incremental" else None
        self._tell("backup_started", "backup", self._reason, f"a backup of {primary.name} ({action.kind}) is made")
        source = Source(Address("127.0.0.1", primary.port), primary.timeline or 0)
        backup = await take_backup(action.kind, parent, source, work, self._note_refusal)
        self._failures = 0
        took_s = backup.finished_s - backup.started_s
        message = f"{backup.id}: {backup.size_bytes / 1e6:.1f} MB in {took_s:.1f} s, checked"
        self._tell("backup_finished", backup.id, backup.kind, message)
        await self._look(work)
        await self._expire(work)
        return message

    def _note_refusal(self, message: str) -> None:
        self._tell("incremental_refused", "backup", "full_instead", message)

    async def _expire(self, work: Workplace) -> None:
        verified = self._verification.good_backup_id if self._verification is not None else ""
        retention = schedule.retain(self._backups, self._usable, verified, work.backup.keep_full)
        for backup in retention.backups:
            await asyncio.to_thread(work.storage.remove, backup.id)
            self._tell("backup_expired", backup.id, "not_kept", f"{backup.id} is deleted: {retention.message}")
        names = await asyncio.to_thread(work.storage.wal)
        gone = schedule.dispensable_wal(names, retention)
        stale = await asyncio.to_thread(_stale, work.storage.archive, names, self._clock.wall())
        await asyncio.to_thread(work.storage.remove_wal, [*gone, *stale])
        if gone:
            message = f"{len(gone)} files from {gone[0]} on are deleted from the archive: {retention.message}"
            self._tell("wal_expired", "archive", "not_needed", message)

    async def _verify(self, work: Workplace) -> str:
        primary = self._primary()
        if primary is None or primary.port is None or not self._usable:
            raise DriverUnavailable(
                "there is no primary, or no backup to restore", subject="verify", hint="take one: `colonnade db backup`"
            )
        backup = self._usable[-1]
        self._tell("verification_started", backup.id, self._reason, f"{backup.id} is restored for trial")
        result = await verify_latest(self._usable, backup, primary.port, self._verification, work)
        self._verification = result
        if result.error:
            self._tell("verification_failed", backup.id, "not_carried_out", result.error)
            raise DriverUnavailable(result.error, subject="verify", hint="it is tried again")
        if result.differences:
            message = "; ".join(result.differences)
            self._tell("verification_failed", backup.id, "differs", message)
            raise DriverError(
                f"the restored {backup.id} is not good: {message}", subject="verify", hint="take a full backup"
            )
        message = (
            f"{backup.id} was restored: {result.tables} tables with {result.rows} rows are as on the primary "
            f"({result.duration_s:.1f} s)"
        )
        self._tell("verification_finished", backup.id, "as_on_primary", message)
        return message

    # What people ask.

    def request_backup(self, kind: Kind | None) -> int:
        """Begin one, incremental where that is possible unless told; the job's number. DriverError when busy."""
        self._check_free()
        return self._begin(TakeBackup(kind or ("incremental" if self._usable else "full"))).number

    def request_verification(self) -> int:
        self._check_free()
        return self._begin(VerifyLatest()).number

    def _check_free(self) -> None:
        if self._work is None:
            raise DriverUnavailable(
                self._trouble or "backups are not ready yet", subject="backup", hint="try again in a moment"
            )
        if self._task is not None or self._wanted is not None:
            what = self._job.what if self._job is not None else "work"
            raise DriverError(f"a {what} is under way", subject="backup", hint="wait for it: `colonnade db backups`")

    def job(self) -> dict[str, Any] | None:
        return asdict(self._job) if self._job is not None else None

    def summary(self) -> dict[str, Any]:
        """For `status`: cheap, from the last look."""
        verification = self._verification
        return {
            "count": len(self._backups),
            "latest": self._usable[-1].id if self._usable else "",
            "latest_at_s": self._usable[-1].finished_s if self._usable else None,
            "interval_s": schedule.interval_s(self._work.backup) if self._work is not None else None,
            "reason": self._reason,
            "message": self._message,
            "archive_pending_segments": self._lag.segments,
            "archive_pending_bytes": self._lag.size_bytes,
            "archive_pending_s": round(self._lag.age_s, 1),
            "archive_trouble": self._lag.trouble,
            "verified_at_s": verification.at_s if verification is not None else None,
            "is_verified": verification.is_good if verification is not None else None,
        }

    async def describe(self) -> dict[str, Any]:
        """For `db backups`: everything, looked up now. Raises ColonnadeError."""
        work = self._work
        if work is None:
            raise DriverUnavailable(
                self._trouble or "backups are not ready yet", subject="backup", hint="try again in a moment"
            )
        await self._look(work)
        lineage = await asyncio.to_thread(self._lineage, work)
        names = await asyncio.to_thread(work.storage.wal)
        reach = reach_of(lineage, names, self._usable[-1].start_lsn) if self._usable else Reach(0, "")
        if self._last_commit is None or self._last_commit[0] != reach:
            self._last_commit = (reach, await last_commit_s(reach, lineage, work))
        usable_ids = {backup.id for backup in self._usable}
        verification = self._verification
        return {
            **self.summary(),
            "directory": str(work.storage.directory),
            "is_same_disk": await asyncio.to_thread(_is_same_disk, work.storage.directory, work.paths.root),
            "earliest_s": self._usable[0].finished_s if self._usable else None,
            "latest_s": self._last_commit[1],
            "missing_wal": reach.missing,
            "backups": [{**asdict(backup), "is_usable": backup.id in usable_ids} for backup in self._backups],
            "verification": None if verification is None else {**asdict(verification), "is_good": verification.is_good},
            "job": self.job(),
        }

    def problems(self) -> list[str]:
        found = [f"archive: {self._lag.trouble}"] if self._lag.trouble else []
        if self._trouble:
            found.append(f"backups: {self._trouble}")
        if self._failures:
            found.append(f"backups: the last {self._failures} failed; see `colonnade events`")
        verification = self._verification
        if verification is not None and verification.differences:
            when = stamp(verification.at_s)
            found.append(f"backups: the trial restore of {when} was not good: {verification.differences[0]}")
        return found

    # Telling.

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._tell("backups_refused", "backup", "try_again", trouble)
        self._trouble = trouble

    def _tell(self, kind: str, subject: str, reason: str, message: str) -> None:
        self._events.emit(kind, subject, reason=reason, message=message)

    async def _pause(self, duration_s: float) -> None:
        try:
            async with asyncio.timeout(duration_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


def _is_same_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError as error:
        raise HostError(f"cannot be read: {error.strerror}", subject=str(one), hint=f"`ls -ld {one}`") from error


def _stale(archive: Path, names: list[str], now: float) -> list[str]:
    """Temporary files of archive programs that were killed."""
    found = []
    for name in names:
        if name.startswith(".") and name.endswith(".new"):
            try:
                if now - os.lstat(archive / name).st_mtime > TEMPORARY_S_MAX:
                    found.append(name)
            except OSError:
                continue
    return found
