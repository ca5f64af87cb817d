"""The screen of `colonnade top`: draws each look, and turns keys into questions and questions into requests.

It decides nothing: `dashboard/web/picture.py` judges, `rows.py`, `detail.py` and `frame.py` lay out, `acts.py` says
what a key means.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Event, Key
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from colonnade.cli.top import acts
from colonnade.cli.top.acts import Act, NotHere, parse_number, perform
from colonnade.cli.top.detail import About, page
from colonnade.cli.top.dialogs import AskNumber, Help, Inside, Question
from colonnade.cli.top.frame import event_lines, headline_lines, keys_line, title_line
from colonnade.cli.top.history import History
from colonnade.cli.top.inside import find_out
from colonnade.cli.top.lines import Line, Span, clean
from colonnade.cli.top.paint import content
from colonnade.cli.top.parts_list import PartsList
from colonnade.cli.top.rows import Row, View, header, rows
from colonnade.cli.top.watch import LOOK_EVERY_S, Contact, Sight, Watch
from colonnade.core.clock import SystemClock
from colonnade.core.errors import ColonnadeError
from colonnade.dashboard.web.looks import Looks
from colonnade.dashboard.web.picture import picture
from colonnade.system.client import ControlClient
from colonnade.system.paths import StatePaths

Picture = Mapping[str, Any]
Choose = Callable[[Mapping[str, Any] | None, Mapping[str, Mapping[str, Any]]], Act | NotHere]

EVENTS_SHARE = 5
"""One line in five is for what happened last."""

FILTER_MAX = 60
"""Characters."""

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Top(App[None]):
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "top.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "leave"),
        Binding("ctrl+c,ctrl+q", "leave", priority=True, show=False),
        Binding("s", "act('scale')", "scale"),
        Binding("r", "act('restart')", "restart"),
        Binding("d", "act('drain')", "drain"),
        Binding("w", "act('switchover')", "switchover"),
        Binding("question_mark", "help", "help"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("space", "turn", show=False),
        Binding("escape", "end_search", show=False),
    ]

    def __init__(self, paths: StatePaths) -> None:
        super().__init__(ansi_color=True)
        self._paths = paths
        self._clock = SystemClock()
        self._watch = Watch(paths, self._clock)
        self._looks = Looks()
        self._history = History()
        self._picture: Picture | None = None
        """The last one that there was something to see in."""
        self._sight: Sight | None = None
        self._answered_at_s = self._clock.monotonic()
        self._turned: frozenset[str] = frozenset()
        self._about: dict[str, About] = {}
        self._keys: list[str] = []
        self._filter = ""
        self._is_typing_filter = False

    def compose(self) -> ComposeResult:
        yield Static(id="headline")
        yield Static(id="title")
        yield Static(id="columns")
        yield PartsList(id="parts", markup=False)
        yield Static(id="events")
        yield Static(id="search")
        yield Static(id="keys")

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.query_one("#parts").focus()
        self.set_interval(LOOK_EVERY_S, self._draw)
        self._look_on()

    # Looking

    @work
    async def _look_on(self) -> None:
        """One look a second, and never two at once."""
        while True:
            began_s = self._clock.monotonic()
            self._take(await asyncio.to_thread(self._watch.look))
            await asyncio.sleep(max(0.05, LOOK_EVERY_S - (self._clock.monotonic() - began_s)))

    def _take(self, sight: Sight) -> None:
        self._sight = sight
        if sight.contact is Contact.ANSWERS:
            self._answered_at_s = self._clock.monotonic()
            # The events are already all there: `Looks` would add them up.
            self._looks.take(sight.look.at_s, sight.look.status)
            self._picture = picture(sight.look, self._looks.earlier())
            self._history.note(self._picture)
        self._draw()
        if isinstance(self.screen, Inside):
            self._look_into(self.screen.part_id)

    # Drawing

    def _draw(self) -> None:
        width, height = self.size
        main = self.screen_stack[0]
        silent_s = self._clock.monotonic() - self._answered_at_s
        contact = self._sight.contact if self._sight is not None else None
        lines = headline_lines(self._picture, contact, silent_s, str(self._paths.root.parent), width)
        main.query_one("#headline", Static).update(_joined(lines))
        main.query_one("#title", Static).update(content(title_line(self._picture, width)))
        main.query_one("#columns", Static).update(content(header(self._view())))
        events = self._sight.look.events if self._sight is not None else ()
        main.query_one("#events", Static).update(_joined(event_lines(events, width, height // EVENTS_SHARE)))
        main.query_one("#keys", Static).update(content(keys_line(width)))
        self._draw_filter()
        main.set_class(contact is not Contact.ANSWERS and contact is not None, "stale")
        self._draw_parts()

    def _draw_filter(self) -> None:
        search = self.screen_stack[0].query_one("#search", Static)
        search.display = self._is_typing_filter or bool(self._filter)
        cursor = "▏" if self._is_typing_filter else ""
        hint = "" if self._filter else " words of a name, kind or state"
        search.update(content((Span(f"/{self._filter}{cursor}{hint}"),)))

    def _view(self) -> View:
        # One column is the scrollbar's.
        return View(max(20, self.size.width - 1), self._filter, self._turned)

    def _draw_parts(self) -> None:
        """Only what changed is drawn anew, and what is chosen stays chosen."""
        there: list[Row] = []
        if self._picture is not None and (self._sight is None or self._sight.contact is not Contact.DOWN):
            there = rows(self._picture, self._history, self._view())
        parts = self._parts()
        keys = [row.key for row in there]
        if keys == self._keys:
            for row in there:
                parts.replace_option_prompt(row.key, content(row.line))
            return
        chosen, index = self._chosen(), parts.highlighted
        self._keys = keys
        parts.set_options([Option(content(row.line), id=row.key, disabled=row.part is None) for row in there])
        if chosen in keys:
            parts.highlighted = keys.index(chosen)
        elif keys:
            parts.highlighted = min(index or 0, len(keys) - 1)

    def on_resize(self) -> None:
        self._draw()

    def _parts(self) -> OptionList:
        return self.screen_stack[0].query_one("#parts", OptionList)

    def _chosen(self) -> str:
        """The id of what is looked into, else of what the cursor is on."""
        if isinstance(self.screen, Inside):
            return self.screen.part_id
        option = self._parts().highlighted_option
        return (option.id or "") if option is not None else ""

    def _by_id(self) -> dict[str, Mapping[str, Any]]:
        return {part["id"]: part for part in self._picture["parts"]} if self._picture is not None else {}

    # Looking into a part

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id in self._by_id():
            part_id = event.option.id
            self.push_screen(Inside(part_id, lambda width: self._page(part_id, width)))
            self._look_into(part_id)

    def _page(self, part_id: str, width: int) -> Sequence[Line]:
        part = self._by_id().get(part_id)
        if part is None:
            return [(Span(f"{part_id} is gone"),)]
        return page(part, self._about.get(part_id, About()), self._history, width)

    @work(exclusive=True, group="inside")
    async def _look_into(self, part_id: str) -> None:
        part = self._by_id().get(part_id)
        if part is not None and self._sight is not None:
            self._about = {part_id: await asyncio.to_thread(find_out, part, self._sight, self._paths)}
        if isinstance(self.screen, Inside):
            self.screen.show()

    # Keys

    def action_leave(self) -> None:
        self.exit()

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_move(self, step: int) -> None:
        parts = self._parts()
        if step > 0:
            parts.action_cursor_down()
        else:
            parts.action_cursor_up()

    def action_scroll_page(self, step: int) -> None:
        self.screen.query_one("#page").scroll_relative(y=step, animate=False)

    def action_turn(self) -> None:
        part = self._by_id().get(self._chosen())
        name = part["id"] if part is not None and part["kind"] == "service" else (part or {}).get("parent")
        if name is not None:
            self._turned ^= {name}
            self._draw_parts()

    def action_search(self) -> None:
        self._is_typing_filter = True
        self._filter_is("")

    def action_end_search(self) -> None:
        self._is_typing_filter = False
        self._filter_is("")

    async def on_event(self, event: Event) -> None:
        """A filter begins with the slash itself, and each key is a part of it from the very next one on: through a
        binding, or a widget with the focus, it would begin a moment later, and what is typed quickly meanwhile would
        restart or drain something."""
        if not isinstance(event, Key) or event.is_forwarded or len(self.screen_stack) > 1:
            await super().on_event(event)
        elif self._is_typing_filter:
            self._type(event)
        elif event.key == "slash":
            self.action_search()
        else:
            await super().on_event(event)

    def _type(self, event: Key) -> None:
        match event.key:
            case "escape" | "ctrl+c" | "ctrl+q":
                self.action_end_search()
            case "enter":
                self._is_typing_filter = False
                self._filter_is(self._filter)
            case "backspace":
                self._filter_is(self._filter[:-1])
            case _ if event.is_printable and event.character and len(self._filter) < FILTER_MAX:
                self._filter_is(self._filter + event.character)
            case _:
                pass

    def _filter_is(self, text: str) -> None:
        self._filter = text
        self._draw_filter()
        self._draw_parts()

    def action_act(self, name: str) -> None:
        choose: Choose = getattr(acts, name)
        parts = self._by_id()
        act = choose(parts.get(self._chosen()), parts)
        if isinstance(act, NotHere):
            self.notify(act.text, markup=False)
        elif act.kind == "scale":
            self.push_screen(AskNumber(act), lambda text: self._scale(act, text or ""))
        else:
            self.push_screen(Question(act), lambda is_yes: self._if_yes(act, is_yes))

    def _if_yes(self, act: Act, is_yes: bool | None) -> None:
        if is_yes:
            self._perform(act, None)

    def _scale(self, act: Act, text: str) -> None:
        number = parse_number(text)
        if text and not isinstance(number, NotHere):
            self._perform(act, number)

    @work
    async def _perform(self, act: Act, number: int | None) -> None:
        try:
            message = await asyncio.to_thread(self._ask, act, number)
        except ColonnadeError as error:
            text = f"{error}\n→ {error.hint}" if error.hint else str(error)
            self.notify(text, title="refused", severity="error", timeout=10, markup=False)
        else:
            self.notify(clean(message), markup=False)

    def _ask(self, act: Act, number: int | None) -> str:
        with ControlClient(self._paths) as client:
            return perform(client, act, number)


def _joined(lines: Sequence[Line]) -> Content:
    return Content("\n").join([content(line) for line in lines])
