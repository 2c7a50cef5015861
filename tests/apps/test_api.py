"""Every endpoint through gradio_client, as a script would call it."""

import itertools
import json
import re
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import trimesh
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from geoflow import Noise, load_generator

CATEGORIES = ["chair", "lamp", "vase"]
METRES = {"chair": 1.0, "lamp": 0.5, "vase": 0.25}


def generate(client, category="chair", seed=0, count=1, steps=2, resolution=64, randomise=False):
    """gallery, glb, facts, seed, shape, other"""
    return client.predict(
        category, seed, randomise, count, steps, 1.0, resolution, api_name="/generate"
    )


def load(path):
    return trimesh.load_scene(path, process=False).to_mesh()


def expected(tiny, category, noise, steps=2, resolution=64):
    """The same shape by the library alone."""
    generator = load_generator(tiny, "cpu")
    grid = generator.sdf(noise.draw(generator.noise_shape())[None], [category], steps=steps)[0]
    return generator.mesh(grid, category, resolution)


def error_of(call, *arguments, **options):
    with pytest.raises(AppError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text.strip() and "Traceback" not in text and "/tmp" not in text, text
    return text


# -- generate ----------------------------------------------------------------------------------


def test_generate_makes_the_shapes_of_the_command_line(client, tiny):
    gallery, glb, facts, seed, shape, other = generate(client, "all", seed=7, count=4)
    assert len(gallery) == 4 and seed == 7 and shape != other
    captions = [entry["caption"].split()[0] for entry in gallery]
    assert captions == ["chair", "lamp", "vase", "chair"]
    stream = load_generator(tiny, "cpu").stream(range(4), seed=7, resolution=64)
    for made, entry in zip(stream, gallery, strict=True):
        number = int(entry["caption"].split()[1])
        path, _ = client.predict(number, api_name="/open")
        mesh = load(path)
        np.testing.assert_allclose(mesh.vertices, made.mesh.vertices, atol=1e-6)
        assert mesh.is_watertight
    assert "100.0 high" in facts and f"{len(load(glb).faces):,} faces" in facts
    assert load(glb).visual.material.baseColorFactor is not None


def test_pictures_show_the_shape(client):
    from PIL import Image

    gallery = generate(client, "lamp")[0]
    with Image.open(gallery[0]["image"]) as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    rows = np.flatnonzero((np.abs(pixels - 242) > 20).any(1))
    columns = np.flatnonzero((np.abs(pixels - 242) > 20).any(0))
    assert np.ptp(rows) > np.ptp(columns) > 20  # a standing lamp


def test_a_random_seed_is_written_back_and_makes_the_shape_again(client):
    first = generate(client, seed=1, randomise=True)
    again = generate(client, seed=first[3])
    assert first[3] != 1 and again[3] == first[3]
    np.testing.assert_array_equal(load(first[1]).vertices, load(again[1]).vertices)
    assert len(again[0]) == 2  # new shapes come before the old ones
    client.predict(api_name="/clear")
    assert len(generate(client)[0]) == 1


def test_resolution_and_steps_matter(client):
    coarse, fine = generate(client)[1], generate(client, resolution=128)[1]
    assert len(load(fine).faces) > 3 * len(load(coarse).faces)
    assert not np.array_equal(load(coarse).vertices, load(generate(client, steps=1)[1]).vertices)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: "chiar"}, ["chair, lamp, vase", "did you mean 'chair'"]),
        ({0: "<b>x</b>"}, ["&lt;b&gt;"]),
        ({1: -1}, ["seed", "0 to", "-1"]),
        ({1: 1.5}, ["seed", "whole", "1.5"]),
        ({1: None}, ["seed", "None"]),
        ({3: 0}, ["how many", "1 to 16"]),
        ({3: 17}, ["how many", "17"]),
        ({4: 0}, ["steps", "1 to 8"]),
        ({4: 99}, ["steps", "99"]),
        ({5: -1}, ["guidance", "-1"]),
        ({6: 100}, ["100"]),
        ({7: "points"}, ["backbone"]),
    ],
    ids=str,
)
def test_wrong_values_are_one_line(client, change, words):
    values = ["chair", 0, False, 1, 1, 1.0, 64, "grid"]
    for place, value in change.items():
        values[place] = value
    text = error_of(client.predict, *values, api_name="/generate")
    assert all(word in text for word in words), text


