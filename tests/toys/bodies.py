"""Meshes, surface points and skeletons of known bodies."""

import numpy as np

from geoflow.joints.rigs import Character


def box(low, high):
    """Vertices (8, 3) and outward faces (12, 3)."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
         [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    return np.array(low) + corners * (np.array(high) - np.array(low)), faces


def tube(start, end, radius=0.06, rings=41, sides=12, closed=True):
    """A tube along x or y with end caps: vertices and faces."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    axis = (end - start) / np.linalg.norm(end - start)
    side = np.cross(axis, [0, 0, 1.0])
    turn = 2 * np.pi * np.arange(sides) / sides
    ring = radius * (np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * np.cross(axis, side))
    levels = start + np.linspace(0, 1, rings)[:, None] * (end - start)
    vertices = (levels[:, None] + ring).reshape(-1, 3)
    k, i = np.divmod(np.arange((rings - 1) * sides), sides)
    a, b = k * sides + i, k * sides + (i + 1) % sides
    faces = np.concatenate((np.stack((a, b, b + sides), 1), np.stack((a, b + sides, a + sides), 1)))
    if closed:
        last = len(vertices)
        vertices = np.concatenate((vertices, [start, end]))
        i = np.arange(sides)
        first, final = i, i + (rings - 1) * sides
        caps = [
            np.stack((np.full(sides, last), np.roll(first, -1), first), 1),
            np.stack((np.full(sides, last + 1), final, np.roll(final, -1)), 1),
        ]
        faces = np.concatenate((faces, *caps))
    return vertices, faces


def together(*parts):
    """(vertices, faces) of several meshes as one."""
    begin = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + k for k, (_, faces) in zip(begin, parts, strict=False)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)


def tubes(joints, parents, radius=0.05, count=300, seed=0):
    """Points and outward normals of tubes around bones, without the parts inside other tubes."""
    rng = np.random.default_rng(seed)
    points, normals = [], []
    bones = [(joints[p], joints[k]) for k, p in enumerate(parents) if p >= 0]
    for a, b in bones:
        axis = (b - a) / np.linalg.norm(b - a)
        side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
        side /= np.linalg.norm(side)
        turn = rng.uniform(0, 2 * np.pi, (count, 1))
        out = np.cos(turn) * side + np.sin(turn) * np.cross(axis, side)
        points.append(a + rng.random((count, 1)) * (b - a) + radius * out)
        normals.append(out)
    points, normals = np.concatenate(points), np.concatenate(normals)
    keep = np.ones(len(points), bool)
    for a, b in bones:
        share = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        keep &= np.linalg.norm(points - a - share[:, None] * (b - a), axis=1) > 0.99 * radius
    return points[keep], normals[keep]


# hips, spine, chest, head; left and right leg of two bones; left and right arm of two
BODY = np.array(
    [[0, 0, 0], [0, 0.25, 0], [0, 0.5, 0], [0, 0.8, 0],
     [0.15, -0.1, 0], [0.15, -0.5, 0], [-0.15, -0.1, 0], [-0.15, -0.5, 0],
     [0.25, 0.5, 0], [0.6, 0.5, 0], [-0.25, 0.5, 0], [-0.6, 0.5, 0]]
)  # fmt: skip
PARENTS = np.array([-1, 0, 1, 2, 0, 4, 0, 6, 2, 8, 2, 10])


def toy(seed, count=512):
    """A stick figure of tubes with random proportions."""
    rng = np.random.default_rng(seed)
    joints = BODY * np.exp(0.2 * rng.normal(size=3))
    points, normals = tubes(joints, PARENTS, 0.05, 200, seed)
    low, high = points.min(0), points.max(0)
    scale = 1.8 / (high - low).max()
    keep = rng.choice(len(points), count, replace=False)
    names = tuple(map(str, range(len(joints))))
    return Character(
        f"toy/{seed}", "body",
        ((points[keep] - (low + high) / 2) * scale).astype(np.float32),
        normals[keep].astype(np.float32),
        ((joints - (low + high) / 2) * scale).astype(np.float32),
        PARENTS, names, np.full(len(joints), 0.2, np.float32),
    )  # fmt: skip


