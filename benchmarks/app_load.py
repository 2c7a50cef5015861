"""How fast is the app, and does it survive a crowd? Prints two markdown tables.

    python benchmarks/app_load.py            # speed, then the crowd
    python benchmarks/app_load.py --only speed
    python benchmarks/app_load.py --only crowd --users 20 --requests 200

Speed starts `apps/gradio_app.py`, opens the page in chromium (Playwright), clicks and waits until
the viewer has loaded the shape's file and drawn it. The crowd is so many gradio_client users at
once on this machine; some cancel, some send broken files. It fails (exit code 1) if an answer is
neither right nor a clear error, if the memory afterwards is over 110 % of that before, or if a
session's folder is left.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BAR_MEMORY = 1.10
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
]  # fmt: skip


class App:
    """The app in a process of its own."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder, self.log = folder, folder / "log.txt"
        command = [sys.executable, str(ROOT / "apps" / "gradio_app.py"), "--port", "0", *arguments]
        environment = os.environ | {"TMPDIR": str(folder), "GRADIO_HEARTBEAT_INTERVAL": "2"}
        self.begin = time.perf_counter()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        self.url = self._wait()
        self.seconds = time.perf_counter() - self.begin

    def _wait(self) -> str:
        import urllib.request

        while self.process.poll() is None and time.perf_counter() - self.begin < 120:
            found = re.search(r"geoflow is at (\S+)", self.log.read_text())
            if found:
                urllib.request.urlopen(found[1]).read()
                return found[1]
            time.sleep(0.02)
        raise SystemExit(f"the app did not start: {self.log.read_text()}")

    def memory_mb(self) -> float:
        """Resident memory."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def sessions(self) -> list[Path]:
        """The folders of open sessions."""
        return list(self.folder.glob("geoflow-app-*/session-*"))

    def stop(self) -> None:
        """Ends it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)


@contextmanager
def running(arguments: list[str]) -> Iterator[App]:
    """An app in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder), arguments)
        try:
            yield app
        finally:
            app.stop()


# -- speed -------------------------------------------------------------------------------------


def click_to_viewer(page: Any, steps: int, resolution: int, repeats: int = 7) -> list[float]:
    """Seconds from the click to the drawn shape, for one shape."""
    field = page.get_by_label("number input for Steps").first
    field.fill(str(steps))
    field.press("Tab")
    page.get_by_label(str(resolution), exact=True).first.check()
    page.wait_for_timeout(500)
    seconds = []
    for i in range(repeats + 1):
        before = page.locator(".facts").first.inner_text() if i else ""
        begin = time.perf_counter()
        with page.expect_response(lambda r: r.url.endswith(".glb") and r.ok):
            page.click("#generate")
        page.wait_for_function(
            "t => { const f = document.querySelector('.facts'); return f && f.innerText !== t }",
            arg=before,
        )
        page.evaluate(  # two frames later the new shape is on the canvas
            "() => new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))"
        )
        if i:  # the first one loads the viewer
            seconds.append(time.perf_counter() - begin)
        page.wait_for_timeout(1200)
    return seconds


def walk_rate(page: Any, wait: float, seconds: float = 8.0) -> float:
    """Frames a second while the slider is dragged to and fro, `wait` seconds after it opened."""
    field = page.get_by_label("number input for How many").first
    field.fill("2")
    field.press("Tab")
    had = page.locator("#shapes img").count()
    page.click("#generate")
    page.wait_for_function("n => document.querySelectorAll('#shapes img').length >= n", arg=had + 2)
    page.wait_for_timeout(3000)
    page.get_by_role("button", name="Between these two").click()
    page.locator("#frame img").wait_for()
    page.wait_for_timeout(1000 * wait)
    page.evaluate(  # counts the pictures that are shown, also those from the browser's cache
        """() => { if (window.shown === undefined) document.querySelector('#frame')
            .addEventListener('load', () => { window.shown += 1 }, true); window.shown = 0 }"""
    )
    slider = page.locator("#position input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x, y, width = box["x"], box["y"] + box["height"] / 2, box["width"]
    page.mouse.move(x + width / 2, y)
    page.mouse.down()
    begin, tick = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        tick += 1
        share = abs((tick % 80) / 40 - 1)
        page.mouse.move(x + 5 + share * (width - 10), y)
        page.wait_for_timeout(50)
    rate = page.evaluate("window.shown") / (time.perf_counter() - begin)
    page.mouse.up()
    return rate


def chromium() -> str:
    """Debian's chromium."""
    found = shutil.which("chromium")
    if found is None:
        raise SystemExit("this needs Debian's chromium; apt-get install chromium")
    return found


def measure_speed(arguments: list[str]) -> None:
    """Prints the table of speeds."""
    from playwright.sync_api import sync_playwright

    print("| what | bar | measured |\n|---|---|---|")
    with running(arguments) as app, sync_playwright() as playwright:
        print(f"| command to a page that answers | 8 s | {app.seconds:.1f} s |", flush=True)
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(app.url)
        field = page.get_by_label("number input for How many").first
        field.fill("1")
        field.press("Tab")
        for steps, resolution, bar in ((1, 64, "1.0 s"), (1, 128, "1.5 s"), (2, 64, "-"),
                                       (2, 128, "-")):  # fmt: skip
            times = click_to_viewer(page, steps, resolution)
            shown = f"{statistics.median(times):.2f} s (worst {max(times):.2f})"
            what = f"click to viewer, 1 shape, {steps} step{'s'[: steps > 1]}, {resolution}"
            print(f"| {what} | {bar} | {shown} |", flush=True)
        for wait in (0.5, 15):
            what = f"walk slider, shapes a second, {wait:g} s after it opened"
            print(f"| {what} | 3 | {walk_rate(page, wait):.1f} |", flush=True)
        browser.close()


