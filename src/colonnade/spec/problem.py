"""What is wrong with a declaration: one `Problem` per finding, one `InvalidSpec` for all of a file.

All findings of a file are told at once, each with the path of its key. Values are shown only where they cannot be
secrets; whoever makes a `Problem` decides that.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from colonnade.core.errors import SpecError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: where (`key`), what was got and what was expected (`message`), what to type instead (`hint`)."""

    key: KeyPath
    message: str
    hint: str = ""

    @property
    def path(self) -> str:
        """`services.backend.weights[0].weight`, as in the messages."""
        return dotted(self.key)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.key else self.message


def dotted(key: KeyPath) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class InvalidSpec(SpecError):
    """Everything that is wrong with one file. `problems` for programs, `str()` for people."""

    def __init__(self, problems: Sequence[Problem], *, subject: str) -> None:
        self.problems = tuple(problems)
        only = self.problems[0] if len(self.problems) == 1 else None
        super().__init__(
            str(only) if only else _listed(self.problems),
            hint=only.hint
            if only and only.hint
            else f"correct it in {subject} and run the command again; nothing was started",
            subject=subject,
        )


def _listed(problems: Sequence[Problem]) -> str:
    lines = [f"{len(problems)} problems"]
    for problem in problems:
        lines.append(f"  {problem}")
        if problem.hint:
            lines.append(f"      → {problem.hint}")
    return "\n".join(lines)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, if any comes near."""
    by_folded = {name.lower().replace("-", "_"): name for name in known}
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def suggestion(word: str, known: Iterable[str], *, what: str) -> str:
    """A hint: the nearest match, or what there is to choose from. `what` is a plural such as "services"."""
    names = list(known)
    match = nearest(word, names)
    if match is not None:
        return f"did you mean `{match}`?"
    return f"{what}: {', '.join(names)}" if names else f"there are no {what}"
