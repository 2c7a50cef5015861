"""The geoflow app: generate shapes, look at them, change them, export them.

    python apps/gradio_app.py                    # then open http://127.0.0.1:7860
    python apps/gradio_app.py --port 8000 --checkpoint runs/a/checkpoint

Needs `pip install 'geoflow[app]'`. Works without a GPU, a network or a display.
"""

from __future__ import annotations

import argparse
import atexit
import ctypes
import importlib.util
import inspect
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Set before gradio is imported: no telemetry, no look-up of versions, files in a folder of ours.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GRADIO_HEARTBEAT_INTERVAL", "5")
# gradio would build a table of all past events after each one, for a page that is off.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"
os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

import geoflow

SWEEP_SECONDS = 60.0
MAX_UPLOAD = "50mb"
NEEDED = ("gradio", "manifold3d")
"""What the extra `app` brings, and `pip install geoflow` does not."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with 2 and one line of error where it is wrong."""
    parser = argparse.ArgumentParser(description="Open the geoflow app in a browser.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: all")
    parser.add_argument("--port", type=int, default=7860, help="0 takes any free port")
    parser.add_argument("--share", action="store_true", help="public link through gradio's server")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--checkpoint", default="objects", help="bundled name, or a folder")
    parser.add_argument("--queue-size", type=int, default=64, help="jobs that may wait")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error(f"--port must be 0 to 65535; got {options.port}")
    if options.queue_size < 1:
        parser.error(f"--queue-size must be at least 1; got {options.queue_size}")
    return options


def start(options: argparse.Namespace) -> tuple[Any, str, Any]:
    """Loads the model, builds the page and starts the server.

    Returns:
        the page (its close() stops the server), its address, the sessions.

    Raises:
        ValueError: a broken checkpoint, no such device.
        OSError: the port is taken.
    """
    worker = ThreadPoolExecutor(1)
    loading = worker.submit(
        geoflow.load, options.checkpoint, options.device, (geoflow.ObjectGenerator,)
    )
    worker.shutdown(wait=False)
    root = Path(tempfile.mkdtemp(prefix="geoflow-app-")).resolve()
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(root)  # files inside are served where they are, not copied
    try:
        with without_stubs():
            import gradio  # noqa: F401 - while the model loads
        from starlette.middleware import Middleware

        from geoflow_app.page import CSS, HEAD, build_page, theme
        from geoflow_app.parts.ui import Context
        from geoflow_app.server.guard import Guard
        from geoflow_app.server.sessions import Sessions
        from geoflow_app.server.studio import Studio

        studio, sessions = Studio(loading.result()), Sessions(root)
        page = build_page(Context(studio, sessions, options.queue_size))
        _, address, public = page.launch(
            server_name=options.host,
            server_port=options.port or free_port(options.host),
            share=options.share,
            quiet=True,
            prevent_thread_lock=True,
            show_error=True,
            max_file_size=MAX_UPLOAD,
            allowed_paths=[],
            ssr_mode=False,
            run_history=False,
            footer_links=["api"],
            theme=theme(),
            css=CSS,
            head=HEAD,
            app_kwargs={"middleware": [Middleware(Guard, sessions=sessions)]},
        )
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    threading.Thread(target=studio.warm_up, daemon=True).start()
    threading.Thread(target=_sweep, args=(sessions,), daemon=True).start()
    return page, public or address, sessions


@contextmanager
def without_stubs() -> Iterator[None]:
    """Halves the time of `import gradio`, which writes a type stub for each of its classes.

    It leaves out classes that have no source file.
    """
    find = inspect.getfile

    def getfile(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError("no stub is wanted")
        return find(thing)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = find


def check_port(host: str, port: int) -> None:
    """Fails before anything is loaded where nobody can listen there.

    Raises:
        ValueError: the port is taken, or the address is not this machine's.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"--host and --port must name a free address; {host} port {port} is not "
                f"({error.strerror}); pass another --port, or 0 for any"
            ) from None


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _sweep(sessions: Any) -> None:
    """Every minute: closes idle sessions, hands freed memory back to the system."""
    while sessions.root.is_dir():
        time.sleep(SWEEP_SECONDS)
        sessions.sweep()
        give_memory_back()


def give_memory_back() -> None:
    """glibc keeps freed memory for itself; elsewhere this does nothing."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):
            return


def main(arguments: list[str] | None = None) -> int:
    """Runs the server until Ctrl-C."""
    options = parse(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        what = " and ".join(missing)
        return _fail(f"the app needs {what}, not installed here; pip install 'geoflow[app]'")
    try:
        check_port(options.host, options.port)
        page, address, sessions = start(options)
    except (ValueError, OSError, RuntimeError) as error:
        return _fail(str(error))
    print(f"geoflow is at {address} (Ctrl-C ends it)", flush=True)
    try:
        while page.is_running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print("geoflow ended", file=sys.stderr)
    finally:
        page.close(verbose=False)
        sessions.close_all()
        shutil.rmtree(sessions.root, ignore_errors=True)
    return 0


def _fail(message: str) -> int:
    print(f"gradio_app: {' '.join(message.split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
