"""Kinto as `wsgi:application`; run as a program it brings Kinto's tables up to date."""

import os

from kinto import main
from kinto.core.scripts import migrate

DATABASE_URL = os.environ["DATABASE_URL"]

SETTINGS = {
    "kinto.includes": "kinto.plugins.default_bucket",
    "multiauth.policies": "basicauth",
    "kinto.userid_hmac_secret": "only-for-this-example",  # yours belongs into `env_file`, the same for all replicas
    # Nothing stays in a replica: what one of them has stored, every other one can answer.
    "kinto.storage_backend": "kinto.core.storage.postgresql",
    "kinto.storage_url": DATABASE_URL,
    "kinto.storage_pool_pre_ping": True,  # a connection is looked at before use: after a failover the old ones are dead
    "kinto.permission_backend": "kinto.core.permission.postgresql",
    "kinto.permission_url": DATABASE_URL,
    "kinto.cache_backend": "kinto.core.cache.postgresql",
    "kinto.cache_url": DATABASE_URL,
}

application = main({}, **SETTINGS)

if __name__ == "__main__":
    migrate({"registry": application.registry})
