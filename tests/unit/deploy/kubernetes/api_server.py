"""A small API server: the protocol that the verbs use, on real HTTP, with a controller that is as good or bad as told.

Owners of fields are kept as a real one keeps them (`field_owners.py`). Admission and validation there are none, and of
defaults one, the replicas of a Deployment: what a real one would refuse, the schemas of `test_kubernetes.py` find.
"""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.deploy.kubernetes.field_owners import applied, updated

from colonnade.deploy.kubernetes.cluster import GLOBAL, NAMESPACED

Object = dict[str, Any]

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    result = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return {key: value for key, value in result.items() if value is not None}


class FakeCluster:
    """Objects by path. `bad_images` never get ready, `lacking_images` are on no node; release steps end as `release`
    says."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.bad_images: set[str] = set()
        self.lacking_images: set[str] = set()
        self.release = "Complete"
        self.requests: list[tuple[str, str, str]] = []
        self.versions = itertools.count(1)
        self.troubles: list[tuple[str, str, int]] = []
        """(method, end of the path, code): the next such request is answered so, and does nothing. In order. 429 is
        what a busy server says, which is plain text; that of a disruption budget is not among them. Below 0: the
        answer says nothing but its code. 200: it is that of a page to log in."""
        self.meanwhile: list[Callable[[], None]] = []
        """Done one by one before a write is looked at: what somebody else does at that moment."""
        self.lock = threading.Lock()

    def at(self, kind: str, name: str) -> Object:
        return next(value for path, value in self.objects.items() if path.endswith(f"/{kind}/{name}"))

    def put(self, path: str, value: Object) -> Object:
        """What controllers make of an object is there at once."""
        old = self.objects.get(path)
        if "/deployments/" in path:
            value = {**value, "spec": {"replicas": 1, **value["spec"]}}
        spec_changed = old is None or old.get("spec") != value.get("spec")
        generation = (old or {}).get("metadata", {}).get("generation", 0) + spec_changed
        value = {**value, "metadata": {**value["metadata"], "generation": generation, "uid": path}}
        value["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects[path] = value
        if "/jobs/" in path:
            condition = {"type": self.release, "status": "True", "message": "as told"}
            value["status"] = {"conditions": [condition]}
        if "/deployments/" in path:
            if spec_changed:
                self._roll(path, value, old)
            self._copy_annotations(path, value)
        return value

    def _copy_annotations(self, path: str, deployment: Object) -> None:
        """To its newest ReplicaSet, as the Deployment's controller does: what was taken off stays there."""
        annotations = deployment["metadata"]["annotations"]
        revision = annotations["deployment.kubernetes.io/revision"]
        replica_set = self.objects[f"{path.replace('/deployments/', '/replicasets/')}-{revision}"]
        replica_set["metadata"]["annotations"] |= annotations

    def remove(self, path: str) -> Object | None:
        return self.objects.pop(path, None)

    def evict(self, path: str) -> tuple[int, Object]:
        """Code and body of the answer to an eviction."""
        is_there = self.remove(path) is not None
        return (201, SUCCESS) if is_there else (404, failure(404, "NotFound", f"{path} not found"))

    def may(self, attributes: Object) -> bool:
        return True

    def _roll(self, path: str, value: Object, old: Object | None) -> None:
        template, count = value["spec"]["template"], value["spec"].get("replicas", 1)
        is_new = old is None or old["spec"]["template"] != template
        key = "deployment.kubernetes.io/revision"
        revision = int((old or {}).get("metadata", {}).get("annotations", {}).get(key, 0)) + is_new
        value["metadata"]["annotations"] = {**value["metadata"].get("annotations", {}), key: str(revision)}
        name, root = value["metadata"]["name"], path.split("/apis/")[0]
        namespace = path.split("/namespaces/")[1].split("/")[0]
        labels = {**template["metadata"]["labels"], "pod-template-hash": str(revision)}
        replica_set = {
            "metadata": {
                "name": f"{name}-{revision}",
                "labels": labels,
                "annotations": {key: str(revision)},
                "ownerReferences": [{"kind": "Deployment", "name": name, "uid": path}],
            },
            "spec": {"template": {**copy.deepcopy(template), "metadata": {**template["metadata"], "labels": labels}}},
        }
        self.objects[f"{root}/apis/apps/v1/namespaces/{namespace}/replicasets/{name}-{revision}"] = replica_set
        image = template["spec"]["containers"][0]["image"]
        is_lacking = image in self.lacking_images
        is_bad = is_lacking or image in self.bad_images
        serving = 0 if is_bad else count
        value["status"] = {
            "observedGeneration": value["metadata"]["generation"],
            "replicas": count,
            "updatedReplicas": 1 if is_bad else count,
            "availableReplicas": serving,
        }
        container: Object = {"restartCount": 3 if is_bad else 0, "ready": not is_bad, "state": {}}
        if is_lacking:
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}
            container |= {"restartCount": 0, "state": {"waiting": waiting}}
        containers = [container]
        pod = {
            "metadata": {"name": f"{name}-{revision}-x", "labels": labels},
            "spec": {"containers": template["spec"]["containers"], "nodeName": "node-1"},
            "status": {
                "phase": "Running",
                "containerStatuses": containers,
                "conditions": [{"type": "Ready", "status": "False" if is_bad else "True"}],
            },
        }
        prefix = f"/api/v1/namespaces/{namespace}/pods/{name}-"
        for stale in [each for each in self.objects if each.startswith(prefix)]:
            del self.objects[stale]
        self.objects[f"{prefix}{revision}-x"] = pod


