"""A time limit, and the shares of it that parts of a fit get."""

import time

import pytest

from warmstart.durations import UNLIMITED, Deadline


def test_without_a_limit_the_time_is_never_over():
    assert UNLIMITED.unlimited and not UNLIMITED.passed
    assert UNLIMITED.left == float("inf") and UNLIMITED.elapsed_share == 0.0
    assert UNLIMITED.share(0.1).unlimited


def test_a_limit_is_counted_from_its_beginning():
    deadline = Deadline(10.0, begun=time.monotonic() - 4.0)
    assert deadline.left == pytest.approx(6.0, abs=0.5) and not deadline.passed
    assert deadline.elapsed_share == pytest.approx(0.4, abs=0.05)


def test_a_limit_passes():
    assert Deadline(0.0).passed and Deadline(0.0).elapsed_share == 1.0
    late = Deadline(1.0, begun=time.monotonic() - 3.0)
    assert late.passed and late.left < 0 and late.elapsed_share >= 1.0


@pytest.mark.parametrize(("gone", "seconds"), [(1.0, 5.0), (8.0, 2.0), (12.0, 0.0)])
def test_a_part_gets_its_share_but_no_more_than_is_left(gone, seconds):
    part = Deadline(10.0, begun=time.monotonic() - gone).share(0.5)
    assert part.seconds == pytest.approx(seconds, abs=0.3)
    assert part.left <= seconds
