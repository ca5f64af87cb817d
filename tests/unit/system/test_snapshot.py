"""What of a directory belongs to a version: copied, linked, left out, refused."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials
from colonnade.system import snapshot
from colonnade.system.snapshot import (
    Changing,
    Entry,
    OpenTree,
    Rules,
    Snapshot,
    changed_since,
    kept_target,
    largest_of,
    take_snapshot,
    tree_digest,
)

PARTS = Credentials(65534, 65534, "nobody", "/nonexistent")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")


def snapshot_of(root: Path, rules: Rules | None = None, credentials: Credentials | None = None) -> Snapshot:
    with OpenTree(root) as tree:
        return take_snapshot(tree, rules or Rules(), credentials)


def kinds(root: Path, rules: Rules | None = None) -> dict[str, str]:
    return {path: entry.kind for path, entry in snapshot_of(root, rules).entries.items()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    return place


def make(root: Path, *paths: str) -> None:
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.write_text(path)


def test_files_and_directories_are_there_with_parents_first(root: Path) -> None:
    make(root, "a/b/c.py", "a/d.py", "e.py", "empty/")
    found = snapshot_of(root).entries
    assert {path: entry.kind for path, entry in found.items()} == {
        "a": "directory",
        "a/b": "directory",
        "a/b/c.py": "file",
        "a/d.py": "file",
        "e.py": "file",
        "empty": "directory",
    }
    order = list(found)
    assert all(order.index(str(Path(path).parent)) < order.index(path) for path in order if "/" in path)


@pytest.mark.parametrize(
    "path",
    [
        ".git/HEAD",
        "sub/.git",
        ".hg/x",
        "pkg/__pycache__/m.pyc",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".hypothesis/x",
        ".tox/x",
        "other/.colonnade/database/x",
        ".views.py.swp",
        "views.py~",
        "state/logs/x",
        "colonnade.toml",
    ],
)
def test_what_is_no_code_is_left_out(root: Path, path: str) -> None:
    make(root, "views.py", path)
    found = kinds(root, Rules(left_out=frozenset({"state", "colonnade.toml"})))
    assert "views.py" in found
    assert path not in found


@pytest.mark.parametrize(
    "path", [".env", ".well-known/x", "colonnade.toml.example", "build/app.js", "state.py", "x.pyc"]
)
def test_hidden_and_generated_files_are_code_as_any_other(root: Path, path: str) -> None:
    make(root, path)
    assert kinds(root, Rules(left_out=frozenset({"state", "colonnade.toml"})))[path] == "file"


@pytest.mark.parametrize(
    ("made", "linked"),
    [
        ("env/pyvenv.cfg", "env"),
        ("deep/conda/conda-meta/history", "deep/conda"),
        ("front/node_modules/react/index.js", "front/node_modules"),
        ("media/cat.jpg", "media"),
        ("local.yaml", "local.yaml"),
    ],
)
def test_what_is_installed_or_declared_as_shared_is_a_link_to_the_original(root: Path, made: str, linked: str) -> None:
    make(root, made, "app.py")
    found = snapshot_of(root, Rules(shared=frozenset({"media", "local.yaml"}))).entries
    assert found[linked] == Entry("link", str(root / linked))
    assert made == linked or made not in found


def test_a_database_of_sqlite_is_a_link_and_its_companions_are_left_out(root: Path) -> None:
    make(root, "app.py", "notes.db-wal", "fake.db", "instance/")
    with sqlite3.connect(root / "instance/app.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
        database.commit()
        assert (root / "instance/app.sqlite3-wal").exists()
        found = kinds(root)
    database.close()
    (root / "new.db").touch()
    assert found["instance/app.sqlite3"] == "link"
    assert not any(path.endswith(("sqlite3-wal", "-shm")) for path in found)
    assert found["fake.db"] == found["notes.db-wal"] == "file"
    assert kinds(root)["new.db"] == "link", "an empty one has just been made"


def test_what_goes_on_in_a_shared_place_or_a_database_is_no_change(root: Path) -> None:
    make(root, "app.py", "media/a.jpg")
    with sqlite3.connect(root / "app.db") as database:
        database.execute("CREATE TABLE t (x)")
        rules = Rules(shared=frozenset({"media"}))
        with OpenTree(root) as tree:
            before = take_snapshot(tree, rules, None)
            make(root, "media/b.jpg")
            database.execute("INSERT INTO t VALUES (1)")
            assert (root / "app.db-journal").exists()
            assert changed_since(tree, rules, before) is None
    database.close()


@pytest.mark.parametrize(
    ("target", "path", "kept"),
    [
        ("b.py", "a.py", "b.py"),
        ("../x/b.py", "sub/a.py", "../x/b.py"),
        ("/srv/app/x/b.py", "sub/a.py", "../x/b.py"),
        ("/srv/app/b.py", "a.py", "b.py"),
        ("/mnt/media", "media", "/mnt/media"),
        ("../shared", "media", "/srv/app/../shared"),
        ("../../shared", "sub/media", "/srv/app/sub/../../shared"),
        ("/srv/app-two/x", "x", "/srv/app-two/x"),
    ],
)
def test_a_link_leads_inside_the_copy_or_to_where_it_led_outside(target: str, path: str, kept: str) -> None:
    assert kept_target(target, path, Path("/srv/app")) == kept


def test_a_link_is_kept_as_one_also_when_it_leads_nowhere(root: Path) -> None:
    make(root, "real/x")
    (root / "inside").symlink_to("real")
    (root / "nowhere").symlink_to("missing")
    assert kinds(root) == {"inside": "link", "nowhere": "link", "real": "directory", "real/x": "file"}


def test_pipes_and_sockets_are_not_copied(root: Path) -> None:
    make(root, "app.py")
    os.mkfifo(root / "pipe")
    assert set(kinds(root)) == {"app.py"}


def test_names_that_are_no_text_are_kept(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("x")
    (path,) = kinds(root)
    assert os.fsencode(path) == b"caf\xe9.txt"
    assert tree_digest(snapshot_of(root).entries)


@as_ordinary_user
def test_what_cannot_be_read_is_left_out_and_told(root: Path) -> None:
    make(root, "app.py", "key.pem", "closed/x")
    (root / "key.pem").chmod(0)
    (root / "closed").chmod(0)
    found = snapshot_of(root)
    (root / "closed").chmod(0o700)
    assert set(found.entries) == {"app.py"}
    assert len(found.warnings) == 2


def chmod(root: Path) -> None:
    (root / "app.py").chmod(0o755)


def write(root: Path) -> None:
    (root / "app.py").write_text("other")


def write_and_hide_it(root: Path) -> None:
    about = (root / "app.py").stat()
    (root / "app.py").write_text("APP.PY")  # of the same size
    os.utime(root / "app.py", ns=(about.st_atime_ns, about.st_mtime_ns))


def replace(root: Path) -> None:
    (root / "new").write_text("app.py")
    (root / "new").rename(root / "app.py")


def add(root: Path) -> None:
    make(root, "sub/added.py")


def remove(root: Path) -> None:
    (root / "sub/view.py").unlink()


@pytest.mark.parametrize("change", [chmod, write, write_and_hide_it, replace, add, remove])
def test_a_change_after_the_look_is_noticed(root: Path, change: object) -> None:
    make(root, "app.py", "sub/view.py")
    with OpenTree(root) as tree:
        before = take_snapshot(tree, Rules(), None)
        assert changed_since(tree, Rules(), before) is None
        assert callable(change)
        change(root)
        assert changed_since(tree, Rules(), before) is not None


def test_a_file_that_becomes_a_link_between_two_looks_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("secret")
    make(root, "app.py", "sub/x")
    original = snapshot._look

    def swapping(tree: OpenTree, rules: Rules) -> object:
        found = original(tree, rules)
        (root / "app.py").unlink()
        (root / "app.py").symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(snapshot, "_look", swapping)  # the moment at which somebody swaps it
    with pytest.raises(Changing), OpenTree(root) as tree:
        take_snapshot(tree, Rules(), None)


def test_a_way_that_ends_nowhere_or_in_a_link_leaves_the_tree_usable(root: Path, tmp_path: Path) -> None:
    make(root, "a/b/x", "y")
    (root / "a/link").symlink_to(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    with OpenTree(root) as tree:
        for path in ("a/missing", "a/link", "a/b/x", "missing/deeper"):
            with pytest.raises(OSError, match=r"No such file|Not a directory"):
                tree.directory(path)
            assert sorted(os.listdir(tree.directory(""))) == ["a", "y"]
        assert os.listdir(tree.directory("a/b")) == ["x"]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("source", "mode", "in_copy"),
    [
        ((65534, 65534), 0o644, (0, 65534, 0o444)),
        ((65534, 65534), 0o640, (0, 65534, 0o440)),
        ((65534, 65534), 0o600, (65534, 65534, 0o400)),
        ((65534, 65534), 0o700, (65534, 65534, 0o500)),
        ((0, 0), 0o600, (0, 0, 0o400)),
        ((0, 0), 0o755, (0, 0, 0o555)),
        ((0, 65534), 0o640, (0, 65534, 0o440)),
        ((12345, 12345), 0o600, (0, 12345, 0o400)),
        ((12345, 12345), 0o666, (0, 12345, 0o444)),
    ],
)
@as_root
def test_as_root_whoever_could_read_a_file_can_and_nobody_can_write_it(
    root: Path, source: tuple[int, int], mode: int, in_copy: tuple[int, int, int]
) -> None:
    make(root, "x")
    os.chown(root / "x", *source)
    (root / "x").chmod(mode)
    entry = snapshot_of(root, credentials=PARTS).entries["x"]
    assert entry.owner is not None
    assert (*entry.owner, entry.mode) == in_copy


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ({"a.py": 1, "media/1": 50, "media/2": 50}, ["media"]),
        ({"a.py": 1, "app/static/video/1": 50, "app/static/video/2": 50, "app/x.py": 2}, ["app/static/video"]),
        ({"model.bin": 90, "a.py": 1}, ["model.bin"]),
        ({"sub/model.bin": 90, "a.py": 1}, ["sub/model.bin"]),
        ({"a": 5, "b": 4, "c": 3, "d": 2}, ["a", "b", "c"]),
    ],
)
def test_the_place_that_holds_most_is_named(weights: Mapping[str, int], named: list[str]) -> None:
    assert largest_of(weights) == named


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Half a gigabyte of files would test the disk.
    monkeypatch.setattr(snapshot, "BYTES_MAX", 1000)
    monkeypatch.setattr(snapshot, "ENTRIES_MAX", 20)


@pytest.mark.usefixtures("small_bounds")
def test_too_many_bytes_are_refused_with_the_place_they_are_in_and_the_line_to_write(root: Path) -> None:
    make(root, "app.py")
    (root / "media").mkdir()
    (root / "media/film").write_bytes(b"x" * 2000)
    with pytest.raises(HostError, match="media") as caught:
        snapshot_of(root)
    assert '[system] shared = ["media/film"]' in caught.value.hint
    assert kinds(root, Rules(shared=frozenset({"media"}))) == {"app.py": "file", "media": "link"}


@pytest.mark.usefixtures("small_bounds")
def test_too_many_files_are_refused(root: Path) -> None:
    make(root, *(f"uploads/{number}" for number in range(25)))
    with pytest.raises(HostError, match="more than 20 files") as caught:
        snapshot_of(root)
    assert '["uploads"]' in caught.value.hint
