"""What an export does to a directory in which somebody may have worked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from colonnade.core.errors import Bug, HostError
from colonnade.deploy.files import LIST_NAME, ExportedFile, Outcome, write_export


def export(directory: Path, *files: ExportedFile, name: str = "compose", is_forced: bool = False) -> dict[str, Outcome]:
    told = write_export(directory, name, files, is_forced=is_forced)
    return {each.path.relative_to(directory).as_posix(): each.outcome for each in told}


def test_files_are_written_with_their_directories_and_modes(tmp_path: Path) -> None:
    made = export(tmp_path / "new", ExportedFile("a/b.yml", "x\n"), ExportedFile("key", "secret", mode=0o600))
    assert made == {"a/b.yml": Outcome.WROTE, "key": Outcome.WROTE}
    assert (tmp_path / "new/a/b.yml").read_text() == "x\n"
    assert stat.S_IMODE((tmp_path / "new/key").stat().st_mode) == 0o600


def test_what_was_exported_is_replaced_and_what_is_the_same_is_left_alone(tmp_path: Path) -> None:
    export(tmp_path, ExportedFile("a", "1"), ExportedFile("b", "1"))
    before = (tmp_path / "a").stat().st_mtime_ns
    assert export(tmp_path, ExportedFile("a", "1"), ExportedFile("b", "2")) == {
        "a": Outcome.UNCHANGED,
        "b": Outcome.REPLACED,
    }
    assert (tmp_path / "a").stat().st_mtime_ns == before
    assert (tmp_path / "b").read_text() == "2"


@pytest.mark.parametrize("was_exported", [True, False], ids=["changed since", "never ours"])
def test_somebodys_work_is_replaced_only_by_force_and_otherwise_nothing_is_written(
    tmp_path: Path, was_exported: bool
) -> None:
    if was_exported:
        export(tmp_path, ExportedFile("mine", "1"))
    (tmp_path / "mine").write_text("by hand")
    with pytest.raises(HostError, match=r"would overwrite .*: mine$"):
        export(tmp_path, ExportedFile("first", "1"), ExportedFile("mine", "2"))
    assert (tmp_path / "mine").read_text() == "by hand"
    assert not (tmp_path / "first").exists()
    assert export(tmp_path, ExportedFile("mine", "2"), is_forced=True) == {"mine": Outcome.REPLACED}
    assert (tmp_path / "mine").read_text() == "2"


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="no ordinary file"):
        export(tmp_path / "out", ExportedFile("a", "1"), is_forced=True)
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_what_the_last_export_wrote_and_this_one_does_not_is_removed_unless_it_was_changed(tmp_path: Path) -> None:
    export(tmp_path, *(ExportedFile(name, "1") for name in ("keep", "stale", "edited")))
    export(tmp_path, ExportedFile("other", "1"), name="kubernetes")
    (tmp_path / "edited").write_text("by hand")
    assert export(tmp_path, ExportedFile("keep", "1")) == {
        "keep": Outcome.UNCHANGED,
        "edited": Outcome.LEFT,
        "stale": Outcome.REMOVED,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == [LIST_NAME, "edited", "keep", "other"]


def test_a_list_that_names_files_outside_removes_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    out = tmp_path / "out"
    export(out, ExportedFile("a", "1"))
    text = (out / LIST_NAME).read_text()
    (out / LIST_NAME).write_text(text.replace('"a"', '"../precious"'))
    export(out, ExportedFile("b", "1"))
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../../b"])
def test_an_exported_file_is_inside_of_the_export(path: str) -> None:
    with pytest.raises(Bug):
        ExportedFile(path, "")
