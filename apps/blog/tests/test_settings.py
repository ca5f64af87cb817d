"""What the frontend makes of its environment; for the backend's see `colonnade.client`."""

import pytest

import frontend.settings


def test_frontend_needs_to_know_its_backend() -> None:
    with pytest.raises(frontend.settings.SettingsError, match="BACKEND_URL"):
        frontend.settings.Settings.from_environ({})
    assert frontend.settings.Settings.from_environ({"BACKEND_URL": "http://h:1/"}).backend_url == "http://h:1"
