"""The page in a real browser: Debian's chromium, driven by Playwright; no errors, no outsiders."""

import io
import os
import re
import shutil
import time

import numpy as np
import pytest
import trimesh

import geoflow

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = os.environ.get("GEOFLOW_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"
)
QUIET = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
]  # fmt: skip
SLOW_MACHINE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)


class Watched:
    """A page; `close` fails on console errors and on requests to other hosts."""

    def __init__(self, browser, url, width=1440, height=1000, **device):
        self.url, self.wrong = url, []
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, **device
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(SLOW_MACHINE)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on("request", self._request)
        self.page.goto(url)
        self.ready()

    def ready(self):
        """The parts of the page load one by one; the viewer's is there with its label."""
        self.page.wait_for_selector("#generate")
        self.page.get_by_text("Shape", exact=True).first.wait_for()

    def _console(self, message):
        if message.type == "error":
            self.wrong.append(f"console: {message.text}")

    def _request(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(f"outside: {request.url}")

    def close(self):
        self.context.close()
        assert self.wrong == []


@pytest.fixture
def watched(browser, server):
    made = Watched(browser, server.url)
    yield made
    made.close()


@pytest.fixture
def phone(browser, server):
    made = Watched(browser, server.url, 390, 844, is_mobile=True, has_touch=True)
    yield made
    made.close()


def set_number(page, label, value):
    field = page.get_by_label(f"number input for {label}").first
    field.fill(str(value))
    field.press("Tab")


def drawn(page, nth=0):
    """How much the canvas differs from its corner: the shape's share of the pixels."""
    from PIL import Image

    canvas = page.locator("canvas:visible").nth(nth)
    pixels = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)
    inner = pixels[60:-20, 20:-20]
    return float((np.abs(inner - inner[-1, 0]).max(-1) > 25).mean())


def wait_until_drawn(page, nth=0, least=0.02):
    page.locator("canvas:visible").nth(nth).wait_for()
    for _ in range(200):
        if drawn(page, nth) > least:
            return
        page.wait_for_timeout(150)
    raise AssertionError("the viewer shows nothing")