def character(name="pack/one", joints=3, points=64, seed=0, category="creature"):
    """A blob with a chain of joints along y."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(points, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    places = np.zeros((joints, 3), np.float32)
    places[:, 1] = np.linspace(-0.7, 0.7, joints)
    return Character(
        name,
        category,
        (normals * (0.3, 0.9, 0.3)).astype(np.float32),
        normals.astype(np.float32),
        places,
        np.arange(joints) - 1,
        tuple(f"joint{k}" for k in range(joints)),
        np.full(joints, 0.5, np.float32),
    )


HALF = {  # the left side and the middle
    "pelvis": (None, 0, 0), "spine_1": ("pelvis", 0, 0.15), "spine_2": ("spine_1", 0, 0.3),
    "neck": ("spine_2", 0, 0.5), "head": ("neck", 0, 0.65),
    "left_hip": ("pelvis", 0.1, -0.05), "left_knee": ("left_hip", 0.11, -0.45),
    "left_ankle": ("left_knee", 0.12, -0.85), "left_foot": ("left_ankle", 0.12, -0.9),
    "left_collar": ("spine_2", 0.05, 0.42), "left_shoulder": ("left_collar", 0.2, 0.42),
    "left_elbow": ("left_shoulder", 0.45, 0.42), "left_wrist": ("left_elbow", 0.7, 0.42),
}  # fmt: skip


def human(leave_out=()):
    table = dict(HALF)
    for name, (parent, x, y) in HALF.items():
        if name.startswith("left"):
            table[name.replace("left", "right")] = (parent.replace("left", "right"), -x, y)
    table = {n: row for n, row in table.items() if n not in leave_out}
    names = list(np.random.default_rng(0).permutation(list(table)))
    joints = np.array([(table[n][1], table[n][2], 0) for n in names], float)
    parents = []
    for n in names:
        above = table[n][0]
        while above in leave_out:
            above = HALF[above][0] if above in HALF else HALF[above.replace("right", "left")][0]
        parents.append(names.index(above) if above else -1)
    return names, joints, np.array(parents)


PERSON = {  # metres: parent, place, radius; the left side and the middle; the tips are no joints
    "pelvis": (None, (0, 0.97, -0.02), 0.12), "spine_1": ("pelvis", (0, 1.07, -0.02), 0.115),
    "spine_2": ("spine_1", (0, 1.19, -0.03), 0.115), "spine_3": ("spine_2", (0, 1.31, -0.05), 0.12),
    "neck": ("spine_3", (0, 1.48, -0.012), 0.055), "head": ("neck", (0, 1.54, 0.0), 0.075),
    "tip_skull": ("head", (0, 1.63, 0.02), 0.09),
    "left_hip": ("pelvis", (0.104, 0.92, -0.025), 0.088),
    "left_knee": ("left_hip", (0.11, 0.47, 0.005), 0.056),
    "left_ankle": ("left_knee", (0.118, 0.11, -0.016), 0.042),
    "left_foot": ("left_ankle", (0.127, 0.045, 0.114), 0.035),
    "left_tip_toe": ("left_foot", (0.13, 0.035, 0.15), 0.03),
    "left_collar": ("spine_3", (0.055, 1.44, -0.004), 0.065),
    "left_shoulder": ("left_collar", (0.15, 1.405, -0.007), 0.065),
    "left_elbow": ("left_shoulder", (0.42, 1.404, -0.02), 0.044),
    "left_wrist": ("left_elbow", (0.685, 1.407, -0.007), 0.028),
    "left_tip_hand": ("left_wrist", (0.88, 1.4, 0.0), 0.026),
}  # fmt: skip


def person():
    """A body of 22 known joints: name -> place, and a closed mesh, y up, facing +z."""
    from skimage.measure import marching_cubes

    axes = [np.arange(a, b, 0.02) for a, b in ((-1, 1), (-0.06, 1.8), (-0.2, 0.24))]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    points[..., 0] = np.abs(points[..., 0])
    distance = np.full(points.shape[:3], 1.0)
    for above, end, last in PERSON.values():
        _, start, first = PERSON[above] if above else (None, end, last)
        way = np.subtract(end, start)
        share = ((points - start) @ way / max(way @ way, 1e-9)).clip(0, 1)
        limb = np.linalg.norm(points - start - share[..., None] * way, axis=-1)
        limb -= first + share * (last - first)
        blend = (0.5 + (distance - limb) / 0.06).clip(0, 1)
        distance += blend * (limb - distance) - 0.03 * blend * (1 - blend)
    vertices, faces, _, _ = marching_cubes(distance, 0.0, gradient_direction="descent")
    joints = {name: place for name, (_, place, _) in PERSON.items() if "tip" not in name}
    for name in [n for n in joints if n.startswith("left")]:
        joints[name.replace("left", "right")] = np.multiply(joints[name], (-1, 1, 1))
    return joints, vertices * 0.02 + [a[0] for a in axes], faces.astype(np.int64)
