"""What the viewers show beside plain meshes: scenes of parts in a few colours."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_parts(
    scene: Any, name: str, parts: list[tuple[np.ndarray, np.ndarray]], colour: tuple[float, ...]
) -> None:
    """One mesh of one colour; nothing where it has no parts."""
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    if not parts:
        return
    first = np.cumsum([0, *(len(v) for v, _ in parts[:-1])])
    material = PBRMaterial(
        name=name,
        baseColorFactor=np.round(np.array(colour) * 255).astype(np.uint8),
        metallicFactor=0.0,
        roughnessFactor=0.9,
        doubleSided=True,
        alphaMode="BLEND" if colour[3] < 1 else "OPAQUE",
    )
    mesh = trimesh.Trimesh(
        np.concatenate([v for v, _ in parts]),
        np.concatenate([f + n for (_, f), n in zip(parts, first, strict=True)]),
        process=False,
    )
    mesh.visual = TextureVisuals(material=material)
    scene.add_geometry(mesh, node_name=name, geom_name=name)
