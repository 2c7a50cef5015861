"""Parts that the networks share: what they are told, how they start, transformer blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.flow.condition import Condition


def geometric(last: float, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(count,) from 1 to `last`, each the same multiple of the one before; always on the CPU.

    A network that is planned without memory (on the meta device) has its constants all the same.
    torch.logspace there loads sympy, which takes as long as the bundled weights.
    """
    values = [last ** (i / max(1, count - 1)) for i in range(count)]
    return torch.tensor(values, dtype=dtype, device="cpu")


@torch.no_grad()
def normal_(values: Tensor, std: float) -> Tensor:
    """Draws in place; nothing on the meta device, where torch would load its compiler for it."""
    return values if values.is_meta else values.normal_(std=std)


def zeroed(layer: nn.Linear) -> nn.Linear:
    """The layer with all its numbers zero: what it is added to starts without it."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class TimeEmbedding(nn.Module):
    """(t, r) -> (B, width): the mean of both times' embeddings [CFM section 5.2].

    Sinusoids stay below about 25 rad per unit of clock time: faster ones have a time derivative
    that drowns the training signal of the cumulative map.
    """

    rates: Tensor

    def __init__(self, width: int, features: int = 64, max_rate: float = 25.0) -> None:
        super().__init__()
        rates = geometric(max_rate, features // 2)
        self.register_buffer("rates", rates, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor, r: Tensor) -> Tensor:
        with torch.autocast(t.device.type, enabled=False):  # its differences must not round
            angles = torch.stack((t, r)).float()[..., None] * self.rates
            both = self.mlp(torch.cat((angles.cos(), angles.sin()), -1))
            return both.mean(0)


class Conditioned(nn.Module):
    """A network that is told two times and a label.

    A subclass calls `_listen` where it wants these parts among its own, and `_draw_labels` last:
    the numbers of a seed depend on the order.
    """

    def _listen(self, width: int, categories: int) -> None:
        """Makes the parts; label `categories` means none."""
        self.categories = categories
        self.time = TimeEmbedding(width)
        start = normal_(torch.empty(categories + 1, width), 1.0)  # drawn again by _draw_labels
        self.label = nn.Embedding.from_pretrained(start, freeze=False)
        self.modulation = zeroed(nn.Linear(width, 6 * width))

    def _draw_labels(self) -> None:
        normal_(self.label.weight, 0.02)

    def _told(self, t: Tensor, r: Tensor, cond: Condition | None = None) -> tuple[Tensor, Tensor]:
        """(B, width) signal and (B, 6, width) modulation of all blocks, float32."""
        labels = None if cond is None else cond.labels
        if labels is None:
            labels = torch.full((len(t),), self.categories, device=t.device)
        with torch.autocast(t.device.type, enabled=False):
            signal = F.silu(self.time(t, r) + self.label(labels))
            return signal, self.modulation(signal).view(len(t), 6, -1)


class SelfAttention(nn.Module):
    """Multi-head attention with RMS-normed queries and keys, flash where the device has it."""

    def __init__(self, width: int, head_width: int = 64) -> None:
        super().__init__()
        self.heads = width // head_width
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.norm_q, self.norm_k = nn.RMSNorm(head_width), nn.RMSNorm(head_width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, w = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.norm_q(q).to(v.dtype), self.norm_k(k).to(v.dtype)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, w))


class CrossAttention(nn.Module):
    """Tokens read a condition sequence; a learned null token keeps an empty sequence valid.

    Without it (`optional` False) the sequence must be there, and keeps its even length: attention
    kernels like that.
    """

    def __init__(
        self, width: int, context_width: int, head_width: int = 64, *, optional: bool = True
    ) -> None:
        super().__init__()
        self.heads = width // head_width
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(context_width, 2 * width, bias=False)
        self.null = nn.Parameter(torch.zeros(1, 1, context_width)) if optional else None
        self.out = zeroed(nn.Linear(width, width))
        self.norm_q, self.norm_k = nn.RMSNorm(head_width), nn.RMSNorm(head_width)

    def forward(self, x: Tensor, context: Tensor | None, mask: Tensor | None) -> Tensor:
        b, n, w = x.shape
        sequence = context
        if self.null is not None:
            null = self.null.expand(b, 1, -1)
            sequence = null if context is None else torch.cat((null, context.to(null.dtype)), 1)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        assert sequence is not None
        if mask is not None:
            mask = mask[:, None, None, :]
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        kv = self.kv(sequence).view(b, sequence.shape[1], 2, self.heads, -1)
        k, v = kv.permute(2, 0, 3, 1, 4)
        q, k = self.norm_q(q).to(v.dtype), self.norm_k(k).to(v.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(b, n, w))


class SwiGLU(nn.Module):
    """Gated feed-forward layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    """Transformer block: attention, optional cross-attention, feed-forward.

    Scale, shift and gate come from one projection shared by all blocks plus a bias of its own.
    """

    def __init__(self, width: int, hidden: int, context_width: int | None = None) -> None:
        super().__init__()
        self.attention = SelfAttention(width)
        self.mlp = SwiGLU(width, hidden)
        self.modulation_bias = nn.Parameter(torch.zeros(6, width))
        self.norm1 = nn.RMSNorm(width, elementwise_affine=False)
        self.norm2 = nn.RMSNorm(width, elementwise_affine=False)
        self.cross = None
        if context_width is not None:
            self.cross = CrossAttention(width, context_width)
            self.norm3 = nn.RMSNorm(width, elementwise_affine=False)

    def forward(self, x: Tensor, modulation: Tensor, *context: Tensor | None) -> Tensor:
        """`context` is what `CrossAttention` takes after x: a sequence and its mask."""
        parts = (modulation + self.modulation_bias).unsqueeze(2).unbind(1)
        scale1, shift1, gate1, scale2, shift2, gate2 = parts
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1)
        if self.cross is not None:
            x = x + self.cross(self.norm3(x), *context)
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)