# -- more like this, between ---------------------------------------------------------------------


def test_more_like_this(client, tiny):
    shape = generate(client, "vase", seed=3)[4]
    parent = expected(tiny, "vase", Noise.of_shape(3))
    same = client.predict(shape, 0, 1, 2, 1.0, 64, api_name="/more_like")
    np.testing.assert_allclose(load(same[1]).vertices, parent.vertices, atol=1e-6)
    others = client.predict(shape, 1, 2, 2, 1.0, 64, api_name="/more_like")
    assert len(others[0]) == 4 and "like vase, seed 3" in others[2]
    assert not np.array_equal(load(others[1]).vertices, parent.vertices)
    text = error_of(client.predict, shape, 1.5, 1, 2, 1.0, 64, api_name="/more_like")
    assert "0 to 1" in text
    text = error_of(client.predict, 999, 0.5, 1, 2, 1.0, 64, api_name="/more_like")
    assert "gallery" in text


def test_a_walk_begins_and_ends_at_its_shapes(client, tiny):
    from PIL import Image

    generate(client, "chair", seed=1)
    second = generate(client, "lamp", seed=2)
    lamp, chair = second[4], second[5]

    def frame(position):
        with Image.open(client.predict(chair, lamp, position, 1.0, api_name="/walk")) as picture:
            return np.asarray(picture.convert("L")).astype(float)

    frames = [frame(p) for p in (0, 0.5, 1)]
    assert all(np.abs(a - b).mean() > 1 for a, b in itertools.pairwise(frames))
    for position, category, seed in ((0, "chair", 1), (1, "lamp", 2)):
        kept = client.predict(chair, lamp, position, 1.0, 2, 64, api_name="/keep")
        there = expected(tiny, category, Noise.of_shape(seed))
        np.testing.assert_allclose(load(kept[1]).vertices, there.vertices, atol=1e-6)
        assert kept[4:] == (chair, lamp)  # the ends of the walk stay
    half = Noise.of_shape(1).towards(Noise.of_shape(2), 0.25)
    kept = client.predict(chair, lamp, 0.25, 1.0, 2, 64, api_name="/keep")
    between = expected(tiny, "chair", half)
    np.testing.assert_allclose(load(kept[1]).vertices, between.vertices, atol=1e-6)
    text = error_of(client.predict, chair, lamp, 2, 1.0, api_name="/walk")
    assert "between 0 and 1" in text
    assert "two shapes" in error_of(client.predict, chair, None, 0, 1.0, api_name="/walk")


# -- export --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "ply", "3mf"])
def test_export_stands_upright_in_its_unit(client, kind):
    shape = generate(client, "lamp")[4]
    path = Path(client.predict(shape, kind, 0, "this shape", api_name="/export"))
    assert path.suffix == f".{kind}" and path.name.startswith("lamp_")
    points = load(path).vertices
    if kind in ("stl", "3mf"):  # z up in millimetres
        points = points @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) / 1000
    low, high = points.min(0), points.max(0)
    assert (high - low)[1] == pytest.approx(METRES["lamp"], rel=1e-4)
    assert (high - low)[1] > 1.2 * (high - low)[[0, 2]].max() and abs(low[1]) < 1e-5


def test_fewer_faces_stay_closed(client):
    shape = generate(client, resolution=128)[4]
    path = client.predict(shape, "glb", 600, "this shape", api_name="/export")
    mesh = load(path)
    assert 100 < len(mesh.faces) <= 600 and mesh.is_watertight and mesh.volume > 0
    for faces, words in ((10, "50"), (-5, "-5"), (100.5, "whole")):
        assert words in error_of(
            client.predict, shape, "glb", faces, "this shape", api_name="/export"
        )
    assert "fbx" in error_of(client.predict, shape, "fbx", 0, "this shape", api_name="/export")


