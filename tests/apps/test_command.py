"""The command line of the app: what is wrong is one line and an exit code."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

APP = str(Path(__file__).resolve().parents[2] / "apps" / "gradio_app.py")


def run(*arguments):
    return subprocess.run(
        [sys.executable, APP, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--port", 70000], "--port"),
        (["--queue-size", 0], "--queue-size"),
        (["--device", "x"], "x"),
    ],
    ids=str,
)
def test_wrong_options_exit_with_2(arguments, word):
    done = run(*arguments)
    assert done.returncode == 2 and word in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_checkpoint_that_is_nowhere_exits_with_1():
    done = run("--checkpoint", "nowhere", "--port", 0)
    assert done.returncode == 1 and "'nowhere'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_exits_with_1(tiny):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--port", taken.getsockname()[1], "--checkpoint", tiny, "--device", "cpu")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert str(taken) and "port" in done.stderr


@pytest.mark.parametrize("missing", ["gradio", "manifold3d"])
def test_a_missing_package_names_the_extra(missing):
    code = f"import sys, runpy; sys.modules[{missing!r}] = None; sys.argv = ['gradio_app.py']; "
    code += f"runpy.run_path({APP!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert missing in done.stderr and "pip install 'geoflow[app]'" in done.stderr


@pytest.mark.slow
def test_a_full_queue_says_so(start_app, tmp_path, tiny):
    from gradio_client import Client
    from gradio_client.utils import QueueError

    server = start_app(tmp_path, "--queue-size", 1, checkpoint=tiny)
    try:
        client = Client(server.url, verbose=False)
        values = ("chair", 0, False, 16, 8, 2.0, 256)
        jobs = [client.submit(*values, api_name="/generate") for _ in range(6)]
        errors = []
        for _ in range(100):  # the client's own call waits in the queue too
            with contextlib.suppress(QueueError):
                client.predict(api_name="/stop")
                break
            time.sleep(0.2)
        for job in jobs:
            try:
                job.result(timeout=60)
            except Exception as error:
                errors.append(str(error))
        assert any("ueue" in text and "full" in text for text in errors), errors
        client.close()
    finally:
        server.stop()
