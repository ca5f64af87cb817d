"""A finished clone takes its place: after a crash at any step the node has a whole directory, old or new."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colonnade.core.files import sync_directory
from colonnade.database import clone
from colonnade.database.clone import put_in_place, rewind_mark, settle_names


def node_in(place: Path, content: str, name: str = "a") -> Path:
    directory = place / name
    (directory / "base").mkdir(parents=True)
    (directory / "base" / "1").write_text(content)
    return directory


def content_of(directory: Path) -> str:
    return (directory / "base" / "1").read_text()


def test_clone_replaces_what_was_there_and_nothing_else_is_left(tmp_path: Path) -> None:
    directory, new = node_in(tmp_path, "old"), node_in(tmp_path, "new", "a.new")
    node_in(tmp_path, "older", "a.old")
    rewind_mark(directory).touch()
    asyncio.run(put_in_place(new, directory))
    assert content_of(directory) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_clone_takes_an_empty_place(tmp_path: Path) -> None:
    asyncio.run(put_in_place(node_in(tmp_path, "new", "a.new"), tmp_path / "a"))
    assert content_of(tmp_path / "a") == "new"


class Killed(BaseException):
    """kill -9 of the controller."""


@pytest.mark.parametrize("call", range(1, 6))
def test_crash_at_any_step_leaves_a_whole_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    directory, new = node_in(tmp_path, "old"), node_in(tmp_path, "new", "a.new")
    calls = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def die_or_do(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                raise Killed
            return original(*arguments)

        return die_or_do

    # Patches: the points at which the controller is killed.
    monkeypatch.setattr(clone, "_remove_tree", dying(clone._remove_tree))
    monkeypatch.setattr(clone, "sync_directory", dying(sync_directory))
    monkeypatch.setattr(Path, "rename", dying(Path.rename))
    with pytest.raises(Killed):
        asyncio.run(put_in_place(new, directory))
    monkeypatch.undo()
    asyncio.run(settle_names(directory))
    assert content_of(directory) == ("old" if call <= 3 else "new")
    assert not os.path.lexists(tmp_path / "a.old")


def test_event_loop_goes_on_while_a_directory_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, new = node_in(tmp_path, "old"), node_in(tmp_path, "new", "a.new")
    threads: list[threading.Thread] = []
    original = clone._remove_tree

    def noting(path: Path) -> None:
        threads.append(threading.current_thread())
        original(path)

    monkeypatch.setattr(clone, "_remove_tree", noting)  # to see who removes
    asyncio.run(put_in_place(new, directory))
    assert threads
    assert threading.main_thread() not in threads
