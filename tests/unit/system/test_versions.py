"""Versions of code and declaration: taken, loaded again, compared, removed; and killed in the middle of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.system.project import FILES, Project

from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials
from colonnade.spec.effects import Effect
from colonnade.spec.load import spec_for_app
from colonnade.system import copying, versions
from colonnade.system.changes import FileChanges
from colonnade.system.copying import copy_tree

PARTS = Credentials(65534, 65534, "nobody", "/nonexistent")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def project(work_dir: Path) -> Iterator[Project]:
    made = Project(work_dir / "app")
    yield made
    made.remove()


def test_a_version_has_the_code_and_the_declaration_as_they_were(project: Project) -> None:
    version = project.take()
    project.write("web/web.py", "web 2")
    project.declare("[[[ half an edit")
    loaded = project.store.load(version.number)
    assert {path: (version.directory / path).read_text() for path in FILES} == FILES
    assert project.copied() == set(FILES), "colonnade.toml is kept beside the code"
    assert loaded.directory_of("web") == version.directory / "web"
    assert loaded.origin == project.directory
    assert loaded.spec.system.name == "app", "the name is the original directory's"


def test_nothing_changed_is_the_newest_version_again(project: Project) -> None:
    first = project.take()
    assert project.take() == first
    project.declare(project.text + "# a comment\n")
    (project.directory / "common.py").touch()
    project.write("__pycache__/x.pyc", "compiled")
    assert project.take() == first


@pytest.mark.parametrize(
    ("path", "content", "services"),
    [
        ("web/web.py", "web 2", {"web"}),
        ("web/templates/new.html", "new", {"web"}),
        ("api/api.py", "api 2", {"api"}),
        ("common.py", "common 2", {"web", "api"}),
        ("webs.py", "new", {"web", "api"}),
    ],
)
def test_an_edit_concerns_the_services_it_belongs_to(
    project: Project, path: str, content: str, services: set[str]
) -> None:
    first = project.take()
    project.write(path, content)
    second = project.take()
    assert second.number == 2
    assert {name for name in first.code if first.code[name] != second.code[name]} == services
    assert {name for name in first.services if first.services[name] != second.services[name]} == services
    assert project.store.changes(1, 2).rollout == services
    assert path in second.message


def test_without_directories_of_their_own_every_edit_concerns_all(project: Project) -> None:
    project.declare('[services.a]\napp = "a:a"\nroute = "/"\n[services.b]\napp = "b:b"\nroute = "/b"\n')
    project.take()
    project.write("web/web.py", "web 2")
    assert project.pending(1).rollout == {"a", "b"}


def test_changes_name_files_and_keys(project: Project) -> None:
    project.take()
    project.write("web/web.py", "web 2")
    project.write("web/new.py", "new")
    (project.directory / "common.py").unlink()
    project.declare(project.text.replace('path = "api"', 'path = "api"\nthreads = 16'))
    pending = project.pending(1)
    assert pending.files["web"] == FileChanges(("web/new.py",), ("web/web.py",), ("common.py",))
    assert pending.files["api"] == FileChanges(removed=("common.py",))
    assert [(change.key, change.effect) for change in pending.spec.keys] == [("services.api.threads", Effect.ROLLOUT)]
    project.take()
    assert project.store.changes(1, 2) == pending
    assert project.pending(2).is_empty


def test_a_service_that_comes_or_goes_is_in_the_declaration_and_not_in_the_files(project: Project) -> None:
    project.take()
    project.declare(project.text.replace("api", "worker").replace('"worker:app"', '"api:app"'))
    project.write("worker/x.py", "x")
    pending = project.pending(1)
    assert (pending.spec.added, pending.spec.removed) == (("worker",), ("api",))
    assert set(pending.files) == {"web"}, "what was the api's own now lies in nobody's directory"


def test_an_env_file_belongs_to_the_version_and_is_never_shown(project: Project) -> None:
    project.declare(project.text.replace('path = "web"', 'path = "web"\nenv_file = "web.env"'))
    project.write("web.env", "KEY=hunter2\n", mode=0o600)
    project.take()
    project.write("web.env", "KEY=hunter3\n", mode=0o600)
    pending = project.pending(1)
    assert pending.environments == ("web",)
    assert "web" in pending.rollout
    second = project.take()
    assert [project.store.load(n).environments["web"]["KEY"] for n in (1, 2)] == ["hunter2", "hunter3"]
    about = (project.paths.versions / "2" / "about.json").read_text()
    assert "hunter" not in second.message + about + repr(second)
    assert stat.S_IMODE((second.directory / "web.env").stat().st_mode) == 0o400


def test_what_is_in_no_version_is_told_and_found_where_it_is(project: Project) -> None:
    outside = project.directory.parent / "outside"
    outside.mkdir()
    (outside / "web.env").write_text("A=1\n")
    (outside / "web.env").chmod(0o600)
    text = project.text.replace('path = "web"', 'path = "../outside"\nenv_file = "../outside/web.env"')
    project.declare(text + '[database.backup]\ndirectory = "backups"\n')
    project.write("backups/base.tar", "x")
    version = project.take()
    loaded = project.store.load(1)
    assert loaded.directory_of("web") == outside
    assert loaded.environments["web"] == {"A": "1"}
    assert loaded.spec.database is not None
    assert loaded.spec.database.backup is not None
    assert loaded.spec.database.backup.directory == str(project.directory / "backups")
    assert not any(path.startswith("backups") for path in project.copied())
    assert len(version.warnings) == 2
    assert all("web" in warning for warning in version.warnings)


def test_shared_data_is_written_where_it_always_was(project: Project) -> None:
    project.declare('[system]\nshared = ["media/"]\n' + project.text)
    project.write("media/a", "a")
    version = project.take()
    (version.directory / "media" / "b").write_text("b")
    assert (project.directory / "media" / "b").read_text() == "b"
    assert project.take() == version


def test_up_without_a_file_has_versions_as_well(project: Project) -> None:
    (project.directory / "colonnade.toml").unlink()
    loaded = spec_for_app("common:app", directory=project.directory)
    first = project.store.take(loaded, "")
    again = project.store.load(first.number)
    assert again.spec == loaded.spec
    assert again.directory_of("web") == first.directory
    project.write("common.py", "common 2")
    assert project.store.pending(1, loaded, "").rollout == {"web"}
    other = spec_for_app("common:other", directory=project.directory)
    assert [str(key) for key in project.store.pending(1, other, "").spec.keys] == [
        'services.web.app: "common:app" → "common:other"'
    ]


def test_settings_of_the_database_that_were_changed_while_it_ran_are_what_is_compared(project: Project) -> None:
    project.declare(project.text + "[database]\nstandbys = 1\n")
    project.take()
    project.declare(project.text.replace("standbys = 1", "standbys = 3"))
    told = project.store.pending(1, project.loaded, project.text, database={"standbys": 3})
    assert told.is_empty
    assert not project.pending(1).is_empty


def test_many_versions_share_what_is_the_same(project: Project) -> None:
    project.take()
    project.write("web/web.py", "web 2")
    project.write("run.sh", "run", mode=0o644)
    project.take()
    project.write("run.sh", "run", mode=0o755)
    third = project.take()
    code = third.directory
    assert (code / "api/api.py").stat().st_nlink == 3
    assert (code / "web/web.py").stat().st_nlink == 2
    assert (code / "run.sh").stat().st_nlink == 1, "what may be executed now is another file"
    assert os.access(code / "run.sh", os.X_OK)


def test_a_copy_that_somebody_made_writable_is_not_linked_to(project: Project) -> None:
    first = project.take()
    (first.directory / "common.py").chmod(0o644)
    (first.directory / "common.py").write_text("common X")  # as long as before
    project.write("web/web.py", "web 2")
    assert (project.take().directory / "common.py").read_text() == "common 1"


def test_a_copy_keeps_the_age_of_files(project: Project) -> None:
    os.utime(project.directory / "common.py", (1_000_000, 1_000_000))
    assert (project.take().directory / "common.py").stat().st_mtime == 1_000_000


def test_nobody_but_the_parts_gets_to_a_version_and_records_are_private(project: Project) -> None:
    project.take()
    root = project.paths.versions
    assert stat.S_IMODE(root.stat().st_mode) == stat.S_IMODE((root / "1").stat().st_mode) == 0o700
    for name in ("about.json", "files.json", "colonnade.toml"):
        assert (root / "1" / name).stat().st_mode & 0o077 == 0


def test_a_copy_is_read_only_but_for_compiled_files(project: Project) -> None:
    code = project.take().directory
    for path in (code, *code.rglob("*")):
        if path.name != "__pycache__":
            assert path.stat().st_mode & 0o222 == 0, path
    assert {str(path.relative_to(code).parent) for path in code.rglob("__pycache__")} == {".", "web", "api"}


def test_prune_keeps_the_newest_the_current_and_those_in_use(project: Project) -> None:
    for number in range(1, 8):
        project.write("common.py", f"common {number}")
        project.take()
    project.store.set_current(2)
    assert project.store.prune(2, in_use={4}) == (1, 3, 5)
    assert project.store.numbers() == (2, 4, 6, 7)
    assert project.store.current == 2
    assert (project.store.get(7).directory / "web/web.py").read_text() == "web 1"
    project.write("common.py", "common 8")
    assert project.take().number == 8, "numbers are not used again"


def test_there_is_nothing_before_the_first_version(project: Project) -> None:
    store = project.store
    assert (store.numbers(), store.list(), store.newest, store.current) == ((), (), None, None)
    with pytest.raises(HostError, match="there is no version 1; kept are: none"):
        store.get(1)
    with pytest.raises(HostError):
        store.set_current(1)


def remove_a_file(place: Path) -> None:
    (place / "code/web").chmod(0o755)
    (place / "code/web/web.py").unlink()


def cut_a_file(place: Path) -> None:
    (place / "code/web/web.py").chmod(0o644)
    (place / "code/web/web.py").write_text("")


def remove_about(place: Path) -> None:
    (place / "about.json").unlink()


def empty_about(place: Path) -> None:
    (place / "about.json").write_text("{}")


def remove_files(place: Path) -> None:
    (place / "files.json").unlink()


def wrong_files(place: Path) -> None:
    (place / "files.json").write_text('{"a": [1]}')


@pytest.mark.parametrize("damage", [remove_a_file, cut_a_file, remove_about, empty_about, remove_files, wrong_files])
def test_a_damaged_version_is_refused_with_a_way_out_and_not_taken_again(
    project: Project, damage: Callable[[Path], None]
) -> None:
    project.take()
    damage(project.paths.versions / "1")
    with pytest.raises(HostError, match="damaged") as caught:
        project.store.load(1)
    assert "colonnade versions" in caught.value.hint
    assert project.take().number == 2
    assert project.store.load(2).spec.services.keys() == {"web", "api"}


def test_what_is_written_all_the_time_ends_with_an_error_and_leaves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = 0

    def copying_while_somebody_writes(*arguments: Any) -> None:
        nonlocal copies
        copies += 1
        copy_tree(*arguments)
        project.write("app.log", f"line {copies}")

    monkeypatch.setattr(versions, "copy_tree", copying_while_somebody_writes)  # the moment at which it is written
    with pytest.raises(HostError, match=r"app\.log is written while it is copied") as caught:
        project.take()
    assert 'shared = ["app.log"]' in caught.value.hint
    assert copies == versions.ATTEMPTS_MAX
    assert sorted(os.listdir(project.paths.versions)) == [".lock"]


def test_an_edit_in_the_middle_of_the_copy_is_in_the_version_as_a_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = iter(["web 2"])

    def editing(tree: Any, path: str, place: Path, entry: Any) -> None:
        if path == "common.py" and (content := next(edits, None)):
            project.write("common.py", "common 2")
            project.write("web/web.py", content)
        original(tree, path, place, entry)

    original = copying._copy_file
    monkeypatch.setattr(copying, "_copy_file", editing)  # the moment of the edit
    code = project.take().directory
    assert ((code / "common.py").read_text(), (code / "web/web.py").read_text()) == ("common 2", "web 2")


class Killed(BaseException):
    """kill -9 of whoever takes a version."""


STEPS: tuple[tuple[Any, str], ...] = (
    (versions, "make_directory"),
    (versions, "copy_tree"),
    (copying, "_copy_file"),
    (copying, "_make_places_for_compiled"),
    (copying, "_set_access"),
    (versions, "changed_since"),
    (versions, "sync_file_system"),
    (versions, "write_json_durably"),
    (versions, "sync_directory"),
    (versions, "remove_tree"),
    (Path, "rename"),
)


class Counter:
    """Counts the steps; `kill_at` is the one before which the process dies, and it stays dead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
        self.count = 0
        self.kill_at = kill_at
        for place, name in STEPS:
            monkeypatch.setattr(place, name, self.counting(getattr(place, name)))

    def counting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count >= self.kill_at:
                raise Killed
            return original(*arguments, **options)

        return step


