"""The app as a person starts it: a process of its own, with a checkpoint that needs no training."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from toys.checkpoints import write_tiny

pytest.importorskip("gradio_client", reason='the app needs gradio: pip install ".[app]"')

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "apps"))  # so that tests import geoflow_app


@dataclass
class Server:
    """A running app."""

    url: str
    process: subprocess.Popen
    temporary: Path
    log: Path

    def sessions(self):
        return sorted(p.name for p in self.temporary.glob("geoflow-app-*/session-*"))

    def uploads(self):
        files = self.temporary.glob("geoflow-app-*/**/*")
        # gradio leaves an empty file behind every upload; the hourly sweep takes those.
        return [p for p in files if p.is_file() and p.stat().st_size and "session-" not in str(p)]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


def launch(folder, *arguments, checkpoint):
    """Starts `python apps/gradio_app.py` and waits for its address."""
    temporary = folder / "tmp"
    temporary.mkdir()
    log = folder / "log.txt"
    environment = os.environ | {
        "TMPDIR": str(temporary),
        "GRADIO_HEARTBEAT_INTERVAL": "0.5",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
    command = [sys.executable, str(ROOT / "apps" / "gradio_app.py"), "--port", "0"]
    command += ["--device", "cpu", "--checkpoint", str(checkpoint), *map(str, arguments)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"geoflow is at (\S+)", log.read_text())
        if found:
            return Server(found[1], process, temporary, log)
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the app did not start: {log.read_text()}")


@pytest.fixture
def start_app():
    """For tests that need a server of their own."""
    return launch


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("app-checkpoint") / "checkpoint", cloud=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory, tiny):
    running = launch(tmp_path_factory.mktemp("app"), checkpoint=tiny)
    yield running
    running.stop()
    text = running.log.read_text()
    assert running.process.returncode == 0, text
    assert "Traceback" not in text, text
    assert list(running.temporary.glob("geoflow-app-*")) == []  # all is deleted at the end
    shutil.rmtree(running.temporary)


@pytest.fixture(scope="session")
def one_client(server):
    from gradio_client import Client

    made = Client(server.url, verbose=False, download_files=str(server.temporary.parent / "got"))
    yield made
    made.close()


@pytest.fixture
def client(one_client):
    """A client with an empty gallery; opening one for every test would take half a second each."""
    one_client.predict(api_name="/clear")
    return one_client
