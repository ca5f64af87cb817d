"""Which container of a pod is heard, and what is told of a release step."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("lightkube")

from colonnade.deploy.kubernetes.objects import container_at_work, job_of, job_that_cannot_start


def pod(*initial: dict[str, Any]) -> dict[str, Any]:
    statuses = [{"name": f"wait-{number}", "state": state} for number, state in enumerate(initial, 1)]
    return {"spec": {"containers": [{"name": "web"}]}, "status": {"initContainerStatuses": statuses}}


@pytest.mark.parametrize(
    ("initial", "heard"),
    [
        ((), "web"),
        (({"terminated": {"exitCode": 0}},), "web"),
        (({"running": {}},), "wait-1"),
        (({"terminated": {"exitCode": 1}},), "wait-1"),
        (({"terminated": {"exitCode": 0}}, {"waiting": {"reason": "CrashLoopBackOff"}}), "wait-2"),
    ],
)
def test_before_the_service_starts_the_container_that_it_waits_for_is_heard(
    initial: tuple[dict[str, Any], ...], heard: str
) -> None:
    assert container_at_work(pod(*initial)) == heard


def test_a_release_step_that_is_tried_again_says_how_often_it_failed() -> None:
    job = {"metadata": {"name": "web-release"}, "status": {"failed": 2, "conditions": []}}
    assert job_of(job).message == "web-release: failed 2 times, and is tried again"
    assert job_of({**job, "status": {}}).message == "web-release: running"


def test_a_release_step_whose_image_is_nowhere_is_not_waited_for() -> None:
    """Its Job would wait for ever."""
    lacking = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "web:2"'}
    waiting = {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"state": {"waiting": lacking}}]}}
    found = job_that_cannot_start("web-release", [waiting])
    assert found is not None
    assert (found.state, found.message) == (
        "failed",
        'web-release: p: ImagePullBackOff: Back-off pulling image "web:2"',
    )
    assert job_that_cannot_start("web-release", [{"metadata": {"name": "p"}, "status": {"phase": "Running"}}]) is None
