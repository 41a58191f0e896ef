"""How many threads are used beside other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfcli.runtime.threads import ThreadBalancer, usable_cores

BUSY = [sys.executable, "-c", "while True: pass"]


@pytest.fixture
def busy_cores() -> Iterator[int]:
    """Other processes that keep every core busy."""
    cores = len(os.sched_getaffinity(0))
    processes = [subprocess.Popen(BUSY) for _ in range(cores)]
    yield cores
    for process in processes:
        process.kill()
        process.wait()


def next_choice(balancer: ThreadBalancer) -> int:
    """What it says once it has looked for long enough, while this process is busy too."""
    end = time.monotonic() + 60
    while (threads := balancer.threads()) is None:
        assert time.monotonic() < end
    return threads


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/stat")
def test_cores_that_others_keep_busy_are_left_to_them(busy_cores: int) -> None:
    if busy_cores == 1:
        pytest.skip("a single core is shared anyway")
    assert 1 <= next_choice(ThreadBalancer(busy_cores)) < busy_cores


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/stat")
def test_no_more_threads_are_used_than_were_asked_for() -> None:
    assert next_choice(ThreadBalancer(1)) == 1


def test_where_the_load_cannot_be_seen_the_threads_stay(tmp_path: Path) -> None:
    assert ThreadBalancer(usable_cores(), tmp_path).threads() is None
