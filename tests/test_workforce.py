import os

import pytest
import torch

from dino_ir.errors import DinoIRError
from dino_ir.workforce import one_thread, workers


def test_one_process_is_this_one():
    with workers(1) as pool:
        assert pool is None


def test_a_process_that_died_is_said_so():
    with pytest.raises(DinoIRError, match="fewer workers"), workers(2) as pool:
        pool.submit(os._exit, 1).result()


def test_the_number_of_threads_is_one_and_then_what_it_was():
    torch.set_num_threads(3)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
