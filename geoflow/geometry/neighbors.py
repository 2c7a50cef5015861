"""Farthest points and nearest neighbours of batched clouds.

Both are defined to the last index, so that every implementation gives the same: squared distances
are (dx^2 + dy^2) + dz^2 in float32, the smaller index wins a tie, and the first farthest point is
point 0. torch-cluster is used where it imports and keeps to that; the rest is plain torch.
"""

from __future__ import annotations

from typing import Any

import torch

PAIRS = 2**22  # distances held at a time, about 100 MB
CLOSE = 1e-4  # relative: wider than rounding in anybody's float32 distances


def fps(points: torch.Tensor, count: int) -> torch.Tensor:
    """(B, N, 3) -> (B, count) int64: indices of points spread as far apart as they go.

    The first is point 0; each next one is the farthest from those before it (Eldar et al. 1997).
    Where fewer than `count` points differ, indices repeat. Without gradients.

    Raises:
        ValueError: `points` is not (B, N, 3), empty or not finite; `count` is outside 1..N.
    """
    points = _checked(points, "points")
    _check_count("count", count, points)
    cluster = _torch_cluster() if points.device.type == "cpu" else None  # its GPU ties differ
    if cluster is not None:
        return _fps_by_torch_cluster(cluster, points, count)
    return _fps_by_torch(points, count)


def knn(queries: torch.Tensor, points: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, M, 3), (B, N, 3) -> the k nearest points of every query, nearest first.

    Without gradients. Takes about 100 MB beside the result.

    Returns:
        Squared distances (B, M, k) float32 in the points' unit squared, and indices (B, M, k) int64
        into points.

    Raises:
        ValueError: An argument is not (B, N, 3), empty or not finite; the batches or devices
            differ; `k` is outside 1..N.
    """
    queries, points = _checked(queries, "queries"), _checked(points, "points")
    if len(queries) != len(points) or queries.device != points.device:
        raise ValueError(
            "queries and points must have one batch size and device; they have "
            f"{len(queries)} on {queries.device} and {len(points)} on {points.device}"
        )
    _check_count("k", k, points)
    cluster = _torch_cluster()
    if cluster is not None and k < points.shape[1]:
        return _knn_by_torch_cluster(cluster, queries, points, k)
    return _knn_by_torch(queries, points, k)


def _checked(points: torch.Tensor, name: str) -> torch.Tensor:
    """(B, N, 3) as float32 without gradients."""
    if points.ndim != 3 or points.shape[2] != 3 or 0 in points.shape:
        raise ValueError(
            f"{name} must have shape (B, N, 3), none of them 0; it is {tuple(points.shape)}"
        )
    points = points.detach().float()
    if not bool(torch.isfinite(points).all()):
        raise ValueError(f"{name} must be finite; it holds NaN or infinity; drop those points")
    return points


def _check_count(name: str, count: int, points: torch.Tensor) -> None:
    if not 1 <= count <= points.shape[1]:
        raise ValueError(f"{name} must be in 1..{points.shape[1]}, the points; it is {count}")


def _torch_cluster() -> Any | None:
    """The module, or None where it does not import."""
    try:
        import torch_cluster  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError):  # OSError: built for another torch
        return None
    return torch_cluster


def _squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(..., 3), (..., 3), broadcast -> (...)."""
    x, y, z = (a - b).square().unbind(-1)
    return x + y + z


def _fps_by_torch(points: torch.Tensor, count: int) -> torch.Tensor:
    rows = torch.arange(len(points), device=points.device)
    chosen = torch.zeros(len(points), count, dtype=torch.int64, device=points.device)
    nearest = torch.full(points.shape[:2], torch.inf, device=points.device)
    for i in range(1, count):
        last = points[rows, chosen[:, i - 1]]
        nearest = torch.minimum(nearest, _squared(points, last[:, None]))
        chosen[:, i] = _first_largest(nearest)
    return chosen


def _first_largest(values: torch.Tensor) -> torch.Tensor:
    """(B, N) -> (B,) the smallest index of a row's largest value, on any device."""
    return (values == values.amax(dim=1, keepdim=True)).int().argmax(dim=1)


def _fps_by_torch_cluster(cluster: Any, points: torch.Tensor, count: int) -> torch.Tensor:
    batch, size = points.shape[:2]
    of = torch.arange(batch).repeat_interleave(size)
    ratio = min(1.0, (count + 0.5) / size)  # at least count: its ceiling is count + 1 or size
    found = cluster.fps(points.reshape(-1, 3), of, ratio=ratio, random_start=False)
    return found.reshape(batch, -1)[:, :count] - size * torch.arange(batch)[:, None]


def _knn_by_torch(
    queries: torch.Tensor, points: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance and index as one integer, so that the smaller index wins a tie."""
    index = torch.arange(points.shape[1], device=points.device)
    keys = [
        (_keys(_squared(part[:, :, None], points[:, None])) | index)
        .topk(k, dim=2, largest=False)
        .values
        for part in queries.split(max(1, PAIRS // (len(points) * points.shape[1])), dim=1)
    ]
    return _split_keys(torch.cat(keys, dim=1))


def _keys(squared: torch.Tensor) -> torch.Tensor:
    """Distances >= 0 -> int64 in the same order, the lower 32 bits free for an index."""
    return squared.view(torch.int32).long() << 32


def _split_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (keys >> 32).int().view(torch.float32), keys & 0xFFFFFFFF


def _knn_by_torch_cluster(
    cluster: Any, queries: torch.Tensor, points: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """torch-cluster chooses k + 1; ordered here, and done again where the last two nearly tie."""
    batch, count = queries.shape[:2]
    size = points.shape[1]
    row = torch.arange(batch, device=points.device)
    found = cluster.knn(
        points.reshape(-1, 3),
        queries.reshape(-1, 3),
        k + 1,
        row.repeat_interleave(size),
        row.repeat_interleave(count),
    )
    index = found[1].reshape(batch, count, k + 1) - size * row[:, None, None]
    near = points[row[:, None, None], index]
    keys = (_keys(_squared(queries[:, :, None], near)) | index).sort(dim=2).values
    squared, _ = _split_keys(keys)
    keys = keys[:, :, :k]
    unsure = squared[:, :, k] <= squared[:, :, k - 1] * (1 + CLOSE)
    for b in unsure.any(dim=1).nonzero().ravel().tolist():
        again = _knn_by_torch(queries[b, unsure[b]][None], points[b][None], k)
        keys[b, unsure[b]] = _keys(again[0][0]) | again[1][0]
    return _split_keys(keys)