def test_the_zip_holds_all_shapes_and_how_to_make_them_again(client, tiny, tmp_path):
    assert "empty" in error_of(
        client.predict, None, "obj", 0, "all shapes (zip)", api_name="/export"
    )
    shape = generate(client, "all", seed=5, count=3)[4]
    client.predict(shape, 0.4, 1, 2, 1.0, 64, api_name="/more_like")
    path = client.predict(None, "obj", 0, "all shapes (zip)", api_name="/export")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        archive.extractall(tmp_path)
    assert len(manifest["shapes"]) == 4 and manifest["format"] == "obj"
    assert manifest["checkpoint"] == load_generator(tiny, "cpu").digest
    for entry in manifest["shapes"]:
        mesh = load(tmp_path / entry["file"])
        assert len(mesh.faces) == entry["faces"] and entry["watertight"]
        noise = Noise(tuple((w, s, i) for w, s, i in entry["noise"]))
        again = expected(tiny, entry["category"], noise, entry["steps"], entry["resolution"])
        np.testing.assert_allclose(mesh.vertices, again.vertices, atol=2e-6)


# -- compare, files for scripts ------------------------------------------------------------------


def test_compare_makes_the_same_shape_at_four_numbers_of_calls(client, tiny):
    answer = client.predict("chair", 4, "cumulative map (r > t)", api_name="/compare")
    for place, calls in enumerate((1, 2, 4, 50)):
        glb, caption = answer[2 * place : 2 * place + 2]
        assert f"for {calls} call" in caption
        there = expected(tiny, "chair", Noise.of_shape(4), steps=calls)
        np.testing.assert_allclose(load(glb).vertices, there.vertices, atol=1e-6)
    assert "one category" in error_of(
        client.predict, "all", 4, "cumulative map (r > t)", api_name="/compare"
    )


def test_make_file_does_all_in_one_call(client, tiny):
    path = client.predict("vase", 9, 2, 1.0, 64, "obj", 0, api_name="/make_file")
    there = expected(tiny, "vase", Noise.of_shape(9))
    np.testing.assert_allclose(load(path).vertices, there.vertices, atol=2e-6)


def test_every_endpoint_is_documented(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) >= {
        "/generate", "/more_like", "/walk", "/keep", "/open", "/clear", "/stop", "/export",
        "/export_opened", "/compare", "/open_mesh", "/make_file",
    }  # fmt: skip
    for name, endpoint in named.items():
        assert len(endpoint.get("description") or "") > 20, name


# -- users' files --------------------------------------------------------------------------------


def box(folder, name):
    mesh = trimesh.creation.box((0.5, 1.0, 0.25))
    mesh.export(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["my box.glb", "b.obj", "b.ply", "b.off"])
def test_opening_a_mesh(client, server, tmp_path, name):
    glb, facts, number = client.predict(handle_file(box(tmp_path, name)), api_name="/open_mesh")
    assert "50.0 wide, 100.0 high, 25.0 deep" in facts and "12 faces" in facts
    assert load(glb).extents == pytest.approx([0.5, 1.0, 0.25])
    path = client.predict(number, "stl", 0, "this shape", api_name="/export_opened")
    assert load(path).extents == pytest.approx([500, 250, 1000], rel=1e-4)
    for upload in server.uploads():  # nobody can fetch what somebody sent
        assert httpx.get(f"{server.url}gradio_api/file={upload}").status_code == 403


