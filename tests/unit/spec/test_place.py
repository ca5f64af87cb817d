"""Where relative paths lead when a copy of the declaration's directory is used."""

from pathlib import Path

import pytest

from colonnade.spec.place import path_inside, place_of

COPY, ORIGIN = Path("/state/versions/3/code"), Path("/srv/blog")


@pytest.mark.parametrize(
    ("relative", "place"),
    [
        (".", "/state/versions/3/code"),
        ("", "/state/versions/3/code"),
        ("backend", "/state/versions/3/code/backend"),
        ("./backend/../frontend/", "/state/versions/3/code/frontend"),
        ("/srv/blog/backend", "/state/versions/3/code/backend"),
        ("/srv/blog", "/state/versions/3/code"),
        ("../blog/backend", "/state/versions/3/code/backend"),
        ("../shared", "/srv/blog/../shared"),
        ("/etc/blog.env", "/etc/blog.env"),
        ("/srv/blog-two", "/srv/blog-two"),
        ("..", "/srv/blog/.."),
    ],
)
def test_what_lies_inside_is_found_in_the_copy_and_the_rest_where_it_was(relative: str, place: str) -> None:
    assert place_of(relative, COPY, ORIGIN) == Path(place)


@pytest.mark.parametrize("relative", [".", "backend", "../shared", "/etc/blog.env"])
def test_without_a_copy_a_path_means_what_it_says(relative: str) -> None:
    assert place_of(relative, ORIGIN).resolve() == (ORIGIN / relative).resolve()


@pytest.mark.parametrize(
    ("target", "base", "inside"),
    [("/a/b", "/a", "b"), ("/a", "/a", "."), ("/ab", "/a", None), ("/a", "/", "a"), ("/", "/a", None)],
)
def test_inside_is_told_by_whole_names(target: str, base: str, inside: str | None) -> None:
    assert path_inside(target, base) == inside
