"""Files that other programs read right, whole or not at all, and users' files checked."""

import builtins
import errno
import json
import struct
import zipfile

import numpy as np
import pytest
import trimesh

from geoflow.geometry import mesh
from geoflow.geometry.frames import to_world
from geoflow.io import meshes as export
from geoflow.io import text as filetext

SUFFIXES = [".obj", ".glb", ".stl", ".ply", ".3mf"]
STANDING = {".obj": 2, ".ply": 2, ".glb": 1, ".stl": 2, ".3mf": 2}  # axis of a z up mesh's height


def wedge():
    """Unequal in every axis and direction, so that a turned or mirrored one shows."""
    solid = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    vertices = np.array(solid.vertices) * [1.0, 0.5, 2.0]
    vertices[vertices[:, 0] > 0, 0] *= 3
    vertices[vertices[:, 2] > 0, 2] *= 2
    return to_world(vertices, 0.9), np.array(solid.faces, dtype=np.int64)


@pytest.fixture
def shape():
    vertices, faces = wedge()
    return vertices, faces, mesh.vertex_normals(vertices, faces)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, shape, suffix):
    vertices, faces, normals = shape
    path = export.write_mesh(tmp_path / f"shape{suffix}", vertices, faces, normals)
    again, again_faces = export.read_mesh(path)
    assert again.dtype == np.float64 and again_faces.dtype == np.int64
    np.testing.assert_allclose(again[again_faces], vertices[faces], atol=2e-7)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_z_up_mesh_stands_in_every_format(tmp_path, suffix):
    """Where a format fixes its up axis the mesh is turned to it, normals too; else it is kept."""
    box = trimesh.creation.box((0.3, 0.2, 1.6)).apply_translation((0, -0.1, 0.8))  # the front at -y
    vertices, faces = np.asarray(box.vertices), np.asarray(box.faces)
    path = export.write_mesh(tmp_path / f"box{suffix}", vertices, faces, up="z")
    seen = trimesh.load_scene(path).to_mesh()
    up = STANDING[suffix]
    unit = 1000 if suffix in (".stl", ".3mf") else 1
    assert np.ptp(seen.vertices, axis=0)[up] == pytest.approx(1.6 * unit)
    assert seen.vertices[:, up].min() == pytest.approx(0, abs=1e-6)
    front = seen.vertices[:, 2] if up == 1 else -seen.vertices[:, 1]
    assert (front.min(), front.max()) == pytest.approx((0, 0.2 * unit), abs=1e-6)
    assert seen.volume == pytest.approx(0.3 * 0.2 * 1.6 * unit**3), "mirrored"
    out = seen.vertices - seen.vertices.mean(axis=0)
    assert ((seen.vertex_normals * out).sum(axis=1) > 0).all()


def test_an_unknown_up_axis_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="up must be one of y, z; got 'x'"):
        export.write_mesh(tmp_path / "box.obj", *wedge()[:2], up="x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".stl", ".3mf"])
def test_z_up_millimetres(tmp_path, shape, suffix):
    """As another program sees it: feet on z = 0, the front (+z) towards -y, outward faces."""
    vertices, faces, normals = shape
    path = export.write_mesh(tmp_path / f"shape{suffix}", vertices, faces, normals)
    seen = trimesh.load_scene(path).to_mesh()
    low, high = vertices.min(axis=0) * 1000, vertices.max(axis=0) * 1000
    np.testing.assert_allclose(seen.bounds[0], [low[0], -high[2], low[1]], atol=1e-3)
    np.testing.assert_allclose(seen.bounds[1], [high[0], -low[2], high[1]], atol=1e-3)
    assert seen.volume == pytest.approx(mesh.signed_volume(vertices, faces) * 1e9, rel=1e-4)
    if suffix == ".3mf":
        assert seen.units == "millimeter"


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".ply"])
def test_y_up_metres_outward_with_normals(tmp_path, shape, suffix):
    vertices, faces, normals = shape
    path = export.write_mesh(tmp_path / f"shape{suffix}", vertices, faces, normals)
    seen = trimesh.load_scene(path, process=False).to_mesh()
    np.testing.assert_allclose(seen.vertices, vertices, atol=1e-6)
    assert seen.volume == pytest.approx(mesh.signed_volume(vertices, faces), rel=1e-5)
    points, stored = export.read_points(path)
    np.testing.assert_allclose(points, vertices, atol=1e-6)
    np.testing.assert_allclose(stored, normals, atol=2e-5)


