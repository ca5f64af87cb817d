"""Groups of commands that are imported when one of them is asked for, and not before.

`colonnade status` should not wait for the templates of drill reports and the drivers of backups. Until then a group is
its help text; its commands and options come from its module.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


def lazy_group(module: str, help_text: str) -> typer.Typer:
    """Stands for the `app` of a module, which needs no help text of its own."""

    class LazyGroup(TyperGroup):
        # Whatever is done with a group begins with its context, and goes on with the command that the context names.
        def make_context(self, *args: Any, **kwargs: Any) -> Any:
            group = get_group(import_module(module).app)
            group.help = self.help
            return group.make_context(*args, **kwargs)

    return typer.Typer(cls=LazyGroup, help=help_text)
