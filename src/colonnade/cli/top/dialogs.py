"""The screens that come over the picture: a question before anything is done, a number, one part, the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Input, Static

from colonnade.cli.top.acts import Act, NotHere, parse_number
from colonnade.cli.top.lines import Line
from colonnade.cli.top.paint import content

KEYS: Sequence[tuple[str, str]] = (
    ("↑ ↓, j k", "move; PgUp PgDn Home End as well"),
    ("Enter", "look into what is chosen: why it is so, its log, its numbers"),
    ("Space", "show or hide the replicas of a service"),
    ("s", "scale the service: a number, or auto"),
    ("r", "restart the replica, or all of the service, one by one"),
    ("d", "take the replica out of rotation, or give it back"),
    ("w", "make the chosen database node the primary"),
    ("/", "show only what has these words in its name, kind or state; Esc ends it"),
    ("?", "this"),
    ("q, Ctrl-C", "leave; the system goes on"),
)

SIGNS_TOLD = "● well  ◐ starts  ◑ ends  ○ drained  ▲ sick  ✖ dead"


class Question(ModalScreen[bool]):
    """Yes or no; whatever is not a clear yes is a no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n,escape,q", "dismiss(False)", "no"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, act: Act) -> None:
        super().__init__()
        self._act = act

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(self._act.question))
            yield Static(Content(f"As `{self._act.command}`."), classes="dim")
            with Horizontal(classes="buttons"):
                yield Button("n: no", id="no")
                yield Button("y: yes", id="yes")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class AskNumber(ModalScreen[str]):
    """How many replicas. Empty when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "leave")]

    def __init__(self, act: Act) -> None:
        super().__init__()
        self._act = act

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(f"{self._act.question}."))
            yield Input(str(self._act.number), max_length=6, select_on_focus=True)
            yield Static(Content("Enter: do it · auto: by its load · Esc: leave it"), classes="dim", id="hint")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        found = parse_number(event.value)
        if isinstance(found, NotHere):
            self.query_one("#hint", Static).update(Content(f"{found.text}, not {event.value!r}"))
        else:
            self.dismiss(event.value.strip())


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        lines = [f"{keys:<10} {what}" for keys, what in KEYS]
        with VerticalScroll(classes="box"):
            yield Static(Content("\n".join([SIGNS_TOLD, "", *lines])))


class Inside(Screen[None]):
    """One part as a page, which is drawn anew with each look."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,backspace", "dismiss", "back"),
        Binding("j", "app.scroll_page(1)", show=False),
        Binding("k", "app.scroll_page(-1)", show=False),
    ]

    def __init__(self, part_id: str, draw: Callable[[int], Sequence[Line]]) -> None:
        super().__init__()
        self.part_id = part_id
        self._draw = draw

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page"):
            yield Static(id="text")
        yield Static(
            Content("Esc back · s scale · r restart · d drain · w switchover · ? help"), classes="dim", id="keys"
        )

    def on_mount(self) -> None:
        self.show()

    def on_resize(self) -> None:
        self.show()

    def show(self) -> None:
        width = max(20, self.size.width - 3)  # padding and scrollbar
        lines = self._draw(width)
        self.query_one("#text", Static).update(Content("\n").join([content(line) for line in lines]))