def spoil(kind, folder):
    path = box(folder, f"bad.{kind.split()[-1]}")
    if kind.startswith("garbage"):
        path.write_bytes(b"\x00\xff garbage" * 50)
    elif kind.startswith("empty"):
        path.write_bytes(b"")
    elif kind.startswith("half"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind.startswith("index"):
        path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    elif kind.startswith("nan"):
        path.write_text("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    elif kind.startswith("large"):
        path.write_bytes(b"# " + b"x" * (51 << 20))
    return path


def test_the_same_file_from_many_at_once(client, tmp_path):
    path = handle_file(box(tmp_path, "same.glb"))
    jobs = [client.submit(path, api_name="/open_mesh") for _ in range(6)]
    assert all("12 faces" in job.result(timeout=60)[1] for job in jobs)


@pytest.mark.parametrize(
    "kind",
    ["garbage glb", "garbage stl", "garbage 3mf", "empty ply", "half glb", "index obj", "nan obj"],
)
def test_broken_files_are_one_line(client, tmp_path, kind):
    path = spoil(kind, tmp_path)
    text = error_of(client.predict, handle_file(path), api_name="/open_mesh")
    assert "bad." in text
    assert generate(client)[1]  # the server lives


def test_too_large_a_file_and_a_web_address_are_refused(client, server, tmp_path):
    path = spoil("large obj", tmp_path)
    with pytest.raises(ValueError, match="maximum file size"):
        client.predict(handle_file(path), api_name="/open_mesh")
    with path.open("rb") as file:
        answer = httpx.post(f"{server.url}gradio_api/upload", files={"files": file}, timeout=60)
    assert answer.status_code == 413
    body = {"data": [{"path": "http://127.0.0.1:9/a.glb", "meta": {"_type": "gradio.FileData"}}]}
    event = httpx.post(f"{server.url}gradio_api/call/open_mesh", json=body).json()["event_id"]
    answer = httpx.get(f"{server.url}gradio_api/call/open_mesh/{event}").text
    assert "event: error" in answer and "uploaded" in answer


# -- manners -------------------------------------------------------------------------------------


def wait_for(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_a_session_goes_with_its_client(server):
    before = set(server.sessions())
    client = Client(server.url, verbose=False)
    generate(client)
    new = set(server.sessions()) - before
    assert len(new) == 1
    client.close()
    wait_for(lambda: not set(server.sessions()) & new)


def test_files_are_served_from_open_sessions_only(server, client, tmp_path):
    import urllib.parse

    get = lambda name: httpx.get(f"{server.url}gradio_api/file={urllib.parse.quote(name)}")  # noqa: E731
    generate(client)
    before = set(server.sessions())
    other = Client(server.url, verbose=False, download_files=False)
    url = generate(other)[1]["url"]
    path = url.split("file=")[1]
    assert httpx.get(url).status_code == 200
    folder = str(Path(path).parent)
    secret = server.temporary / "secret.txt"
    secret.write_text("no")
    link = Path(folder) / "link.glb"
    link.symlink_to(secret)
    for name in ("/etc/passwd", str(secret), str(link), f"{folder}/../../secret.txt", folder,
                 str(server.log), "http://127.0.0.1:9/x", "apps/gradio_app.py"):  # fmt: skip
        assert get(name).status_code in (403, 404), name
    link.unlink()
    secret.unlink()
    other.close()
    wait_for(lambda: set(server.sessions()) <= before)
    assert httpx.get(url).status_code == 403


def test_a_cancelled_job_frees_the_model(client):
    job = client.submit("chair", 0, False, 16, 8, 3.0, 256, api_name="/generate")
    wait_for(lambda: len(job.outputs()) > 0)
    client.predict(api_name="/stop")
    begin = time.monotonic()
    assert generate(client)[1]
    assert time.monotonic() - begin < 5
    job.cancel()


def test_pages_carry_the_policy_and_no_outside_address(server):
    answer = httpx.get(server.url)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "fonts.googleapis" not in answer.text
    theme = httpx.get(f"{server.url}theme.css").text
    assert re.findall(r"https?://[^'\"\s]*", theme.replace("http://www.w3.org/2000/svg", "")) == []