def test_obj_text():
    vertices = np.array([[0, 0, 0], [1.5, 0, 0], [0, -0.25, 10.0]])
    text = filetext.obj(vertices, np.array([[0, 1, 2]]), np.array([[0, 0, 1.0]] * 3)).decode()
    assert text.splitlines() == [
        "# geoflow: y up, facing +z, metres",
        "o geoflow",
        "v 0.000000 0.000000 0.000000",
        "v 1.500000 0.000000 0.000000",
        "v 0.000000 -0.250000 10.000000",
        *["vn 0.00000 0.00000 1.00000"] * 3,
        "s 1",
        "f 1//1 2//2 3//3",
    ]


@pytest.mark.parametrize("decimals", [0, 3, 5, 8, 11])
def test_numbers_are_as_python_prints_them(decimals):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=300) * 10 ** rng.uniform(-6, 4, 300), [0.0, -1e-14]])
    if decimals == 0:
        values = np.rint(values)
    text = filetext.join_rows(filetext.number_tokens(values, decimals), b"\n").decode().split()
    assert len(text) == len(values)
    unit = 10.0**-decimals
    for written, value in zip(text, values, strict=True):
        plain = f"{round(value / unit) * unit + 0.0:.{decimals}f}"
        # Python rounds the binary value, we round value * 10**decimals: ties may differ by a unit.
        assert written == plain or abs(float(written) - value) <= 0.51 * unit
        assert written == f"{float(written) + 0.0:.{decimals}f}"  # no leading zeros, no "-0"


def test_glb_material_and_normals(tmp_path, shape):
    path = export.write_mesh(tmp_path / "shape.glb", *shape)
    data = path.read_bytes()
    content = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    (material,) = content["materials"]
    assert not material.get("doubleSided", False)
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    (primitive,) = content["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL"} and primitive["material"] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_mesh_same_bytes(tmp_path, shape, suffix, monkeypatch):
    first = export.write_mesh(tmp_path / f"a{suffix}", *shape).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert export.write_mesh(tmp_path / f"b{suffix}", *shape).read_bytes() == first


def test_3mf_package(tmp_path, shape):
    path = export.write_mesh(tmp_path / "shape.3mf", *shape)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "[Content_Types].xml"
        assert b'unit="millimeter"' in archive.read("3D/3dmodel.model")


def test_normals_are_computed_when_left_out(tmp_path, shape):
    with_normals = export.write_mesh(tmp_path / "a.obj", *shape)
    without = export.write_mesh(tmp_path / "b.obj", shape[0], shape[1])
    assert with_normals.read_bytes() == without.read_bytes()


def test_existing_files_are_kept_unless_told(tmp_path, shape):
    path = tmp_path / "shape.obj"
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"exists already.*--overwrite"):
        export.write_mesh(path, *shape)
    assert path.read_text() == "mine"
    export.write_mesh(path, *shape, overwrite=True)
    assert path.read_text().startswith("# geoflow")


def full_disk_open(monkeypatch):
    real = builtins.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        builtins,
        "open",
        lambda p, m="r", *a, **k: Full(real(p, m)) if "x" in m else real(p, m, *a, **k),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("exists", [False, True])
def test_a_full_disk_leaves_everything_as_it_was(tmp_path, shape, suffix, exists, monkeypatch):
    path = tmp_path / f"shape{suffix}"
    if exists:
        path.write_text("mine")
    with monkeypatch.context() as patch:
        full_disk_open(patch)
        with pytest.raises(OSError, match="No space left"):
            export.write_mesh(path, *shape, overwrite=True)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(path.name, "mine")] * exists


def test_a_failed_rename_leaves_no_temporary_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError):
        export.write_mesh(tmp_path / "a.obj", *wedge())
    assert not list(tmp_path.iterdir())


def broken(what):
    vertices, faces = wedge()
    if what == "NaN":
        vertices[5, 1] = np.nan
    if what == "infinite":
        vertices[5, 1] = -np.inf
    if what == "index":
        faces[3, 2] = len(vertices)
    if what == "negative":
        faces[3, 2] = -1
    if what == "empty":
        faces = faces[:0]
    if what == "floats":
        return vertices, faces.astype(float)
    if what == "flat":
        return vertices[:, :2], faces
    return vertices, faces