def rows_of_the_shape(page):
    """Pixel rows of the canvas that hold the shape, and how many rows there are."""
    from PIL import Image

    shot = page.locator("canvas:visible").first.screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    middle = pixels[:, pixels.shape[1] // 4 : 3 * pixels.shape[1] // 4]  # labels are at the sides
    return np.flatnonzero((np.abs(middle - middle[-1, 0]).max(-1) > 25).any(1)), len(pixels)


def wait_until_whole_in_view(page):
    """The shape fills a good part of the canvas's height, and touches neither top nor bottom."""
    for _ in range(100):
        page.wait_for_timeout(300)  # the camera takes its time
        rows, height = rows_of_the_shape(page)
        if len(rows) > 0.4 * height and rows.min() > 4 and rows.max() < height - 5:
            return
    raise AssertionError(f"rows {rows.min()} to {rows.max()} of {height}" if len(rows) else "empty")


def generate(page, count=1):
    set_number(page, "How many", count)
    before = page.locator("#shapes img").count()
    page.click("#generate")
    page.wait_for_function(
        "n => document.querySelectorAll('#shapes img').length >= n", arg=before + count
    )


def error_text(page, word):
    toast = page.locator(".toast-body.error", has_text=word)
    toast.first.wait_for()
    return " ".join(toast.first.inner_text().split())


def test_generate_look_change_export(watched, tmp_path):
    page = watched.page
    generate(page, 2)
    wait_until_drawn(page)
    facts = page.locator(".facts").first
    first = facts.inner_text()
    assert "cm" in first and "100.0 high" in first and "yes" in first
    assert page.get_by_label("Seed", exact=True).input_value() in first
    page.locator("#shapes button").nth(1).click()
    page.wait_for_function("text => !document.querySelector('.facts').innerText.includes(text)",
                           arg=first.split("(no. ")[1][:3])  # fmt: skip

    page.get_by_role("button", name="Between these two").click()
    frame = page.locator("#frame img")
    frame.wait_for()
    page.wait_for_timeout(300)
    before = frame.get_attribute("src")
    slider = page.locator("#position input[type=range]")
    slider.focus()
    for _ in range(6):
        slider.press("ArrowRight")
    page.wait_for_function(
        "old => document.querySelector('#frame img').getAttribute('src') !== old", arg=before
    )
    page.get_by_role("button", name="Keep this one").click()
    page.wait_for_function("() => document.querySelectorAll('#shapes img').length === 3")
    page.get_by_role("button", name="More like this").click()
    page.wait_for_function("() => document.querySelectorAll('#shapes img').length === 5")

    for kind in ("glb", "obj", "stl", "ply", "3mf"):
        field = page.get_by_label("Format").first
        field.click()
        page.get_by_role("option", name=kind, exact=True).click()
        page.get_by_role("button", name="Export", exact=True).first.click()
        button = page.get_by_role("button", name=re.compile(rf"Download .*\.{kind} "))
        button.wait_for()
        with page.expect_download() as download:
            button.click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.suffix == f".{kind}"
        assert trimesh.load_scene(path).to_mesh().is_watertight, kind


OUTSIDE = """() => {
    const wrong = [];
    for (const e of document.querySelectorAll(
            'button, a, input, select, textarea, label, canvas, [role=tab], [role=button]')) {
        const box = e.getBoundingClientRect();
        const seen = box.width && box.height && !e.closest('[aria-hidden=true]');
        if (seen && (box.right > innerWidth + 0.5 || box.left < -0.5))
            wrong.push(`${e.tagName} ${e.innerText || e.ariaLabel}: ${box.left} to ${box.right}`);
    }
    return wrong;
}"""
LOW = """() => [...document.querySelectorAll('button, input[type=number]')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.height && !e.closest('[aria-hidden=true]') && Math.min(box.width, box.height) < 36;
}).map(e => e.outerHTML.slice(0, 200))"""


def assert_it_fits(page):
    width, scroll = page.evaluate("[innerWidth, document.scrollingElement.scrollWidth]")
    assert width == 390 and scroll <= width  # a phone would widen the page, and shrink all on it
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(LOW) == []  # too small for a thumb


def test_every_tab_fits_a_phone(phone):
    page = phone.page
    tabs = page.get_by_role("tab").all()
    assert len(tabs) >= 5
    for tab in tabs:
        tab.tap()
        page.locator("[role=tab][aria-selected=true]", has_text=tab.inner_text()).wait_for()
        assert_it_fits(page)
    page.get_by_role("tab", name="Generate").tap()
    generate(page, 2)
    wait_until_drawn(page)
    page.get_by_role("button", name="Between these two").tap()
    page.locator("#frame img").wait_for()
    page.wait_for_function(
        "() => document.querySelector('#walk').getBoundingClientRect().top < innerHeight"
    )
    page.get_by_role("button", name="Export", exact=True).first.tap()
    page.get_by_role("button", name=re.compile("Download")).wait_for()
    assert_it_fits(page)
    page.get_by_role("tab", name="Surface from points").tap()
    page.get_by_role("button", name="An example").tap()
    page.locator(".facts", has_text="512 read of 512").first.wait_for()
    wait_until_drawn(page, 1)
    assert_it_fits(page)


@pytest.mark.slow
def test_garbage_a_wrong_word_and_a_reload(watched, tmp_path):
    page = watched.page
    page.get_by_label("Randomise the seed").uncheck()
    page.get_by_label("Seed", exact=True).fill("-4")
    page.click("#generate")
    text = error_text(page, "seed")
    assert "seed must be a whole number" in text and "-4" in text
    page.get_by_role("tab", name="Your mesh").click()
    bad = tmp_path / "bad.glb"
    bad.write_bytes(b"garbage" * 100)
    page.locator("#upload input[type=file]").set_input_files(bad)
    text = error_text(page, "bad.glb")
    assert "export it again" in text and "Traceback" not in text
    page.locator("#upload", has_text="bad").wait_for(state="detached")  # the file is taken out
    trimesh.creation.box((0.5, 1, 0.25)).export(tmp_path / "box.ply")
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "box.ply")
    page.locator(".facts", has_text="50.0 wide, 100.0 high, 25.0 deep").wait_for()
    wait_until_whole_in_view(page)
    trimesh.creation.box((0.5, 8, 0.5)).export(tmp_path / "pole.ply")  # in the same viewer
    page.locator("#upload").get_by_label("Remove").or_(page.locator("#upload button")).first.click()
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "pole.ply")
    page.locator(".facts", has_text="50.0 wide, 800.0 high").wait_for()
    wait_until_whole_in_view(page)
    page.reload()
    watched.ready()
    generate(page)
    wait_until_drawn(page)


