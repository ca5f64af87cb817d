"""Markdown to HTML that is safe to show. Twice guarded: raw HTML is never parsed, and the result is sanitised.

Images are left out: they would make visitors' browsers call wherever an author points.
"""

from functools import lru_cache
from itertools import pairwise

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

ALLOWED_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ALLOWED_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
ALLOWED_SCHEMES = {"http", "https", "mailto"}

EXCERPT_LENGTH = 240
"""Characters; about three lines."""

_parser = (
    MarkdownIt("commonmark", {"html": False, "typographer": True})
    .enable(["table", "strikethrough", "replacements", "smartquotes"])
    .disable("image")
)


@lru_cache(maxsize=128)  # a few pages of posts; parsing takes milliseconds, and posts are read more than written
def render(text: str) -> Markup:
    """The HTML of `text`. Its headings start below the post's own title."""
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    html = _parser.renderer.render(tokens, _parser.options, {})
    clean = nh3.clean(
        html,
        tags=ALLOWED_TAGS,
        attributes=ALLOWED_ATTRIBUTES,
        url_schemes=ALLOWED_SCHEMES,
        link_rel="nofollow ugc noopener noreferrer",
    )
    return Markup(clean)  # noqa: S704 — sanitised in the line above


@lru_cache(maxsize=512)
def excerpt(text: str) -> str:
    """The first words of `text` as plain text, which templates escape as any other."""
    plain = " ".join(_plain_words(text))
    if len(plain) <= EXCERPT_LENGTH:
        return plain
    return plain[:EXCERPT_LENGTH].rpartition(" ")[0].rstrip(".,;:–— ") + "…"


def _plain_words(text: str) -> list[str]:
    """The words of the paragraphs; of everything, if it is all lists, quotations and headings."""
    tokens = _parser.parse(text)
    inline = [(before, token) for before, token in pairwise(tokens) if token.type == "inline"]
    paragraphs = [token for before, token in inline if before.type == "paragraph_open" and before.level == 0]
    return " ".join(_plain(token) for token in paragraphs or [token for _, token in inline]).split()


def _plain(token: Token) -> str:
    """The text of one paragraph without its markup."""
    return "".join(
        child.content if child.type in ("text", "code_inline") else " " if child.type.endswith("break") else ""
        for child in token.children or []
    )
