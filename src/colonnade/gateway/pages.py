"""What a client sees when the gateway itself answers: small pages without outside resources. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.gateway.text import quoted

RETRY_AFTER_S = 1
"""A replica is back, or a queue has moved, within about this time."""

_PAGES = {
    400: ("Bad request", "The request could not be understood, or its headers are too large."),
    404: ("Not found", "There is nothing at this address."),
    408: ("Request timeout", "The request took too long to arrive."),
    411: ("Length required", "An upload of this size needs a Content-Length header."),
    413: ("Content too large", "The request is larger than this site accepts."),
    429: ("Too many requests", "You have asked for more than this site gives to one visitor. Please wait a moment."),
    500: ("Internal error", "Something went wrong on our side. Please try again."),
    502: ("Bad gateway", "The application broke off its answer. Please try again."),
    503: ("Service unavailable", "The site is busy or restarting. Please try again in a moment."),
    504: ("Gateway timeout", "The application did not answer in time. Please try again."),
}

_BY_RULE = (411, 429)
_WAITING_HELPS = (429, 503)

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:16vh auto;padding:0 1rem;color:#222}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}}"
)


def page(status: int) -> str:
    title, sentence = _PAGES[status]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{status} {title}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p>{sentence}</p></body></html>"
    )


def content(status: int, *, retry_after_s: int = RETRY_AFTER_S) -> str:
    """`content-type … string …` for HAProxy, with Retry-After where waiting helps."""
    retry = f" hdr Retry-After {retry_after_s}" if status in _WAITING_HELPS else ""
    return f"content-type 'text/html; charset=utf-8' string {quoted(page(status))} hdr Cache-Control no-store{retry}"


def error_lines() -> Iterator[str]:
    """For a `defaults` section: every answer of HAProxy's own. Those that only rules of ours give carry their page."""
    for status in _PAGES:
        if status not in _BY_RULE:
            yield f"    http-error status {status} {content(status)}"
