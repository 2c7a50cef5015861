"""Numbered noise, devices and batches: what both generators rely on."""

import pytest
import torch

from geoflow.flow.noise import draw_noise
from geoflow.model.batches import in_order
from geoflow.model.device import pick_device
from geoflow.pretrained import load_generator


def test_noise_depends_on_its_numbers_alone():
    first = draw_noise(3, 4, (5, 6))
    torch.manual_seed(9)
    assert torch.equal(draw_noise(3, 4, (5, 6)), first) and first.dtype == torch.float32
    for other in ((4, 3), (3, 5), (3, 4, 1)):
        seed, index, *attempt = other
        assert not torch.equal(draw_noise(seed, index, (5, 6), *attempt), first)
    many = torch.stack([draw_noise(0, i, (100,)) for i in range(100)])
    assert abs(many.mean()) < 0.05 and abs(many.std() - 1) < 0.05


def test_devices_by_name():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="device must be one of auto, cpu, cuda; got 'gpu'"):
        pick_device("gpu")


def test_a_batch_is_one_on_a_cpu_and_what_fits_on_a_gpu(tiny_points, monkeypatch):
    generator = load_generator(tiny_points, "cpu")
    assert generator.batch_size() == 1
    generator.device = torch.device("cuda")
    for free, usual, want in ((10**9, 1, 13), (10**12, 1, 64), (10**6, 1, 1), (10**9, 4, 3)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert generator.batch_size(usual) == want


def test_shapes_come_in_order_and_an_error_ends_the_stream():
    drawn = []

    def draw(part):
        drawn.append(list(part))
        return torch.tensor([[i] for i in part]).numpy()

    def finish(index, array, spent):
        if index == 7:
            raise ValueError("seven")
        return index, int(array[0]), spent >= 0

    want = [(i, i, True) for i in (5, 3, 9)]
    assert list(in_order([5, 3, 9], 1, draw, finish, on_gpu=False)) == want
    assert sorted(drawn) == [[3], [5], [9]]
    with pytest.raises(ValueError, match="seven"):
        list(in_order(range(9), 1, draw, finish, on_gpu=False))
    drawn.clear()  # on a GPU it draws whole batches, before the workers
    assert list(in_order([5, 3, 9], 2, draw, finish, on_gpu=True)) == want
    assert drawn == [[5, 3], [9]]