@pytest.mark.parametrize("what, text", [
    ("NaN", "1 of 162 points are not"), ("infinite", "must be finite"),
    ("index", r"0..161; they span 0..162"), ("negative", "span -1..161"),
    ("empty", "at least one face"), ("floats", "must be integers"), ("flat", r"must be \(V, 3\)"),
])  # fmt: skip
def test_broken_meshes_are_not_written(tmp_path, what, text):
    with pytest.raises(ValueError, match=text):
        export.write_mesh(tmp_path / "a.ply", *broken(what))
    assert not list(tmp_path.iterdir())


def test_write_refuses(tmp_path, shape):
    with pytest.raises(ValueError, match=r"must end in one of .obj .*'a.fbx'"):
        export.write_mesh(tmp_path / "a.fbx", *shape)
    with pytest.raises(ValueError, match="must exist; it does not"):
        export.write_mesh(tmp_path / "missing" / "a.obj", *shape)
    with pytest.raises(ValueError, match="normals must be finite"):
        export.write_mesh(tmp_path / "a.obj", shape[0], shape[1], shape[2][1:])
    (tmp_path / "folder.obj").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        export.write_mesh(tmp_path / "folder.obj", *shape, overwrite=True)


PLY = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
0 0 0
1 0 {value}
0 1 0
3 0 1 {index}
"""


@pytest.mark.parametrize("name, text, message", [
    ("a.ply", PLY.format(value="0", index=3), "face indices must lie in 0..2"),
    ("a.ply", PLY.format(value="0", index=-1), "span -1..1"),
    ("a.ply", PLY.format(value="nan", index=2), "finite"),
    ("a.ply", PLY.format(value="1e20", index=2), r"within \+-1e\+09"),
    ("a.ply", "not a ply", "cannot be read as .ply"),
    ("a.glb", "glTF then rubbish", "cannot be read as .glb"),
    ("a.3mf", "no zip", "cannot be read as .3mf"),
    ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "must hold faces"),
    ("a.obj", "", "a.obj"),
    ("a.dae", "<xml/>", "must end in one of"),
])  # fmt: skip
def test_read_refuses_in_one_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        export.read_mesh(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_read_accepts_the_intact_file(tmp_path):
    (tmp_path / "a.ply").write_text(PLY.format(value="0", index=2))
    assert export.read_mesh(tmp_path / "a.ply")[1].tolist() == [[0, 1, 2]]


def test_read_refuses_missing_and_large_files(tmp_path, shape, monkeypatch):
    with pytest.raises(ValueError, match="must be an existing file"):
        export.read_mesh(tmp_path / "a.obj")
    path = export.write_mesh(tmp_path / "a.3mf", *shape)
    monkeypatch.setattr(export, "MAX_BYTES", path.stat().st_size + 1)
    with pytest.raises(ValueError, match="must be at most"):  # by its size when unpacked
        export.read_mesh(path)


def test_damaged_files_give_a_mesh_or_one_clear_error(tmp_path, shape):
    rng = np.random.default_rng(0)
    outcomes = []
    for suffix in SUFFIXES:
        original = export.write_mesh(tmp_path / f"a{suffix}", *shape).read_bytes()
        for i in range(25):
            data = bytearray(original[: rng.integers(1, len(original))] if i % 2 else original)
            for at in rng.integers(0, len(data), 20):
                data[at] = rng.integers(256)
            (tmp_path / f"b{suffix}").write_bytes(data)
            try:
                export.check_mesh(*export.read_mesh(tmp_path / f"b{suffix}"))
                outcomes.append("read")
            except ValueError as error:
                assert "\n" not in str(error)
                outcomes.append("refused")
    assert set(outcomes) == {"read", "refused"}


def test_scenes_are_placed_and_mirrored_parts_stay_outward(tmp_path):
    vertices, faces = wedge()
    part = trimesh.Trimesh(vertices, faces, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(part, transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(part, transform=np.diag([-1.0, 1, 1, 1]))
    (tmp_path / "scene.glb").write_bytes(scene.export(file_type="glb"))
    placed, placed_faces = export.read_mesh(tmp_path / "scene.glb")
    assert placed[:, 0].max() == pytest.approx(5 + vertices[:, 0].max(), abs=1e-5)
    volume = 2 * mesh.signed_volume(vertices, faces)
    assert mesh.signed_volume(placed, placed_faces) == pytest.approx(volume, rel=1e-4)


def test_references_to_other_files_are_not_followed(tmp_path, monkeypatch):
    (tmp_path / "a.obj").write_text(
        "mtllib secret.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n"
    )
    (tmp_path / "secret.mtl").write_text("newmtl m\nmap_Kd secret.png\n")
    opened = []
    real = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda p, *a, **k: (opened.append(str(p)), real(p, *a, **k))[1]
    )
    export.read_mesh(tmp_path / "a.obj")
    assert not any("secret" in name for name in opened)


def test_read_points(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 2\n"
    header += "".join(f"property float {axis}\n" for axis in ("x", "y", "z", "nx", "ny", "nz"))
    path = tmp_path / "cloud.ply"
    path.write_text(header + "end_header\n0 1 2 0 0 2\n3 4 5 0 3 4\n")
    points, normals = export.read_points(path)
    np.testing.assert_array_equal(points, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_allclose(normals, [[0, 0, 1], [0, 0.6, 0.8]], atol=1e-7)
    path.write_text(header + "end_header\n0 1 2 0 0 2\n3 4 5 0 0 0\n")
    assert export.read_points(path)[1] is None
    (tmp_path / "cloud.xyz").write_text("0 1 2\n3 4 5\n")
    points, normals = export.read_points(tmp_path / "cloud.xyz")
    assert points.shape == (2, 3) and normals is None
    path.write_text(header + "end_header\n0 1 2 0 0 2\n3 nan 5 0 3 4\n")
    with pytest.raises(ValueError, match="1 of 2 points are not"):
        export.read_points(path)
    with pytest.raises(ValueError, match="must end"):
        export.read_points(tmp_path / "cloud.stl")


@pytest.mark.parametrize("scale", [1e-4, 0.013, 1.0, 250.0])
def test_our_own_obj_is_read_fast_and_exactly_as_by_trimesh(tmp_path, scale):
    vertices, faces = wedge()
    export.write_mesh(tmp_path / "a.obj", scale * (vertices - 0.1), faces)
    data = (tmp_path / "a.obj").read_bytes()
    own = filetext.parse_obj(data)
    assert own is not None and filetext.obj(*own) == data
    other = trimesh.load(tmp_path / "a.obj", process=False)
    np.testing.assert_array_equal(own[0], other.vertices)
    np.testing.assert_array_equal(own[1], other.faces)
    points, triangles, normals = export.read_surface(tmp_path / "a.obj")
    np.testing.assert_array_equal(points, own[0])
    np.testing.assert_array_equal(triangles, own[1])
    np.testing.assert_allclose(normals, mesh.vertex_normals(points, triangles), atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"# geoflow: y up", b"# geoflow: z up"),  # not ours
        (b"\nv ", b"\nv 1"),  # other decimals would be fine, other digits are
        (b"\nv ", b"\nv 0.5 "),  # four numbers in a line
        (b"\nv ", b"\nw "),
        (b"\nv ", b"\nv 1e5"),
        (b"\nv ", b"\nv -"),
        (b"\nv ", b"\nv --"),
        (b".", b""),
        (b"\nvn ", b"\nv "),
        (b"//1", b"//2"),  # normals of other vertices
        (b"//1", b"/1/1"),
        (b"\ns 1\n", b"\ns off\n"),
        (b"\ns 1\n", b"\n"),
        (b"\nf ", b"\nf 1//1 "),
        (b"\nf ", b"\ng part\nf "),
    ],
)
def test_an_edited_obj_is_not_taken_for_ours(tmp_path, old, new):
    path = export.write_mesh(tmp_path / "a.obj", *wedge())
    data = path.read_bytes()
    assert old in data and filetext.parse_obj(data) is not None
    own = filetext.parse_obj(data.replace(old, new, 1))
    if own is not None:  # what was edited is still what it says
        path.write_bytes(data.replace(old, new, 1))
        np.testing.assert_array_equal(own[0], trimesh.load(path, process=False).vertices)


def test_a_cut_off_obj_is_never_read_as_another_mesh(tmp_path):
    path = export.write_mesh(tmp_path / "a.obj", *wedge())
    data = path.read_bytes()
    whole = filetext.parse_obj(data)
    for keep in range(len(data)):
        own = filetext.parse_obj(data[:keep])
        assert own is None or (len(own[1]) < len(whole[1]) and data[keep - 1] == ord("\n"))


def test_an_obj_with_missing_vertices_is_refused(tmp_path):
    path = export.write_mesh(tmp_path / "a.obj", *wedge())
    last = b"%d//%d" % (2 * (len(wedge()[0]),))
    path.write_bytes(path.read_bytes().replace(last, b"999//999"))
    with pytest.raises(ValueError, match=r"a\.obj: face indices"):
        export.read_mesh(path)
