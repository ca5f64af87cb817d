"""What the library makes of its environment, and that no password gets out."""

from __future__ import annotations

import pytest

from colonnade.client.errors import SettingsError
from colonnade.client.settings import Settings

URL = "postgresql://blog:hunter2@127.0.0.1:5432/blog"


def test_urls_are_for_psycopg_and_reads_may_share_the_primary() -> None:
    settings = Settings.from_environ({"DATABASE_URL": URL, "DATABASE_READ_URL": URL})
    assert settings.primary_url.drivername == "postgresql+psycopg"
    assert settings.standby_url is None


def test_no_password_in_repr() -> None:
    settings = Settings.from_environ({"DATABASE_URL": URL, "DATABASE_READ_URL": URL + "2", "SECRET_KEY": "hunter2"})
    assert "hunter2" not in repr(settings)


def test_replicas_without_a_secret_sign_alike() -> None:
    one, other = (Settings.from_environ({"DATABASE_URL": URL, "COLONNADE_REPLICA": name}) for name in "ab")
    assert one.signing_key == other.signing_key
    assert one.signing_key != Settings.from_environ({"DATABASE_URL": URL, "SECRET_KEY": "s"}).signing_key


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"DATABASE_URL": "hunter2"},
        {"DATABASE_URL": "mysql://blog:hunter2@127.0.0.1/blog"},
        {"DATABASE_URL": URL, "DATABASE_POOL_SIZE": "0"},
        {"DATABASE_URL": URL, "DATABASE_POOL_SIZE": "many"},
    ],
)
def test_nonsense_is_refused_by_name_and_without_the_password(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="DATABASE_") as raised:
        Settings.from_environ(environ)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
