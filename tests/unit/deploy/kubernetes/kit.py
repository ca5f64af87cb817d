"""A declaration with every feature, and an export of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from colonnade.deploy.kubernetes.manifests import Export, kubernetes_files
from colonnade.deploy.kubernetes.settings import Settings, Surroundings
from colonnade.spec.model import Spec

EVERY_FEATURE = Path(__file__).with_name("every_feature.toml")
SETTINGS = Settings("shop:1", "shop-gateway:2.8", "shop")
FOUND = Surroundings({"web": ("SECRET_KEY", "MAIL_PASSWORD")}, {"web": frozenset({"/livez"})}, {}, {})


def every_feature() -> dict[str, Any]:
    return tomllib.loads(EVERY_FEATURE.read_text(encoding="utf-8"))


def as_spec(data: dict[str, Any]) -> Spec:
    return Spec.model_validate(data, by_alias=True, by_name=False)


def exported(data: dict[str, Any], settings: Settings = SETTINGS) -> Export:
    spec = as_spec(data)
    memory = {name: work.memory_bytes for name, work in spec.plan.work.items() if work.memory_bytes}
    found = Surroundings(FOUND.env_file_keys, FOUND.pages, memory, {})
    return kubernetes_files(spec, settings, found)


def texts(export: Export) -> dict[str, str]:
    """Manifests only: what is told is no manifest."""
    return {file.path: file.content for file in export.files if file.path.endswith(".yaml")}
