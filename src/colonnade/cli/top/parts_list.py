"""The list of parts, with the chosen one shown reversed: that is seen on a terminal without colours, too."""

from __future__ import annotations

from rich.style import Style
from textual.strip import Strip
from textual.widgets import OptionList

REVERSED = Style(reverse=True)


class PartsList(OptionList):
    def render_line(self, y: int) -> Strip:
        # `text-style: reverse` in the style sheet does not reach the lines of an OptionList.
        strip = super().render_line(y)
        option = next((segment.style.meta.get("option") for segment in strip if segment.style is not None), None)
        return strip if option is None or option != self.highlighted else strip.apply_style(REVERSED)
