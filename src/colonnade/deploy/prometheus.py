"""`export prometheus`: the files, from what is declared. Pure."""

from __future__ import annotations

from colonnade.deploy.files import ExportedFile
from colonnade.observe.prometheus.config import CONFIG_FILE, RULES_FILE, Watched, config_text
from colonnade.observe.prometheus.rule_tests import tests_text
from colonnade.observe.prometheus.rules import RUNBOOKS, TESTS_FILE, rules_text


def prometheus_files(watched: Watched, runbooks: str = RUNBOOKS) -> tuple[ExportedFile, ...]:
    return (
        ExportedFile(CONFIG_FILE, config_text(watched)),
        ExportedFile(RULES_FILE, rules_text(runbooks)),
        ExportedFile(TESTS_FILE, tests_text(runbooks)),
    )
