"""Muon: momentum whose matrices are made orthogonal before they are added [Jordan et al. 2024].

torch.optim.Muon does the same one matrix after another, which took 20 ms a step for 46 matrices on
an H200, a third of the step; here those of equal shape go together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum SGD with orthogonal updates as large as AdamW's [Liu et al. 2025, 0.2 sqrt(max)].

    Args:
        params: matrices.
        lr: as for AdamW.
        weight_decay: decoupled, times lr.
        momentum: Nesterov's.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape].append(p)
            for shape, matrices in alike.items():
                beta, grads = group["momentum"], [p.grad for p in matrices if p.grad is not None]
                for p in matrices:
                    if "momentum" not in self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                kept = [self.state[p]["momentum"] for p in matrices]
                torch._foreach_lerp_(kept, grads, 1 - beta)  # pyright: ignore
                ahead = torch.stack(grads).lerp(torch.stack(kept), beta)
                size = 0.2 * max(shape) ** 0.5 * group["lr"]
                update = orthogonal(ahead).to(ahead.dtype) * -size
                torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])  # pyright: ignore
                torch._foreach_add_(matrices, [*update])  # pyright: ignore


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, a, b) -> bfloat16 with singular values near 1, by five steps of Newton and Schulz."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.mT if tall else x