# -- the crowd -----------------------------------------------------------------------------------


class Crowd:
    """Many users at once; counts what they get."""

    def __init__(self, url: str, requests: int, folder: Path) -> None:
        import trimesh

        self.url, self.left, self.lock = url, requests, threading.Lock()
        self.got: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.good = folder / "good.glb"
        trimesh.creation.icosphere(3).export(self.good)
        whole = self.good.read_bytes()
        self.bad = []
        for i, data in enumerate((b"", b"junk" * 999, whole[:999], whole[:-7] + b"\xff" * 7)):
            path = folder / f"broken{i}.glb"
            path.write_bytes(data)
            self.bad.append(path)

    def user(self, number: int) -> None:
        """One user: asks until all requests are used up, then leaves."""
        from gradio_client import Client

        chance = random.Random(number)
        client = Client(self.url, verbose=False, download_files=False)
        made: list[Any] = []
        try:
            while True:
                with self.lock:
                    if self.left == 0:
                        return
                    self.left -= 1
                self._ask(client, chance, made)
        finally:
            client.close()

    def _ask(self, client: Any, chance: random.Random, made: list[Any]) -> None:
        from gradio_client import handle_file

        kind = chance.choices(
            ("generate", "cancel", "broken", "open", "export", "wrong", "file"),
            (30, 15, 15, 8, 15, 7, 10),
        )[0]
        if kind == "export" and not made:
            kind = "generate"
        order = ["chair", chance.randrange(1000), False, 1, 2, 1.0, 64]
        try:
            if kind == "generate":
                answer = client.predict(*order, api_name="/generate")
                made.append(answer[4])
                right = answer[1]["url"].endswith(".glb") and answer[3] == order[1]
            elif kind == "cancel":
                order[3], order[4] = 16, 8
                job = client.submit(*order, api_name="/generate")
                time.sleep(chance.random() * 2)
                job.cancel()
                client.predict(api_name="/stop")
                right = True
            elif kind == "open":
                answer = client.predict(handle_file(self.good), api_name="/open_mesh")
                right = "1,280 faces" in answer[1]
            elif kind == "export":
                suffix = chance.choice(("obj", "stl", "3mf", "ply"))
                answer = client.predict(made[-1], suffix, 0, "this shape", api_name="/export")
                right = answer["url"].endswith(suffix)
            elif kind == "file":
                answer = client.predict("lamp", 1, 2, 1.0, 64, "obj", 3000, api_name="/make_file")
                right = answer["url"].endswith("faces.obj")
            elif kind == "broken":
                client.predict(handle_file(chance.choice(self.bad)), api_name="/open_mesh")
                right = False  # it must not be read
            else:
                client.predict("zeppelin", *order[1:], api_name="/generate")
                right = False
            self._count(kind, right, "an answer")
        except Exception as error:
            text = str(error)
            clear = (kind == "broken" and "broken" in text) or (
                kind == "wrong" and "zeppelin" in text and "chair" in text
            )
            full = "ueue is full" in text
            self._count("queue full" if full else kind, clear or full, text)

    def _count(self, kind: str, right: bool, text: str) -> None:
        with self.lock:
            self.got[f"{kind}: {'right' if right else 'WRONG'}"] += 1
            if not right:
                self.wrong.append(f"{kind}: {text[:200]}")


def wave(app: App, users: int, requests: int, folder: Path) -> Crowd:
    """So many users until so many requests are done."""
    crowd = Crowd(app.url, requests, folder)
    threads = [threading.Thread(target=crowd.user, args=(i,)) for i in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return crowd


def measure_crowd(arguments: list[str], users: int, requests: int) -> int:
    """Prints the table of the crowd; 1 where something was wrong."""
    with running(arguments) as app, tempfile.TemporaryDirectory() as folder:
        # The first wave loads what is loaded once: open3d, codecs, threads.
        wave(app, 4, 24, Path(folder))
        before = settle(app)
        begin = time.perf_counter()
        crowd = wave(app, users, requests, Path(folder))
        seconds = time.perf_counter() - begin
        peak = app.memory_mb()
        after = settle(app)
        alive = app.process.poll() is None
        left = len(app.sessions())
        traces = app.log.read_text().count("Traceback")
    print(f"| crowd: {users} users, {requests} requests | measured |\n|---|---|")
    print(f"| time | {seconds:.0f} s |")
    print(f"| answers | {', '.join(f'{v} {k}' for k, v in sorted(crowd.got.items()))} |")
    print(f"| memory before, at the end, after | {before:.0f}, {peak:.0f}, {after:.0f} MB "
          f"({after / before:.0%}) |")  # fmt: skip
    print(f"| session folders left | {left} |")
    print(f"| server alive, tracebacks in its log | {alive}, {traces} |")
    for line in crowd.wrong[:10]:
        print(f"WRONG {line}", file=sys.stderr)
    good = alive and not crowd.wrong and not left and not traces and after <= BAR_MEMORY * before
    return 0 if good else 1


def settle(app: App) -> float:
    """Memory once every session is gone and the minute's sweep has run."""
    until = time.perf_counter() + 60
    while app.sessions() and time.perf_counter() < until:
        time.sleep(0.2)
    time.sleep(65)
    return app.memory_mb()


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("speed", "crowd"))
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--checkpoint", default="objects")
    options = parser.parse_args()
    arguments = ["--device", "cpu", "--checkpoint", options.checkpoint]
    if options.only != "crowd":
        measure_speed(arguments)
    if options.only != "speed":
        return measure_crowd(arguments, options.users, options.requests)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
