"""Markdown to HTML that is safe to show. Twice guarded: raw HTML is never parsed, and the result is sanitised.

Images are left out: they would make visitors' browsers call wherever an author points.
"""

from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
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
    """The words of the first paragraphs, without headings, code and markup."""
    words: list[str] = []
    length = 0
    tokens = _parser.parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type != "inline" or (before is not None and before.type == "heading_open"):
            continue
        for child in token.children or []:
            if child.type in ("text", "code_inline"):
                words.append(child.content)
            elif child.type in ("softbreak", "hardbreak"):
                words.append(" ")
        words.append(" ")
        length += len(token.content)
        if length > EXCERPT_LENGTH * 2:
            break
    return "".join(words).split()
