"""Frontend, backend and a real PostgreSQL together, as a browser sees them."""

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from testing.cut import Loss, relay_to
from testing.postgres import Postgres, standby_of
from testing.serve import backend_app, frontend_app, served

pytestmark = pytest.mark.slow


@pytest.fixture
def blog(backend: Flask) -> Iterator[Flask]:
    with served(backend) as url, frontend_app(url) as app:
        yield app


def filled_form(blog: Flask, title: str) -> dict[str, str]:
    """The form as a browser would send it, with the key that came with the page."""
    found = re.search(r'name="idempotency_key" value="([^"]+)"', blog.test_client().get("/new").text)
    assert found is not None
    return {"title": title, "content": "A *text*.", "idempotency_key": found[1]}


def count(postgres: Postgres, title: str) -> int:
    number = postgres.query("SELECT count(*) FROM posts WHERE title = %s", title)[0][0]
    assert isinstance(number, int)
    return number


def test_first_posts_are_on_the_first_page(blog: Flask) -> None:
    everything = "".join(blog.test_client().get(f"/?page={page}").text for page in range(1, 20))
    assert "When the primary dies" in everything
    assert "The commit nobody answered" in everything


def test_a_form_sent_many_times_makes_one_post(blog: Flask, postgres: Postgres) -> None:
    form = filled_form(blog, f"Pressed {uuid.uuid4()}")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: blog.test_client().post("/new", data=form), range(6)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert count(postgres, form["title"]) == 1


def test_the_same_form_with_another_text_is_asked_about(blog: Flask, postgres: Postgres) -> None:
    form = filled_form(blog, f"Changed {uuid.uuid4()}")
    assert blog.test_client().post("/new", data=form).status_code == 303
    response = blog.test_client().post("/new", data={**form, "content": "Another text."})
    assert response.status_code == 409
    assert count(postgres, form["title"]) == 1


def test_publish_then_edit(blog: Flask) -> None:
    browser = blog.test_client()
    page = browser.post("/new", data=filled_form(blog, "To be edited"), follow_redirects=True)
    assert "<em>text</em>" in page.text
    form = filled_form(blog, "Edited")
    page = browser.post(f"{page.request.path}/edit", data=form, follow_redirects=True)
    assert "Edited</h1>" in page.text
    assert "changed <time" in page.text


def test_cross_site_form_changes_nothing(blog: Flask, postgres: Postgres) -> None:
    form = filled_form(blog, f"Forged {uuid.uuid4()}")
    response = blog.test_client().post("/new", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert count(postgres, form["title"]) == 0


def test_author_sees_the_new_post_although_the_standby_lags(mortal: Postgres) -> None:
    with (
        standby_of(mortal) as standby,
        backend_app(mortal.url, standby.url) as app,
        served(app) as url,
        frontend_app(url) as blog,
    ):
        standby.query("SELECT pg_wal_replay_pause()")
        author, reader = blog.test_client(), blog.test_client()
        assert author.post("/new", data=filled_form(blog, "Just now")).status_code == 303
        assert "Just now" in author.get("/").text
        assert "Just now" not in reader.get("/").text


def test_lost_commit_answer_is_not_noticed_by_the_author(postgres: Postgres) -> None:
    with (
        relay_to(postgres.port) as relay,
        backend_app(postgres.url_at(relay.port)) as app,
        served(app) as url,
        frontend_app(url) as blog,
    ):
        form = filled_form(blog, f"Lost answer {uuid.uuid4()}")
        relay.plant(b"COMMIT", Loss.ANSWER)
        assert blog.test_client().post("/new", data=form).status_code == 303
        assert relay.lost == 1
    assert count(postgres, form["title"]) == 1
