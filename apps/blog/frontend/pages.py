"""The pages: the list, a post, and the forms to write and to change one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from frontend.backend_client import BackendClient, BackendUnavailable, KeyReused, NoSuchPost, Post, Refused
from frontend.forms import PostForm, new_key
from frontend.markdown import excerpt, render
from frontend.recent_write import pass_on

PER_PAGE = 8
WORDS_PER_MINUTE = 220

STILL_CHANGING_HANDS = (
    "The database is changing hands. Your text is kept: press the button again in a moment. "
    "However often you press it, it is saved once."
)
ALREADY_SENT = (
    "This form was sent before with another text, and that one is saved. Press the button to save this text as well."
)


def make_blueprint(backend: BackendClient) -> Blueprint:
    blueprint = Blueprint("pages", __name__)
    pages = Pages(backend)
    blueprint.get("/")(pages.list)
    blueprint.get("/post/<int:post_id>")(pages.show)
    blueprint.route("/new", methods=["GET", "POST"])(pages.new)
    blueprint.route("/post/<int:post_id>/edit", methods=["GET", "POST"])(pages.edit)
    blueprint.after_app_request(_finish)
    blueprint.add_app_template_filter(render, "markdown")
    blueprint.add_app_template_filter(excerpt, "excerpt")
    blueprint.add_app_template_filter(_day, "day")
    blueprint.add_app_template_filter(_minutes, "minutes")
    return blueprint


@dataclass(frozen=True, slots=True)
class Pages:
    backend: BackendClient

    def list(self) -> str:
        number = request.args.get("page", "1")
        if not (number.isascii() and number.isdecimal() and len(number) <= 6):
            raise NotFound
        try:
            page = self.backend.list_posts(int(number), PER_PAGE)
        except (Refused, NoSuchPost) as error:
            raise NotFound from error
        if not page.posts and page.number > 1:
            raise NotFound
        return render_template("list.html", page=page)

    def show(self, post_id: int) -> str:
        return render_template("post.html", post=self._post(post_id))

    def new(self) -> str | AnyResponse:
        if request.method == "GET":
            return render_template("new.html", form=PostForm())
        form = PostForm.sent(request.form)
        return _save(form, "new.html", None, lambda: self.backend.create_post(form.title, form.content, form.key))

    def edit(self, post_id: int) -> str | AnyResponse:
        if request.method == "GET":
            post = self._post(post_id)
            return render_template("edit.html", form=PostForm(post.title, post.content), post_id=post_id)
        form = PostForm.sent(request.form)
        return _save(
            form, "edit.html", post_id, lambda: self.backend.replace_post(post_id, form.title, form.content, form.key)
        )

    def _post(self, post_id: int) -> Post:
        try:
            return self.backend.get_post(post_id)
        except NoSuchPost as error:
            raise NotFound from error


def _save(form: PostForm, template: str, post_id: int | None, send: Callable[[], Post]) -> AnyResponse:
    """Go to the saved post, or show the form again with everything that was typed."""
    status = 200
    try:
        post = send()
        return redirect(url_for("pages.show", post_id=post.id), code=303)
    except NoSuchPost as error:
        raise NotFound from error
    except Refused as refused:
        form.errors, status = refused.errors, 422
    except KeyReused:
        form.key, form.notice, status = new_key(), ALREADY_SENT, 409
    except BackendUnavailable:
        form.notice, status = STILL_CHANGING_HANDS, 503
    response = make_response(render_template(template, form=form, post_id=post_id), status)
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _finish(response: Response) -> Response:
    token = g.get("recent_write")
    if token is not None:
        pass_on(response, token, secure=request.is_secure)
    # Ask again each time, yet keep the page for the Back button, with what was typed into its form.
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _minutes(text: str) -> int:
    return max(1, round(len(text.split()) / WORDS_PER_MINUTE))
