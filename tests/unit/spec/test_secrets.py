"""No secret of a declaration is ever in a repr or an error message, however wrong the file is."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from colonnade.core.errors import SpecError
from colonnade.spec.load import load_spec
from colonnade.spec.model import Spec

SECRET = "s3cret"
APP = '[services.web]\napp = "a:b"\n'


def test_the_representation_of_a_declaration_has_no_secret(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text(f"FROM_FILE={SECRET}\n")
    secrets.chmod(0o600)
    (tmp_path / "colonnade.toml").write_text(
        APP
        + f'env = {{ KEY = "{SECRET}" }}\nenv_file = "secrets.env"\nuses = ["database"]\n'
        + f'weights = [{{ env = {{ KEY = "{SECRET}" }} }}]\n'
        + f'[database]\nurl = "postgresql://app:{SECRET}@db/app"\nread_url = "postgresql://app:{SECRET}@db/app"\n'
    )
    loaded = load_spec(tmp_path, environ={})
    assert loaded.environments["web"] == {"FROM_FILE": SECRET, "KEY": SECRET}
    assert SECRET not in repr(loaded)
    assert SECRET not in str(loaded.spec)
    assert SECRET not in " ".join(loaded.warnings)


@pytest.mark.parametrize(
    "text",
    [
        APP + f'env = "{SECRET}"\n',
        APP + f'env = ["{SECRET}"]\n',
        APP + f'env = {{ KEY = ["{SECRET}"] }}\n',
        APP + f'env = {{ KEY = {{ DEEP = "{SECRET}" }} }}\n',
        APP + f'env = {{ PORT = "{SECRET}" }}\n',
        APP + f'env = {{ "a b" = "{SECRET}" }}\n',
        APP + f'environment = {{ KEY = "{SECRET}" }}\n',
        APP + f'envv = "{SECRET}"\n',
        APP + f'weights = [{{ env = {{ KEY = ["{SECRET}"] }} }}]\n',
        APP + f'weights = {{ env = {{ KEY = "{SECRET}" }} }}\n',
        APP + f'replicas = {{ env = "{SECRET}" }}\n',
        APP + f'[database]\nurl = "mysql://app:{SECRET}@db/app"\n',
        APP + f'[database]\nurl = ["{SECRET}"]\n',
        APP + f'[database]\nread_url = "{SECRET}"\n',
        APP + f'[database]\nparameters = {{ ssl_passphrase_command = ["{SECRET}"] }}\n',
        APP + f'[database]\nparameters = "{SECRET}"\n',
        APP + f'[drill]\nheaders = {{ Authorization = ["{SECRET}"] }}\n',
        APP + f'[drill]\nheaders = {{ "a:" = "{SECRET}" }}\n',
        APP + f'[drill]\nheaders = "{SECRET}"\n',
        f'database = "postgresql://app:{SECRET}@db/app"\n' + APP,
        f'services = "postgresql://app:{SECRET}@db/app"\n',
        f'[gateway]\nlisten = "postgresql://app:{SECRET}@db:5432"\n' + APP,
        # broken TOML: the line is shown, but not this one
        APP + f'[services.web.env]\nKEY = "{SECRET}" x\n',
        APP + f'env = {{ KEY = "{SECRET}", }}\n',
        APP + f'env = {{ KEY = "{SECRET}\n',
        APP + f'[database]\nurl = "postgresql://app:{SECRET}@db/app" x\n',
        APP + f"[database]\nurl = postgresql://app:{SECRET}@db/app\n",
        APP + f"[services.web.env] # comment\n\nPLAIN = {SECRET}\n",
        APP + f'weights = [\n  {{ env = {{ A = "{SECRET}" }} }}\n  {{ }}\n]\n',
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "colonnade.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path, environ={})
    assert SECRET not in str(caught.value)
    assert SECRET not in caught.value.hint
    assert SECRET not in repr(caught.value)
    # As a crash report would show it, with the exceptions it came from.
    lines = traceback.TracebackException.from_exception(caught.value, lookup_lines=False).format()
    assert SECRET not in "".join(lines)


def test_an_error_of_the_models_themselves_shows_none_either() -> None:
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate({"services": {"web": {"app": "a:b", "env": {"KEY": [SECRET]}}}})
    assert SECRET not in str(caught.value)
