"""torch's number of threads: one inside, as before outside, whoever leaves last."""

import threading

import pytest
import torch

from geoflow.model.batches import MOST_WORKERS, single_threaded_torch


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_inside_and_as_before_outside():
    with single_threaded_torch() as workers:
        assert workers == 3 and torch.get_num_threads() == 1
        inside = []
        thread = threading.Thread(target=lambda: inside.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert inside == [1]
    assert torch.get_num_threads() == 3


def test_users_may_overlap_in_any_order():
    first, second = single_threaded_torch(), single_threaded_torch()
    first.__enter__()
    assert second.__enter__() == 3
    first.__exit__(None, None, None)
    assert torch.get_num_threads() == 1  # the second is still at work
    second.__exit__(None, None, None)
    assert torch.get_num_threads() == 3


def test_a_thread_that_had_one_before_changes_nothing():
    """The app's walkers beside its worker, in any order."""
    went, come = threading.Event(), threading.Event()

    def walker():
        torch.set_num_threads(1)
        torch.ones(1)
        with single_threaded_torch():
            come.set()
            assert went.wait(10)

    with single_threaded_torch():
        thread = threading.Thread(target=walker)
        thread.start()
        assert come.wait(10)
    assert torch.get_num_threads() == 3  # the walker is inside still
    went.set()
    thread.join()
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 3 and later == [3]


def test_an_error_restores_too_and_workers_are_limited():
    torch.set_num_threads(40)
    with pytest.raises(KeyError), single_threaded_torch() as workers:
        assert workers == MOST_WORKERS
        raise KeyError
    assert torch.get_num_threads() == 40
