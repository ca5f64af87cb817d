"""What PostgreSQL stores of a generated password (RFC 5802, RFC 7677): made here, with a single iteration.

The iterations of SCRAM slow down whoever guesses passwords that people think of. Ours are 192 random bits, which
nobody guesses at any speed; yet each connection would pay 4,096 iterations, 5 ms of the client's processor, and after a
failover all of them connect at once. Only for generated passwords: what people choose goes through PostgreSQL itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

ITERATIONS = 1
SALT_BYTES = 16


def scram_verifier(password: str, salt: bytes) -> str:
    """The verifier of an ASCII `password` as pg_authid holds it: `SCRAM-SHA-256$…`."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server_key = _hmac(salted, b"Server Key")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
