"""Which requests are refused because another site had a browser send them."""

import pytest

from frontend.cross_site import is_cross_site

HOST = "blog.example:8080"


@pytest.mark.parametrize(
    ("method", "fetch_site", "origin", "refused"),
    [
        ("POST", "same-origin", None, False),
        ("POST", "none", None, False),
        ("POST", "cross-site", None, True),
        ("POST", "same-site", None, True),  # another subdomain may belong to somebody else
        ("POST", "cross-site", f"http://{HOST}", True),
        ("POST", None, f"http://{HOST}", False),
        ("POST", None, "http://evil.example", True),
        ("POST", None, "http://blog.example", True),  # another port is another origin
        ("POST", None, "null", True),
        ("POST", None, None, False),  # no browser, so no visitor whose browser could be abused
        ("PUT", "cross-site", None, True),
        ("GET", "cross-site", "http://evil.example", False),  # a link from elsewhere
        ("HEAD", "cross-site", None, False),
    ],
)
def test_cross_site(method: str, fetch_site: str | None, origin: str | None, refused: bool) -> None:
    assert is_cross_site(method, fetch_site, origin, HOST) is refused
