"""Everything that differs between machines comes from the environment; nothing here is secret."""

import os
from urllib.parse import unquote, urlsplit

DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
# Only signs cookies and tokens, of which this example has none. Yours belongs into `env_file`.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only-for-this-example")
# The gateway is the only one that reaches a replica; which names it answers to is decided there.
ALLOWED_HOSTS = ["*"]

ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
INSTALLED_APPS = ["visits"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True


def database(url: str) -> dict[str, object]:
    """Django's settings for `postgresql://user:password@host:port/name`."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        # Kept between requests, and looked at before use: after a failover the old ones are dead.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": database(os.environ["DATABASE_URL"])} if "DATABASE_URL" in os.environ else {}
