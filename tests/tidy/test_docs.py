"""Documents and docstrings: present, linked, and free of what goes stale or belongs to one machine."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOT_OURS = {
    ".git",
    ".bench",
    ".venv",
    ".venv-gateways",
    ".venv-peers",
    ".venv-simulator",
    ".colonnade",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
}
TEXT_SUFFIXES = {
    ".md",
    ".py",
    ".toml",
    ".svg",
    ".sh",
    ".txt",
    ".html",
    ".css",
    ".js",
    ".sql",
    ".cfg",
    ".yaml",
    ".yml",
    "",
}

FENCE = re.compile(r"^ {0,3}(```|~~~)")
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
LINE_REFERENCE = re.compile(r"\b[\w/-]+\.(?:py|toml|md|cfg|sql|html):\d+|\blines? \d+\b|#L\d+", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:work|root|home/\w+)(?=[/\s\"'`,.:;)]|$)")
# In pieces, so that this file does not catch itself.
REGISTRY = re.compile(
    r"py" r"pi\.org|python" r"hosted\.org|docker" r"\.io/|gh" r"cr\.io|qu" r"ay\.io|npm" r"js\.(?:org|com)"
)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src").rglob("*.py"))
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_every_document_has_one_title_at_its_top() -> None:
    found = []
    for path in documents():
        lines = [line for _, line in prose(path.read_text()) if line.strip()]
        titles = [line for line in lines if line.startswith("# ")]
        if len(titles) != 1 or not lines[0].startswith("# "):
            found.append(f"{path.relative_to(ROOT)}: {len(titles)} titles (`# …`), expected one, as the first line")
    assert not found, "\n".join(found)


def test_links_between_documents_resolve() -> None:
    found = []
    for path in documents():
        for line, target in links_in(path.read_text()):
            if not resolves(path, target):
                found.append(f"{path.relative_to(ROOT)}, line {line}: {target} leads nowhere")
    assert not found, "\n".join(found)


def test_files_named_in_the_architecture_exist() -> None:
    named = re.findall(r"`([\w/.-]+/[\w.-]+\.\w+)`", (ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 20
    places = (ROOT, ROOT / "src" / "colonnade")
    assert [name for name in named if not any((place / name).exists() for place in places)] == []


def test_documents_do_not_cite_line_numbers() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]!r} will be wrong tomorrow: name the function or class"
        for path in documents()
        for _, line in prose(path.read_text())
        if (match := LINE_REFERENCE.search(line))
    ]
    assert not found, "\n".join(found)


def test_nothing_names_a_path_of_one_machine_or_a_registry() -> None:
    found = []
    for path in texts():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = MACHINE_PATH.search(line) or REGISTRY.search(line)
            # Root's home is the same everywhere, and tests of what root's session may pass on have to name it.
            if match and not (match[0] == "/root" and "tests" in path.parts):
                found.append(f"{path.relative_to(ROOT)}, line {number}: {match[0]!r} is true on one machine only")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["cd /home/anna/shop", "see `/root`.", "in /home/anna/x", "(/root)"])
def test_paths_of_one_machine_are_seen(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["/workers", "the /rootless mode", "~/work/x", "src/work/x", "/home/", "../root/x"])
def test_other_paths_are_left_alone(text: str) -> None:
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["see quorum.py:12", "on line 40", "lines 3-5", "a.py#L12"])
def test_line_references_are_seen(text: str) -> None:
    assert LINE_REFERENCE.search(text)


def documents() -> list[Path]:
    return [path for path in texts() if path.suffix == ".md"]


def texts() -> list[Path]:
    found = []
    for directory, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in NOT_OURS]
        found += [Path(directory, file) for file in files if Path(file).suffix in TEXT_SUFFIXES]
    # A clone made by `git worktree` has a file `.git` with a path in it; a lock or state file is no text of ours.
    return sorted(path for path in found if path.name not in (".git", ".venv.lock", ".coverage", "LICENSE"))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a document that are not code blocks, with their numbers."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code:
            yield number, line


def links_in(text: str) -> Iterator[tuple[int, str]]:
    for number, line in prose(text):
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = match[1] or match[2]
            if not re.match(r"[a-z]+:", target):
                yield number, target


def resolves(path: Path, target: str) -> bool:
    file, _, anchor = target.partition("#")
    other = path.parent / file if file else path
    if not other.exists():
        return False
    return not anchor or (other.suffix == ".md" and anchor in anchors_of(other.read_text()))


def anchors_of(text: str) -> set[str]:
    """The anchors that a Markdown viewer gives to headings: lower case, spaces to hyphens, punctuation gone."""
    headings = [line.lstrip("#").strip() for _, line in prose(text) if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