def steps_of(project: Project, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], kill_at: int) -> int:
    """Do `work` and be killed before step `kill_at`; returns how many steps were begun."""
    with monkeypatch.context() as patches:  # the points at which the process is killed
        counter = Counter(patches, kill_at)
        with suppress(Killed):
            work()
        return counter.count


@pytest.mark.slow
def test_killed_at_any_step_of_a_take_leaves_whole_versions_and_the_next_one_succeeds(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.take()
    kill_at, done = 0, False
    while not done:
        kill_at += 1
        project.write("web/web.py", f"web {kill_at}, longer")
        done = steps_of(project, monkeypatch, project.take, kill_at) < kill_at
        kept = project.store.numbers()
        for number in kept:
            assert project.store.load(number).spec.services.keys() == {"web", "api"}
        version = project.take()
        assert (version.directory / "web/web.py").read_text() == f"web {kill_at}, longer"
        assert version.number - kept[-1] in (0, 1)
        names = set(os.listdir(project.paths.versions)) - {str(number) for number in project.store.numbers()}
        assert names == {".lock"}, "what was half made is gone"
    assert kill_at > 10, "it was killed in many places"


@pytest.mark.slow
def test_killed_at_any_step_of_a_prune_leaves_whole_versions(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_at, done = 0, False
    while not done:
        kill_at += 1
        for number in range(3):
            project.write("web/web.py", f"web {kill_at} {number}")
            newest = project.take()
        done = steps_of(project, monkeypatch, lambda: project.store.prune(1), kill_at) < kill_at
        for number in project.store.numbers():
            project.store.load(number)
        assert project.store.newest == newest
        project.store.prune(1)
        assert set(os.listdir(project.paths.versions)) == {".lock", str(newest.number)}
    assert kill_at > 3


@pytest.mark.parametrize("kill_at", [1, 2])
def test_a_pointer_is_the_old_or_the_new_one(project: Project, monkeypatch: pytest.MonkeyPatch, kill_at: int) -> None:
    project.take()
    project.store.set_current(1)
    project.write("common.py", "common 2")
    project.take()
    steps_of(project, monkeypatch, lambda: project.store.set_current(2), kill_at)
    assert project.store.current == kill_at


def test_a_file_system_without_hard_links_has_copies(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)  # no such file system is at hand
    project.take()
    project.write("web/web.py", "web 2")
    second = project.take()
    assert (second.directory / "api/api.py").read_text() == "api 1"
    assert (second.directory / "api/api.py").stat().st_nlink == 1


def test_a_full_disk_is_told_and_leaves_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(copying, "_copy_file", full)  # no full disk is at hand
    with pytest.raises(HostError, match="the disk is full"):
        project.take()
    assert os.listdir(project.paths.versions) == [".lock"]


@as_root
def test_as_root_the_parts_pass_the_directories_and_own_only_the_places_for_compiled_files(work_dir: Path) -> None:
    project = Project(work_dir / "app", credentials=PARTS)
    try:
        version = project.take()
    finally:
        owners = {str(path.relative_to(work_dir)): path.stat().st_uid for path in version.directory.rglob("*")}
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (project.paths.versions, version.directory.parent)]
        project.remove()
    assert {path for path, owner in owners.items() if owner != 0} == {
        path for path in owners if path.endswith("__pycache__")
    }
    assert modes == [0o711, 0o711]
