"""What is remembered of an `up` beside the version that it took."""

from pathlib import Path

import pytest

from colonnade.core.errors import HostError, SpecError
from colonnade.spec.detect import Detected
from colonnade.spec.load import spec_for_app
from colonnade.system.accepted import Accepted, as_accepted, listening_on, read_accepted, write_accepted
from colonnade.system.paths import StatePaths

FOUND = Detected("wsgi", False, "web:app")


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(tmp_path)


@pytest.mark.parametrize(
    "accepted",
    [
        Accepted(Path("/srv/app"), "/srv/app/colonnade.toml", applications={2: {"web": FOUND}}, was_running=True),
        Accepted(Path("/srv/app"), "", app="web:create_app()", listen="127.0.0.1:9000", database={"standbys": 1}),
        Accepted(Path("/srv/app"), "", app="web:app", is_reloading=True, detours="/srv/detours"),
    ],
    ids=["a file", "an import string", "with detours"],
)
def test_what_was_accepted_is_read_again(paths: StatePaths, accepted: Accepted) -> None:
    write_accepted(paths, accepted)
    assert read_accepted(paths) == accepted
    assert paths.accepted.stat().st_mode & 0o077 == 0


def test_what_was_found_is_found_by_version_and_service() -> None:
    accepted = Accepted(Path("/srv/app"), "", applications={2: {"web": FOUND}})
    assert accepted.application(2, "web") == FOUND
    assert accepted.application(2, "api") is None
    assert accepted.application(3, "web") is None


def test_nothing_accepted_is_nothing(paths: StatePaths) -> None:
    assert read_accepted(paths) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"directory": 3}', '{"directory": "/", "source": ""}'),
        '{"directory": "/", "source": "", "app": "", "listen": "", "was_running": true, "applications": {"x": {}}}',
        '{"directory": "/", "source": "", "app": "", "listen": "", "was_running": true, "applications": {"web": 3}}',
    ],
)
def test_a_record_that_is_not_ours_is_refused_with_a_way_out(paths: StatePaths, text: str) -> None:
    paths.accepted.write_text(text)
    with pytest.raises(HostError) as caught:
        read_accepted(paths)
    assert caught.value.subject == str(paths.accepted)
    assert caught.value.hint


def test_another_address_replaces_the_declared_one() -> None:
    loaded = spec_for_app("web:app", directory=Path("/srv/app"))
    accepted = Accepted(Path("/srv/app"), "", app="web:app", listen="127.0.0.1:9000")
    assert as_accepted(loaded, accepted).spec.gateway.listen == "127.0.0.1:9000"
    assert loaded.spec.gateway.listen == "127.0.0.1:8080"


@pytest.mark.parametrize("listen", ["9000", "nowhere:80", "127.0.0.1:0", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    loaded = spec_for_app("web:app", directory=Path("/srv/app"))
    with pytest.raises(SpecError) as caught:
        listening_on(loaded, listen)
    assert caught.value.subject == "--listen"
