"""Shapes as latents: a distance grid becomes a sequence of tokens on a sphere, and comes back.

128^3 values -> 16^3 patches -> 512 tokens of 32 numbers. The decoder gives a coarse 64^3 grid, and
on bricks of 8^3 near the surface the fine 128^3 one: a brick is what its token says of it, and what
the coarse grid looks like around it. All of it stays at token and brick resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoflow.geometry.isosurface import catmull_rom_weights
from geoflow.networks.grid import from_overlapping_patches, to_patches
from geoflow.networks.layers import SelfAttention, SwiGLU, normal_, zeroed

BRICK, REACH, AROUND = 8, 2, 3
"""Side of a brick; fine cells that its window reaches beyond it; coarse cells it sees there."""
WINDOW, SEEN = BRICK + 2 * REACH, BRICK // 2 + 2 * AROUND


@dataclass(frozen=True)
class AutoencoderSizes:
    """Arguments of `ShapeAutoencoder`.

    Attributes:
        resolution: R of the fine grid; the coarse one has half of it.
        patch: side of the part of the fine grid that is one token, a multiple of 16.
        channels: numbers of a token.
        width, hidden, encoder_depth, decoder_depth: of the blocks.
        stem: width of the layers that read bricks.
        brick_width, brick_hidden, brick_depth: of the layers that write bricks.

    Raises:
        ValueError: the patch is no multiple of 16, or the resolution none of the patch.
    """

    resolution: int = 128
    patch: int = 16
    channels: int = 32
    width: int = 384
    hidden: int = 1024
    encoder_depth: int = 4
    decoder_depth: int = 6
    stem: int = 192
    brick_width: int = 320
    brick_hidden: int = 640
    brick_depth: int = 3

    def __post_init__(self) -> None:
        if self.patch % (2 * BRICK) or self.resolution % self.patch:
            raise ValueError(
                f"patch must be a multiple of 16, and resolution one of patch; got "
                f"patch={self.patch}, resolution={self.resolution}"
            )


class ShapeAutoencoder(nn.Module):
    """Truncated distance grids, in units of the truncation, to latents and back."""

    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.decoder = Encoder(sizes), Decoder(sizes)

    def forward(self, grids: Tensor, noise: Tensor, bricks: Tensor) -> tuple[Tensor, Tensor]:
        """What training compares with the grids.

        Args:
            grids: (B, R, R, R) in [-1, 1].
            noise: (B, tokens, channels) added to the latents.
            bricks: (B, K) numbers of bricks, x slowest.

        Returns:
            (B, R / 2, R / 2, R / 2) coarse grids, and (B, K, 12, 12, 12) windows of the bricks.
        """
        latents = on_sphere(self.encoder(grids) + noise)
        coarse, features = self.decoder.coarse(latents)
        return coarse, self.decoder.windows(coarse.detach(), features, bricks)


class Encoder(nn.Module):
    """(B, R, R, R) grids -> (B, tokens, channels) latents on the sphere."""

    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        s = self.sizes = sizes
        inside = (s.patch // BRICK) ** 3
        self.read = nn.Linear(BRICK**3, s.stem)
        self.stem = _Residual(s.stem, SwiGLU(s.stem, 2 * s.stem))
        self.embed = nn.Linear(inside * s.stem, s.width)
        self.positions = _positions(s)
        self.blocks = _blocks(s, s.encoder_depth)
        self.norm = nn.RMSNorm(s.width, elementwise_affine=False)
        self.out = nn.Linear(s.width, s.channels)

    def forward(self, grids: Tensor) -> Tensor:
        s = self.sizes
        x = self.stem(self.read(to_patches(grids, BRICK)))
        x = self.embed(_by_token(x, s.resolution // s.patch, s.patch // BRICK))
        x = self.blocks(x + self.positions)
        return on_sphere(self.out(self.norm(x)).float())


class Decoder(nn.Module):
    """Latents -> coarse grids, and windows of fine bricks."""

    cubic: Tensor

    def __init__(self, sizes: AutoencoderSizes) -> None:
        super().__init__()
        s = self.sizes = sizes
        inside = (s.patch // BRICK) ** 3
        self.embed = nn.Linear(s.channels, s.width)
        self.positions = _positions(s)
        self.blocks = _blocks(s, s.decoder_depth)
        self.norm = nn.RMSNorm(s.width, elementwise_affine=False)
        self.head = nn.Linear(s.width, (s.patch // 2 + 2 * REACH) ** 3)
        self.split = nn.Linear(s.width, inside * s.brick_width)
        self.look = nn.Linear(SEEN**3, s.brick_width)
        self.bricks = nn.Sequential(
            *(
                _Residual(s.brick_width, SwiGLU(s.brick_width, s.brick_hidden))
                for _ in range(s.brick_depth)
            ),
            nn.RMSNorm(s.brick_width, elementwise_affine=False),
            zeroed(nn.Linear(s.brick_width, WINDOW**3)),
        )
        cubic = _cubic(SEEN)[2 * (AROUND - REACH // 2) :][:WINDOW]
        self.register_buffer("cubic", cubic, persistent=False)

    def coarse(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """(B, tokens, channels) -> (B, R / 2, R / 2, R / 2) and (B, bricks, brick_width)."""
        s = self.sizes
        x = self.norm(self.blocks(self.embed(latents) + self.positions))
        grids = from_overlapping_patches(self.head(x), s.patch // 2, REACH)
        side, inside = s.resolution // s.patch, s.patch // BRICK
        return grids, _by_brick(self.split(x), side, inside)

    def windows(self, coarse: Tensor, features: Tensor, bricks: Tensor) -> Tensor:
        """The fine grid around bricks.

        Args:
            coarse, features: from `coarse`.
            bricks: (B, K) numbers, x slowest.

        Returns:
            (B, K, 12, 12, 12): the brick and two cells around it.
        """
        seen = windows_of(coarse, bricks, BRICK // 2, AROUND)
        told = features.gather(1, bricks[..., None].expand(-1, -1, features.shape[-1]))
        detail = self.bricks(self.look(seen.flatten(2)) + told)
        smooth = _stretched(seen.flatten(0, 1), self.cubic.to(seen.dtype))
        return smooth.unflatten(0, bricks.shape) + detail.unflatten(-1, (WINDOW,) * 3)

    def fine(self, latents: Tensor) -> Tensor:
        """(B, tokens, channels) on the sphere -> (B, R, R, R) in units of the truncation.

        Bricks near the surface are written by `windows`, which fade into each other; the rest is
        the coarse grid.
        """
        coarse, features = self.coarse(latents)
        coarse = coarse.float()
        fade = _fade().to(coarse.device)
        out = []
        for grid, told, smooth in zip(coarse, features, upsampled(coarse), strict=True):
            bricks = torch.nonzero(nearest_to_surface(grid[None])[0] < NEAR).T
            windows = self.windows(grid[None], told[None], bricks)[0].float()
            size = self.sizes.resolution + 2 * REACH
            place = _places(bricks, self.sizes.resolution // BRICK, size)
            total = torch.zeros(2, size**3, device=grid.device)
            total[0].index_add_(0, place.flatten(), (windows * fade).flatten())
            total[1].index_add_(0, place.flatten(), fade.expand_as(windows).flatten())
            inner = slice(REACH, -REACH)
            value, weight = total.view(2, size, size, size)[:, inner, inner, inner]
            out.append(value + (1 - weight) * smooth)
        return torch.stack(out)


NEAR = 0.8
"""A brick is written where the coarse grid falls below this, in units of the truncation."""


def nearest_to_surface(coarse: Tensor) -> Tensor:
    """(B, S, S, S) -> (B, bricks) smallest distance in each brick and one cell around it."""
    side = BRICK // 2
    return -F.max_pool3d(-coarse.abs()[:, None], side + 2, side, padding=1).flatten(1)


def upsampled(coarse: Tensor) -> Tensor:
    """(B, S, S, S) -> (B, 2 S, 2 S, 2 S), tricubic (Catmull-Rom)."""
    return _stretched(coarse, _cubic(coarse.shape[-1]).to(coarse))


def on_sphere(latents: Tensor) -> Tensor:
    """Tokens scaled to a mean square of 1."""
    return F.rms_norm(latents, latents.shape[-1:])


def windows_of(grids: Tensor, bricks: Tensor, side: int, reach: int) -> Tensor:
    """Cubes around bricks, cut out of grids that go on as they end.

    Args:
        grids: (B, S, S, S).
        bricks: (B, K) numbers, x slowest, of bricks of `side` cells.
        side, reach: cells of a brick along an axis, and around it on either side.

    Returns:
        (B, K, side + 2 reach, ...) in the grids' dtype.
    """
    n, size, span = grids.shape[1] // side, grids.shape[1], side + 2 * reach
    step = torch.arange(-reach, side + reach, device=grids.device)
    z, rest = bricks % n, bricks // n
    x, y, z = ((at[..., None] * side + step).clamp(0, size - 1) for at in (rest // n, rest % n, z))
    place = (x[..., :, None, None] * size + y[..., None, :, None]) * size + z[..., None, None, :]
    flat = grids.reshape(len(grids), -1).gather(1, place.flatten(1))
    return flat.view(*bricks.shape, span, span, span)


class _Residual(nn.Module):
    def __init__(self, width: int, layer: nn.Module) -> None:
        super().__init__()
        self.norm, self.layer = nn.RMSNorm(width, elementwise_affine=False), layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(self.norm(x))


def _positions(s: AutoencoderSizes) -> nn.Parameter:
    return nn.Parameter(normal_(torch.empty((s.resolution // s.patch) ** 3, s.width), 0.02))


def _blocks(s: AutoencoderSizes, depth: int) -> nn.Sequential:
    """Blocks of a transformer that is told nothing: an attention, then a layer of its own."""
    return nn.Sequential(
        *(
            part
            for _ in range(depth)
            for part in (
                _Residual(s.width, SelfAttention(s.width)),
                _Residual(s.width, SwiGLU(s.width, s.hidden)),
            )
        )
    )


def _by_token(x: Tensor, side: int, inside: int) -> Tensor:
    """(B, bricks, C) -> (B, tokens, inside^3 C)."""
    x = x.view(len(x), side, inside, side, inside, side, inside, -1)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(len(x), side**3, -1)


def _by_brick(x: Tensor, side: int, inside: int) -> Tensor:
    """The inverse of `_by_token`."""
    x = x.view(len(x), side, side, side, inside, inside, inside, -1)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(x), (side * inside) ** 3, -1)


def _places(bricks: Tensor, n: int, size: int) -> Tensor:
    """(1, K) -> (K, 12, 12, 12) places of windows in a flat grid of that size, padded by REACH."""
    step = torch.arange(WINDOW, device=bricks.device)
    x, y, z = (
        at[0, :, None] * BRICK + step for at in (bricks // n**2, bricks // n % n, bricks % n)
    )
    return (x[:, :, None, None] * size + y[:, None, :, None]) * size + z[:, None, None, :]


def _fade() -> Tensor:
    """(12, 12, 12) weights of a window; those of windows beside each other sum to one."""
    rise = (torch.arange(2 * REACH) + 0.5) / (2 * REACH)
    line = torch.cat((rise, torch.ones(WINDOW - 4 * REACH), rise.flip(0)))
    return line[:, None, None] * line[:, None] * line


def _cubic(count: int) -> Tensor:
    """(2 count, count) Catmull-Rom weights; on the CPU even where a network is only planned."""
    return torch.tensor(catmull_rom_weights(count, 2 * count), device="cpu")


def _stretched(grids: Tensor, weights: Tensor) -> Tensor:
    """(N, S, S, S) with weights (T, S) along each axis -> (N, T, T, T)."""
    for _ in range(3):
        grids = (grids.transpose(1, 3).transpose(1, 2) @ weights.T).contiguous()
    return grids
