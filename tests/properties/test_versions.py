"""Versions, whatever is written, taken and removed: a kept one is what it was, and one in use is never removed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.unit.system.project import FILES, Project

from colonnade.system.changes import file_changes, files_of
from colonnade.system.snapshot import Entry, tree_digest

NAMES = ("a.py", "b.html", "c", "web/d.py", "web/deep/e.txt", "api/f.py")

entries = st.dictionaries(
    st.sampled_from([*NAMES, "web", "api", "web/deep"]),
    st.builds(
        Entry, st.sampled_from(["file", "link", "directory"]), st.sampled_from(["x", "y"]), st.integers(0, 0o777)
    ),
)
PLACES: dict[str, str | None] = {"web": "web", "api": "api", "all": ".", "deep": "web/deep", "elsewhere": None}


@given(entries, st.randoms(use_true_random=False))
def test_a_digest_does_not_depend_on_the_order(found: dict[str, Entry], random: Random) -> None:
    paths = list(found)
    random.shuffle(paths)
    assert tree_digest({path: found[path] for path in paths}) == tree_digest(found)


@given(entries, entries)
def test_equal_digests_are_equal_files(one: dict[str, Entry], other: dict[str, Entry]) -> None:
    files = [{path: entry for path, entry in each.items() if entry.kind != "directory"} for each in (one, other)]
    assert (tree_digest(one) == tree_digest(other)) == (file_changes(*files).count == 0)


@given(entries)
def test_every_file_belongs_to_somebody_who_runs_from_there(found: dict[str, Entry]) -> None:
    owned = {name: files_of(name, found, PLACES) for name in PLACES}
    assert not owned["elsewhere"]
    for path, entry in found.items():
        if entry.kind != "directory":
            assert [name for name, files in owned.items() if path in files]
            assert not (path in owned["web"] and path in owned["api"] and path.startswith(("web/", "api/")))


class Life(RuleBasedStateMachine):
    """Somebody edits, takes, prunes; each version is compared with what stood there when it was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory(dir="/tmp")
        self.project = Project(Path(self.place.name) / "app")
        self.kept: dict[int, dict[str, str]] = {}
        self.files = dict(FILES)

    def teardown(self) -> None:
        self.project.remove()
        self.place.cleanup()

    @initialize()
    def begin(self) -> None:
        self.take()

    @rule(name=st.sampled_from(NAMES), content=st.sampled_from(["", "one", "two"]))
    def edit(self, name: str, content: str) -> None:
        self.project.write(name, content)
        self.files[name] = content

    @precondition(lambda self: bool(set(self.files) & set(NAMES)))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(set(self.files) & set(NAMES))))
        (self.project.directory / name).unlink()
        del self.files[name]

    @rule()
    def take(self) -> None:
        newest = self.project.store.newest
        is_same = newest is not None and self.kept[newest.number] == self.files
        version = self.project.take()
        assert (newest is not None and version.number == newest.number) == is_same
        self.kept[version.number] = dict(self.files)

    @rule(data=st.data())
    def run_one(self, data: st.DataObject) -> None:
        self.project.store.set_current(data.draw(st.sampled_from(sorted(self.kept))))

    @rule(keep=st.integers(1, 3), data=st.data())
    def prune(self, keep: int, data: st.DataObject) -> None:
        in_use = data.draw(st.sets(st.sampled_from(sorted(self.kept)), max_size=2))
        removed = self.project.store.prune(keep, in_use)
        assert not {*in_use, self.project.store.current, max(self.kept)} & set(removed)
        self.kept = {number: files for number, files in self.kept.items() if number not in removed}
        assert len(self.kept) <= keep + len(in_use) + 1

    @invariant()
    def every_kept_version_is_what_it_was(self) -> None:
        assert self.project.store.numbers() == tuple(sorted(self.kept))
        for number, files in self.kept.items():
            code = self.project.store.load(number).directory
            assert {path: (code / path).read_text() for path in self.project.copied(number)} == files

    @invariant()
    def what_is_pending_leads_from_the_newest_to_what_stands_here(self) -> None:
        newest = max(self.kept, default=None)
        if newest is not None:
            assert self.project.pending(newest).is_empty == (self.kept[newest] == self.files)


@pytest.mark.slow
def test_a_kept_version_is_what_it_was_whatever_happens() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))


@pytest.mark.slow
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=20).filter(
            lambda name: name not in (".", "..")
        ),
        st.binary(max_size=50),
        max_size=5,
    )
)
@settings(max_examples=30, deadline=None)
def test_any_name_and_any_content_is_kept(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        project = Project(Path(place) / "app")
        written = {}
        for name, content in files.items():
            try:
                encoded = os.fsencode(name)
            except UnicodeEncodeError:
                continue
            if len(encoded) < 200 and not name.endswith((".swp", "~")) and not name.startswith(".colonnade"):
                (project.directory / "web" / os.fsdecode(encoded)).write_bytes(content)
                written[os.fsdecode(encoded)] = content
        try:
            code = project.take().directory / "web"
            assert {name: (code / name).read_bytes() for name in written} == written
            assert project.pending(1).is_empty
        finally:
            project.remove()