NO_HEADERS: Mapping[str, str] = {}

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def failure(code: int, reason: str, message: str, details: Object | None = None) -> Object:
    about = {"status": "Failure", "message": message, "reason": reason, "code": code, "details": details or {}}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, **about}


def is_listed(each: str, path: str) -> bool:
    """Below the collection, or, for a collection of all namespaces, in that of any."""
    above, plural = path.rpartition("/")[::2]
    found = each.rpartition("/")[0]
    return found == path or (found.startswith(f"{above}/namespaces/") and found.endswith(f"/{plural}"))


def discovery(path: str) -> Object | None:
    """What kinds there are, as kubectl asks before it does anything."""
    versions = sorted({(group, version) for group, version, _, _ in NAMESPACED})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for group in sorted({group for group, _ in versions if group}):
            found = [{"groupVersion": f"{group}/{each}", "version": each} for name, each in versions if name == group]
            groups.append({"name": group, "versions": found, "preferredVersion": found[0]})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for group, version in versions:
        name = f"{group}/{version}" if group else version
        if path == f"/{'apis' if group else 'api'}/{name}":
            kinds = [(kind, plural, True) for found, _, kind, plural in NAMESPACED if found == group]
            kinds += [] if group else [(kind, plural, False) for kind, plural in GLOBAL]
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": name,
                "resources": [
                    {"name": plural, "singularName": "", "kind": kind, "namespaced": is_inside, "verbs": VERBS}
                    for kind, plural, is_inside in kinds
                ],
            }
    return None


class Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster
    wbufsize = 1 << 16
    """An answer in one piece: in two, the second waits for the client's word about the first."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._asked()
        if self._is_in_trouble():
            return
        if (told := discovery(path)) is not None:
            self._answer(told)
        elif path == "/version":
            self._answer({"major": "1", "minor": "32", "gitVersion": "v1.32.1"})
        elif path.endswith("/log"):
            self._tell_log(path.removesuffix("/log"), query.get("container", ""))
        elif path in self.cluster.objects:
            self._answer(self.cluster.objects[path])
        elif path.rsplit("/", 1)[-1].isalpha() and not self._is_object(path):
            wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if "=" in pair)
            found = [
                value
                for each, value in self.cluster.objects.items()
                if is_listed(each, path) and wanted.items() <= value["metadata"].get("labels", {}).items()
            ]
            if query.get("fieldSelector"):
                field, _, name = query["fieldSelector"].partition("=")
                # The one field of pods that is asked for; others would have to be added here.
                assert field == "spec.nodeName"
                found = [value for value in found if value["spec"].get("nodeName") == name]
            self._answer({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": found})
        else:
            self._refuse(404, f"{path} not found")

    def _tell_log(self, path: str, container: str) -> None:
        """A container that has not started has none, which the node says, and the API server passes on."""
        name, pod = path.split("/")[-1], self.cluster.objects[path]
        if any("waiting" in each["state"] for each in pod["status"]["containerStatuses"]):
            why = f'container "{container}" in pod "{name}" is waiting to start: trying and failing to pull image'
            self._send(400, json.dumps(failure(400, "BadRequest", why)).encode(), "application/json")
        else:
            self._send(200, f"last words of {name}\n".encode(), "text/plain")

    def _is_in_trouble(self) -> bool:
        troubles = self.cluster.troubles
        path = urlsplit(self.path).path
        if not troubles or troubles[0][0] != self.command or not path.endswith(troubles[0][1]):
            return False
        _, _, code = troubles.pop(0)
        if code == 200:
            self._send(200, b"<html>Please log in</html>", "text/html")
            return True
        if code < 0:
            self.send_response(-code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True
        if code == 429:
            self._send(429, b"Too many requests, please try again later.", "text/plain", {"Retry-After": "7"})
            return True
        status = failure(code, "InTrouble", "not now")
        self._send(code, json.dumps(status).encode(), "application/json")
        return True

    def _is_object(self, path: str) -> bool:
        parts = path.split("/")
        return "namespaces" in parts and (len(parts) - parts.index("namespaces")) % 2 == 0

    def do_PATCH(self) -> None:
        path, query = self._asked()
        body, kind = self._body(), self.headers.get("Content-Type", "")
        if self._is_in_trouble():
            return
        self._let_others_write()
        if path.endswith("/deployments/" + path.split("/")[-2] + "/scale"):
            self._scale(path.removesuffix("/scale"), body, kind)
            return
        old = self.cluster.objects.get(path)
        if old is None and "apply" not in kind:
            self._refuse(404, f"{path} not found")
            return
        if self._is_outdated(path, body):
            return
        before = copy.deepcopy(old or {"metadata": {}})
        if "apply" in kind:
            new = applied(before, body, query["fieldManager"])
        else:
            new = updated(before, merged(copy.deepcopy(before), body), query["fieldManager"])
        self._answer(new if query.get("dryRun") else self.cluster.put(path, new))

    def _let_others_write(self) -> None:
        if self.cluster.meanwhile:
            self.cluster.meanwhile.pop(0)()

    def _is_outdated(self, path: str, body: Object) -> bool:
        there = self.cluster.objects.get(path) or body
        meant, now = (each.get("metadata", {}).get("resourceVersion") for each in (body, there))
        if meant is None or meant == now:
            return False
        self._refuse(409, f"{path} has been modified")
        return True

    def _scale(self, path: str, body: Object, kind: str) -> None:
        old = self.cluster.objects.get(path)
        if old is None or kind != "application/merge-patch+json" or set(body) != {"spec"}:
            self._refuse(404 if old is None else 415, f"{path}: no scale")
            return
        new = self.cluster.put(path, merged(copy.deepcopy(old), {"spec": {"replicas": body["spec"]["replicas"]}}))
        metadata = {"name": new["metadata"]["name"], "namespace": path.split("/")[-3]}
        self._answer({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": body["spec"]})

    def do_POST(self) -> None:
        path, _ = self._asked()
        body = self._body()
        if self._is_in_trouble():
            return
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            is_allowed = self.cluster.may(body["spec"]["resourceAttributes"])
            self._send(201, json.dumps({**body, "status": {"allowed": is_allowed}}).encode(), "application/json")
            return
        pod, _, what = path.rpartition("/")
        is_eviction = body.get("kind") == "Eviction" and body.get("apiVersion") == "policy/v1"
        if what != "eviction" or not is_eviction or body["metadata"]["name"] != pod.split("/")[-1]:
            self._refuse(400, f"{path}: not an eviction")
            return
        code, answer = self.cluster.evict(pod)
        self._send(code, json.dumps(answer).encode(), "application/json")

    def do_PUT(self) -> None:
        path, query = self._asked()
        body = self._body()
        self._let_others_write()
        if not self._is_outdated(path, body):
            before = self.cluster.objects[path]
            # Who says nothing about owners leaves them as they are.
            kept = {"managedFields": before["metadata"].get("managedFields", []), **body["metadata"]}
            self._answer(self.cluster.put(path, updated(before, {**body, "metadata": kept}, query["fieldManager"])))

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        if self._is_in_trouble():
            return
        if self.cluster.remove(path) is None:
            self._refuse(404, f"{path} not found")
        else:
            self._answer({"kind": "Status", "status": "Success"})

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.cluster.requests.append((self.command, parts.path, parts.query))
        return parts.path, query

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, value: Object) -> None:
        self._send(200, json.dumps(value).encode(), "application/json")

    def _refuse(self, code: int, message: str) -> None:
        status = {"kind": "Status", "status": "Failure", "message": message, "code": code, "reason": "NotFound"}
        self._send(code, json.dumps(status).encode(), "application/json")

    def _send(self, code: int, body: bytes, kind: str, more: Mapping[str, str] = NO_HEADERS) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(cluster: FakeCluster) -> Iterator[str]:
    handler = type("OwnHandler", (Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def reached(cluster: FakeCluster, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Served, and what the kubeconfig of this environment leads to."""
    with serving(cluster) as url:
        monkeypatch.setenv("KUBECONFIG", kubeconfig(directory, url))
        yield


def kubeconfig(directory: Path, url: str) -> str:
    """A file with one context, `here`, which is the current one."""
    config = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path = directory / "config"
    path.write_text(json.dumps(config))
    return str(path)
