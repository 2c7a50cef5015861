"""Sessions without a server: folders, limits, late jobs, sweeping."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trimesh

from geoflow import Noise
from geoflow.geometry import describe
from geoflow_app.server import frames as frames_module
from geoflow_app.server import sessions as module
from geoflow_app.server.frames import STEP, Frames, Walk
from geoflow_app.server.guard import Guard
from geoflow_app.server.sessions import Sessions, Stopped
from geoflow_app.server.settings import ShapeSettings
from geoflow_app.server.studio import store


def put(session, place=0):
    box = trimesh.creation.box()
    mesh = describe(box.vertices.copy(), box.faces.copy())
    item = store(
        session.begin(),
        mesh,
        "a box",
        "box",
        category="box",
        noise=Noise.of_shape(0),
        settings=ShapeSettings(),
    )
    session.add(item, place)
    return item


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path)


def test_a_session_is_its_own(sessions, tmp_path):
    a, b = sessions.of("a"), sessions.of("b")
    item = put(a)
    assert sessions.of("a") is a and item.glb.is_file() and len(sessions) == 2
    with pytest.raises(ValueError, match="gallery"):
        b.get(item.number)
    assert sessions.owns(item.glb) and not sessions.owns(tmp_path / "x")
    assert a.get(item.number).mesh().watertight
    sessions.close("a")
    assert not a.folder.exists() and not sessions.owns(item.glb) and b.folder.is_dir()


def test_the_oldest_shapes_go(sessions, monkeypatch):
    monkeypatch.setattr(module, "MAX_SHAPES", 3)
    session = sessions.of("a")
    items = [put(session) for _ in range(5)]
    assert [i.number for i in session.gallery()] == [5, 4, 3]
    assert not items[0].glb.exists() and not items[0].arrays.exists() and items[4].glb.exists()
    session.clear()
    assert session.gallery() == [] and list(session.folder.iterdir()) == []


def test_the_oldest_of_a_category_go(sessions):
    session = sessions.of("a")
    items = [put(session, None) for _ in range(4)]
    session.keep("box", 2)
    session.keep("other", 1)
    assert [i.number for i in items if i.glb.exists()] == [3, 4]
    assert session.get_of("box", 4, "missing") is items[3]
    for category, number in (("box", 1), ("box", None), ("other", 4)):
        with pytest.raises(ValueError, match="missing"):
            session.get_of(category, number, "missing")


def test_jobs_stop_when_told_and_when_the_page_is_left(sessions):
    session = sessions.of("a")
    job = session.begin()
    job.check()
    session.stop()
    with pytest.raises(Stopped):
        job.check()
    later = session.begin()
    later.check()
    sessions.close("a")
    with pytest.raises(Stopped):
        later.check()
    with pytest.raises(Stopped):  # a late job does not bring the folder back
        sessions.of("a")


def test_a_page_that_comes_back_gets_a_new_session(sessions, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 0.05)
    first = sessions.of("a")
    sessions.close("a")
    time.sleep(0.1)
    assert sessions.of("a") is not first


def test_sweeping(tmp_path):
    sessions = Sessions(tmp_path, idle_seconds=0.2)
    old = sessions.of("old")
    upload = tmp_path / "0123"
    upload.mkdir()
    (upload / "mesh.glb").write_bytes(b"x")
    stray = tmp_path / "tmpabc"
    stray.write_bytes(b"")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    past = time.time() - 60
    for path in (upload, stray):
        os.utime(path, (past, past))
    time.sleep(0.3)
    os.utime(fresh)
    new = sessions.of("new")
    sessions.sweep()
    assert not old.folder.exists() and new.folder.is_dir() and len(sessions) == 1
    assert not upload.exists() and not stray.exists() and fresh.is_dir()


def test_many_threads_share_one_session(sessions):
    session = sessions.of("a")
    threads = [threading.Thread(target=lambda: [put(session) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [item.number for item in session.gallery()]
    assert len(set(numbers)) == 40 and all(i.glb.is_file() for i in session.gallery())


def test_the_guard_serves_open_sessions_only(sessions, tmp_path):
    guard = Guard(None, sessions)
    item = put(sessions.of("a"))
    (tmp_path / "config.json").write_text("{}")
    assert guard.allowed(f"/gradio_api/file={item.glb}") and guard.allowed("/assets/x.js")
    for path in (
        f"/gradio_api/file={tmp_path / 'config.json'}",
        f"/gradio_api/file={item.glb.parent}",
        f"/gradio_api/file={item.glb.parent}/../config.json",
        f"/gradio_api/file/{tmp_path / 'config.json'}",
        "/gradio_api/file=https://example.org/x",
        "/gradio_api/proxy=https://example.org/x",
        "/gradio_api/file=\0",
    ):
        assert not guard.allowed(path), path


def test_a_file_deleted_while_it_is_served_is_refused(sessions):
    """Its page was closed between the check and the answer."""
    session, sent = sessions.of("a"), []
    path = session.folder / "shape.webp"
    path.write_bytes(b"picture")

    async def serve(scope, receive, send):
        sessions.close("a")
        raise RuntimeError("File at path does not exist.")

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": f"/gradio_api/file={path}"}
    asyncio.run(Guard(serve, sessions)(scope, None, send))
    assert sent[0]["status"] == 403 and len(sent) == 2
    with pytest.raises(RuntimeError):
        asyncio.run(Guard(serve, sessions)(scope | {"path": "/"}, None, send))


class SlowStudio:
    """Counts the frames that are made; quiet as long as `busy` is not set."""

    busy = False

    def __init__(self):
        self.made, self.backbones = [], []

    def quiet_seconds(self):
        return -1.0 if self.busy else 9.0

    def frame(self, job, noise, category, settings):
        job.check()
        assert settings.steps == 1 and settings.backbone in ("grid", "points")
        self.made.append(category)
        self.backbones.append(settings.backbone)
        return repr(noise.terms).encode()


@pytest.fixture
def walk(sessions):
    session = sessions.of("a")
    first, second = put(session), put(session)
    second.noise, second.category = Noise.of_shape(1), "cup"
    second.settings = ShapeSettings(backbone="points")
    return session, Walk(first, second, 1.0)


def test_a_frame_is_made_once_and_the_nearer_shape_names_the_category(walk):
    session, steps = walk
    studio = SlowStudio()
    frames = Frames(studio)
    ends = [frames.picture(session.begin(), steps, p) for p in (0, 1, 0.5, 0.45, 0, 1)]
    assert studio.made == ["box", "cup", "cup", "box"]
    assert studio.backbones == ["grid", "points", "points", "grid"]
    assert ends[0] == ends[4] and ends[0].read_bytes() == repr(steps.first.noise.terms).encode()
    assert ends[1].read_bytes() == repr(steps.second.noise.terms).encode()
    other = Walk(steps.first, steps.second, 1.5)
    assert frames.picture(session.begin(), other, 0) != ends[0]
    with pytest.raises(ValueError, match="position"):
        frames.picture(session.begin(), steps, 1.5)


def end(threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_frames_are_made_ahead_while_the_model_is_idle(walk):
    session, steps = walk
    studio = SlowStudio()
    frames = Frames(studio)
    end(frames.fill(session, steps))
    assert len(studio.made) == 21
    count = len(studio.made)
    for i in range(21):  # as the slider sends them
        frames.picture(session.begin(), steps, i * STEP)
    assert len(studio.made) == count


def test_a_frame_under_way_is_waited_for(walk):
    session, steps = walk
    begun, go = threading.Event(), threading.Event()
    studio = SlowStudio()

    def frame(*arguments):
        begun.set()
        assert go.wait(20)
        return SlowStudio.frame(studio, *arguments)

    studio.frame = frame
    frames = Frames(studio)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(frames.picture, session.begin(), steps, 0.5)
        assert begun.wait(20)
        second = pool.submit(frames.picture, session.begin(), steps, 0.5)
        assert not second.done()
        go.set()
        assert first.result(20) == second.result(20)
    assert studio.made == ["cup"]


def test_a_frame_that_failed_is_made_by_the_next_who_asks(walk):
    session, steps = walk
    studio = SlowStudio()
    frames = Frames(studio)
    job = session.begin()
    session.stop()
    with pytest.raises(Stopped):
        frames.picture(job, steps, 0.5)
    assert frames.picture(session.begin(), steps, 0.5).is_file()


def test_making_ahead_waits_for_people_and_ends_with_the_walk(walk, sessions, monkeypatch):
    monkeypatch.setattr(frames_module, "QUIET_SECONDS", 0.02)
    session, steps = walk
    studio = SlowStudio()
    studio.busy = True
    frames = Frames(studio)
    threads = frames.fill(session, steps)
    threads[0].join(0.2)
    assert all(t.is_alive() for t in threads) and studio.made == []
    session.walk = None  # another walk was opened
    studio.busy = False
    end(threads)
    assert studio.made == []
    studio.busy = True
    threads = frames.fill(session, steps)
    sessions.close("a")
    end(threads)
    assert studio.made == []


def test_one_thread_is_left_to_who_asks(walk, monkeypatch):
    monkeypatch.setattr(frames_module, "QUIET_SECONDS", 3)
    session, steps = walk
    studio = SlowStudio()
    studio.quiet_seconds = lambda: 60.0  # no shape is made
    frames = Frames(studio)
    frames.ask(session.begin(), steps, 0.5)
    eager, polite = frames.fill(session, steps)
    eager.join(20)
    assert not eager.is_alive() and len(studio.made) == 21
    assert polite.is_alive()
    session.stop()
    end([polite])
