"""Stand-alone: wait until a Job of this namespace has ended well; run in pods before their service starts.

Asks the API server with the pod's own token. Exit code 1 when the Job has failed: then the pod does not start, is
tried again by Kubernetes, and asks again. The standard library only: the text is put into a ConfigMap.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
API = "https://kubernetes.default.svc"
POLL_S = 2.0
ANSWER_S = 10.0


def read(name: str) -> str:
    return Path(ACCOUNT, name).read_text(encoding="utf-8").strip()


def state_of(job: dict[str, Any]) -> str:
    """`waiting`, `done`, or why it has failed."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return "done"
        if condition.get("type") == "Failed":
            return str(condition.get("message") or condition.get("reason") or "failed")
    return "waiting"


def ask(name: str, api: str, context: ssl.SSLContext) -> dict[str, Any]:
    url = f"{api}/apis/batch/v1/namespaces/{read('namespace')}/jobs/{name}"
    request = urllib.request.Request(url)  # noqa: S310 - the API server's own, over TLS
    request.add_header("Authorization", f"Bearer {read('token')}")
    with urllib.request.urlopen(request, timeout=ANSWER_S, context=context) as answer:  # noqa: S310
        return dict(json.load(answer))


def say(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


def main(name: str, api: str = API) -> int:
    said = ""
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    # Python 3.13 asks more of an authority than Kubernetes does: many clusters' own name no key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    while True:
        try:
            state = state_of(ask(name, api, context))
            if state == "done":
                return 0
            if state != "waiting":
                say(f"the release step {name} has failed: {state}; see `kubectl logs job/{name}`")
                return 1
            message = f"waiting for the release step {name}"
        except urllib.error.HTTPError as error:
            is_missing = error.code == 404
            message = f"the release step {name} is not there: apply the manifests again" if is_missing else str(error)
        except OSError as error:
            message = f"the API server does not answer: {error}"
        if message != said:
            say(message)
            said = message
        time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
