"""Muon for many matrices at once is Muon for one after another."""

import pytest
import torch

from geoflow.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 64), (64, 24), (32, 32)])
def test_orthogonal_keeps_directions_and_evens_out_sizes(shape):
    torch.manual_seed(0)
    matrices = torch.randn(2, *shape) * torch.tensor([1e-3, 50.0])[:, None, None]
    made = orthogonal(matrices).float()
    for before, after in zip(matrices, made, strict=True):
        u, _, vt = torch.linalg.svd(before, full_matrices=False)
        sizes = torch.linalg.svdvals(after)
        assert sizes.min() > 0.3 and sizes.max() < 1.3
        inner = u.T @ after @ vt.T
        assert (inner - inner.diagonal().diag()).abs().max() < 0.06


def test_it_is_that_of_torch():
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((24, 64), (64, 24), (24, 64))]
    ours, theirs = ([x.clone().requires_grad_() for x in start] for _ in range(2))
    pair = (
        Muon(ours, 1e-2, 0.1),
        torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        for optimizer in pair:
            optimizer.step()
    for a, b, s in zip(ours, theirs, start, strict=True):
        assert (a - b).abs().max() < 0.05 * (b - s).abs().max()


def test_what_has_no_gradient_stays():
    still, moved = torch.ones(4, 4, requires_grad=True), torch.ones(4, 4, requires_grad=True)
    moved.grad = torch.eye(4)
    Muon([still, moved], 1e-2, 0.1).step()
    assert (still == 1).all() and not (moved == 1).any()
