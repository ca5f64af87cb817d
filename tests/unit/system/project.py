"""A project in a directory, and the store of its versions: for the tests of versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from colonnade.core.clock import SimulatedClock
from colonnade.core.processes import Credentials
from colonnade.spec.load import LoadedSpec, load_spec
from colonnade.system.changes import Changes
from colonnade.system.copying import remove_tree
from colonnade.system.paths import StatePaths
from colonnade.system.versions import Version, VersionStore

TEXT = """\
[services.web]
app = "web:app"
route = "/"
path = "web"

[services.api]
app = "api:app"
route = "/api"
path = "api"
"""

FILES = {"web/web.py": "web 1", "api/api.py": "api 1", "common.py": "common 1"}


@dataclass
class Project:
    """`directory` is the user's, with a state directory inside as usual."""

    directory: Path
    text: str = TEXT
    credentials: Credentials | None = None
    clock: SimulatedClock = field(default_factory=SimulatedClock)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.paths = StatePaths(self.directory / ".colonnade")
        self.paths.root.mkdir(mode=0o711)
        self.declare(self.text)
        for path, content in FILES.items():
            self.write(path, content)

    @property
    def store(self) -> VersionStore:
        """A new one each time: nothing may hang on what a process remembers."""
        return VersionStore(self.paths, self.clock, self.credentials)

    @property
    def loaded(self) -> LoadedSpec:
        return load_spec(self.directory, environ={})

    def declare(self, text: str) -> None:
        self.text = text
        (self.directory / "colonnade.toml").write_text(text)

    def write(self, path: str, content: str, *, mode: int = 0o644) -> Path:
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        place.chmod(mode)
        return place

    def take(self, message: str = "") -> Version:
        self.clock.advance(1.0)
        return self.store.take(self.loaded, self.text, message=message)

    def pending(self, old: int) -> Changes:
        return self.store.pending(old, self.loaded, self.text)

    def copied(self, number: int = 1) -> set[str]:
        """Paths of files and links in the copy."""
        code = self.paths.versions / str(number) / "code"
        return {str(path.relative_to(code)) for path in code.rglob("*") if path.is_symlink() or path.is_file()}

    def remove(self) -> None:
        """A copy is read-only, so whoever cleans up after a test may not get rid of it."""
        if self.paths.versions.exists():
            remove_tree(self.paths.versions)
