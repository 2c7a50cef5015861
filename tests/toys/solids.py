"""Solids with known distances, and profiles drawn out to solids."""

import numpy as np
import trimesh


def grid_points(resolution):
    """(R, R, R, 3) centres of the cells of the cube [-1, 1]^3."""
    axis = -1 + (np.arange(resolution) + 0.5) * 2 / resolution
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def box(extents, centre=(0, 0, 0)):
    mesh = trimesh.creation.box(extents)
    return np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces)


def box_sdf(points, extents, centre=(0, 0, 0)):
    q = np.abs(points - np.asarray(centre)) - np.asarray(extents) / 2
    return np.linalg.norm(q.clip(0), axis=-1) + np.minimum(q.max(-1), 0)


def ball(radius, subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def join(*meshes):
    first = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    faces = [faces + start for (_, faces), start in zip(meshes, first, strict=False)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces)


def drawn_out(profile, length, pieces):
    """A profile (N, 2), counter-clockwise in x and y, along z: a closed mesh.

    Its vertices are the profile at z = -length / 2 and so on in equal steps, then the middles of
    the two caps, which are fans; so a profile may even cross itself.
    """
    count, heights = len(profile), np.linspace(-length / 2, length / 2, pieces + 1)
    rings = [np.column_stack([profile, np.full(count, z)]) for z in heights]
    middles = [[*np.mean(profile, axis=0), z] for z in heights[[0, -1]]]
    here = np.arange(count)
    after = (here + 1) % count
    faces = []
    for k in range(0, pieces * count, count):
        a, b, c, d = here + k, after + k, after + k + count, here + k + count
        faces += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    last, low = pieces * count, (pieces + 1) * count
    faces.append(np.stack([after, here, np.full(count, low)], 1))
    faces.append(np.stack([here + last, after + last, np.full(count, low + 1)], 1))
    return np.concatenate([*rings, middles]), np.concatenate(faces)
