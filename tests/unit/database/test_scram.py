"""The verifier against libpq's own, which knows nothing of ours but the format."""

from __future__ import annotations

import pytest

from colonnade.database import scram


def test_verifier_has_the_format_that_postgresql_reads() -> None:
    verifier = scram.scram_verifier("secret", b"0123456789abcdef")
    mechanism, parameters, keys = verifier.split("$")
    assert (mechanism, parameters) == ("SCRAM-SHA-256", "1:MDEyMzQ1Njc4OWFiY2RlZg==")
    assert len(keys.split(":")) == 2


def test_verifier_is_the_one_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 7677, section 3 gives user "user", password "pencil", this salt and 4096 iterations; its exchange ends with
    # the server signature that follows from this server key.
    monkeypatch.setattr(scram, "ITERATIONS", 4096)
    import base64
    import hmac

    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    server_key = base64.b64decode(scram.scram_verifier("pencil", salt).rpartition(":")[2])
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    signature = base64.b64encode(hmac.digest(server_key, message.encode(), "sha256")).decode()
    assert signature == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_other_salt_other_verifier() -> None:
    assert scram.scram_verifier("x", b"0" * 16) != scram.scram_verifier("x", b"1" * 16)
