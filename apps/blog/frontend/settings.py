"""What the frontend is told by its environment. Reads and checks; never connects."""

import os
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """The environment lacks something, or has it in a form we cannot use. The message says which and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    backend_url: str
    """Where the backend answers, as `http://host:port`: `BACKEND_URL`. Required."""

    replica: str = "frontend"
    """The name in `X-Served-By` and in the footer, say `frontend/2`: `COLONNADE_REPLICA`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        env = os.environ if environ is None else environ
        url = env.get("BACKEND_URL", "")
        if not url.startswith(("http://", "https://")):
            raise SettingsError(f"BACKEND_URL is {url!r}; expected http://host:port")
        return cls(backend_url=url.rstrip("/"), replica=env.get("COLONNADE_REPLICA", "frontend"))
