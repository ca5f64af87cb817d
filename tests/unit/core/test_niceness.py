"""Niceness of a whole session, as the kernel says it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from colonnade.core.niceness import yield_processor


def test_a_session_yields_to_all_others() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as leader:
        group = Path(f"/proc/{leader.pid}/autogroup")
        try:
            yield_processor(leader.pid, 7)
            assert os.getpriority(os.PRIO_PROCESS, leader.pid) == 7
            assert not group.exists() or group.read_text().split()[-1] == "7"
        finally:
            leader.kill()


def test_who_is_gone_is_no_error() -> None:
    with subprocess.Popen(["true"], start_new_session=True) as leader:
        leader.wait()
        yield_processor(leader.pid, 7)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EINVAL, errno.EPERM, errno.EAGAIN, errno.ENOENT])
def test_a_kernel_that_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    asked = []

    def refuse(*_: object, **__: object) -> None:
        asked.append(number)
        raise OSError(number, os.strerror(number))

    # What a container may do is the affair of whoever started it: none is at hand that refuses all of this.
    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    yield_processor(os.getpid(), 7)
    assert len(asked) == 2
