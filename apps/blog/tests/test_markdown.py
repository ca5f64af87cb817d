"""Posts as HTML: what is shown, and what never is."""

import re

import pytest

from frontend.markdown import EXCERPT_LENGTH, excerpt, render

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](vbscript:msgbox)",
    "<javascript:alert(1)>",
    '[click](http://a "x\\" onmouseover=\\"alert(1)")',
    "![x](http://evil.example/pixel.gif)",
    "```html\n</code></pre><script>alert(1)</script>\n```",
    '<a href="http://a" style="position:fixed" onclick="x()">x</a>',
    "<style>body{display:none}</style>",
    "<form action=http://evil.example><input name=x></form>",
    "<!--><script>alert(1)</script>-->",
    "[a]: javascript:alert(1)\n\n[a]",
]

TAG = re.compile(r"<(/?)([a-z0-9]+)([^>]*)>", re.IGNORECASE)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_come_out_as_text(attack: str) -> None:
    for _, name, attributes in TAG.findall(str(render(attack))):
        assert name in {"p", "a", "code", "pre"}
        assert re.fullmatch(r'( (href="https?://[^"]*"|title="[^"]*"|rel="[^"]*"))*', attributes), attributes


def test_usual_markup_is_kept() -> None:
    html = render("# One\n\n**strong** *soft* ~~gone~~ `code`\n\n- item\n\n> quoted\n\n| a |\n|---|\n| b |")
    for tag in ("<h2>One</h2>", "<strong>", "<em>", "<s>", "<code>", "<li>", "<blockquote>", "<table>"):
        assert tag in html


def test_links_lead_out_without_recommending() -> None:
    assert 'rel="nofollow ugc noopener noreferrer"' in render("[out](https://example.org/)")


def test_excerpt_is_short_plain_and_ends_at_a_word() -> None:
    text = excerpt("# Heading\n\n" + "Some **strong** [words](http://a) " * 40)
    assert text.startswith("Some strong words Some")
    assert len(text) <= EXCERPT_LENGTH + 1
    assert text.endswith("…")
    assert excerpt("Short *one*,\nthen `two`.") == "Short one, then two."
    assert excerpt("- a list\n\nA paragraph.\n\n| a |\n|---|\n| b |") == "A paragraph."
    assert excerpt("- only\n- a list") == "only a list"
    assert excerpt("---") == ""
    assert len(excerpt("x" * 1000)) <= EXCERPT_LENGTH + 1
