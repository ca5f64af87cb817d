"""The last step of a restore, cut off at each of its renames: the next one who looks carries it out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from colonnade.database.backup.restore import NOTE, finish_swap
from colonnade.database.driver import DatabasePaths


class Killed(BaseException):
    """kill -9: nobody may catch it."""


def prepared(tmp_path: Path, *, is_new: bool) -> DatabasePaths:
    """A cluster (or none, on a new machine), and a complete copy beside it that is announced."""
    paths = DatabasePaths(tmp_path / "database", tmp_path / "logs", tmp_path / "s")
    for which, root in (("old", paths.root), ("new", paths.root / "restore.new")):
        if which == "old" and is_new:
            continue
        pg_wal = root / "nodes" / "a" / "pg_wal"
        pg_wal.mkdir(parents=True)
        (pg_wal.parent / "which").write_text(which)
        (root / "record.json").write_text(which)
    (paths.root / "restore.new" / "nodes" / "a" / "pg_wal" / "00000002.history").write_text("1\t0/5000000\tx\n")
    (tmp_path / "wal").mkdir()
    (paths.root / NOTE).write_text(json.dumps({"aside": "before-restore-1"}))
    return paths


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("deadly", range(1, 6))
def test_a_swap_that_was_cut_off_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadly: int, is_new: bool
) -> None:
    paths = prepared(tmp_path, is_new=is_new)
    rename, count = os.rename, 0

    def deadly_rename(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == deadly:
            raise Killed
        rename(*arguments)

    # A patch, because nobody can be killed at a chosen line.
    monkeypatch.setattr(os, "rename", deadly_rename)
    try:
        finish_swap(paths, tmp_path / "wal", None)
    except Killed:
        assert (paths.root / NOTE).exists(), "so nobody takes what is there for a whole cluster, or for none"
    monkeypatch.setattr(os, "rename", rename)
    finish_swap(paths, tmp_path / "wal", None)
    assert (paths.root / "nodes" / "a" / "which").read_text() == "new"
    assert (paths.root / "record.json").read_text() == "new"
    for left in (NOTE, "restore.new"):
        assert not (paths.root / left).exists()
    for place in (tmp_path / "wal", paths.history):
        assert (place / "00000002.history").exists()
    if not is_new:
        kept = paths.root / "before-restore-1"
        assert (kept / "nodes" / "a" / "which").read_text() == "old"
        assert (kept / "record.json").read_text() == "old"
    assert finish_swap(paths, tmp_path / "wal", None) is False


def test_what_was_never_announced_is_thrown_away(tmp_path: Path) -> None:
    paths = prepared(tmp_path, is_new=False)
    (paths.root / NOTE).unlink()
    assert finish_swap(paths, tmp_path / "wal", None) is False
    assert (paths.root / "nodes" / "a" / "which").read_text() == "old"
    assert not (paths.root / "restore.new").exists()