@pytest.mark.slow
def test_cancel_and_leave(watched, server):
    page = watched.page
    before = len(server.sessions())
    set_number(page, "Steps", 8)
    set_number(page, "How many", 16)
    page.click("#generate")
    page.wait_for_function("() => document.querySelectorAll('#shapes img').length >= 1")
    page.get_by_role("button", name="Stop").first.click()
    counts = [-1, 0]
    while counts[-2] != counts[-1]:  # what was made before the click may still be on its way
        page.wait_for_timeout(2000)
        counts.append(page.locator("#shapes img").count())
    assert counts[-1] < 16
    set_number(page, "Steps", 1)
    generate(page)  # the model is free again
    assert len(server.sessions()) >= 1
    watched.context.close()
    for _ in range(100):
        if len(server.sessions()) <= before:
            return
        time.sleep(0.1)
    raise AssertionError("the session's folder is still there")


@pytest.mark.slow
def test_the_other_tabs(watched):
    page = watched.page
    page.get_by_role("tab", name="Compare").click()
    page.get_by_label("Sampler").click()
    page.get_by_role("option", name="cumulative map (r > t)").click()
    page.click("#compare")
    page.locator(".caption", has_text="for 50 calls").wait_for()
    for i in range(4):
        wait_until_drawn(page, i)
    page.get_by_role("tab", name="Use from Blender").click()
    code = page.locator(".cm-content").inner_text()
    assert f'APP = "{watched.url.rstrip("/")}"' in code and "import bpy" in code


@pytest.mark.slow
def test_a_surface_from_the_points_of_the_example(watched, tmp_path):
    page = watched.page
    page.get_by_role("tab", name="Surface from points").click()
    page.get_by_role("button", name="An example").click()
    page.locator(".facts", has_text="512 read of 512").first.wait_for()
    wait_until_drawn(page, 0, 0.005)
    wait_until_drawn(page, 1)
    page.get_by_role("button", name="Export", exact=True).click()
    button = page.get_by_role("button", name=re.compile(r"Download example_surface_.*\.glb "))
    button.wait_for()
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / "surface.glb")
    assert trimesh.load_scene(tmp_path / "surface.glb").to_mesh().is_watertight


@pytest.mark.slow
def test_a_cloud_is_read_before_any_click(watched, tmp_path):
    page = watched.page
    page.get_by_role("tab", name="Surface from points").click()
    trimesh.creation.box().export(tmp_path / "box.ply")
    page.locator("#cloud input[type=file]").set_input_files(tmp_path / "box.ply")
    page.locator(".facts", has_text="taken from 12 faces").wait_for()
    page.locator("canvas:visible").first.wait_for()
    page.click("#reconstruct")
    page.locator(".facts", has_text="Closed").wait_for()


@pytest.mark.slow
@pytest.mark.skipif(
    not geoflow.model.has_checkpoint("characters"), reason="no checkpoint characters"
)
def test_the_joints_of_the_example(watched, tmp_path):
    page = watched.page
    page.get_by_role("tab", name="Joints").click()
    page.get_by_role("button", name="An example").click()
    page.locator(".facts", has_text="left_knee").first.wait_for()
    wait_until_drawn(page)
    page.get_by_role("button", name="Export the rig").click()
    button = page.get_by_role("button", name=re.compile(r"Download example_rig_.*\.glb "))
    button.wait_for()
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / "rig.glb")
    assert len(trimesh.load_scene(tmp_path / "rig.glb").to_mesh().faces) > 5_000
