"""The training loop on a toy set: resuming is exact, a kill loses little, processes agree."""

import contextlib
import csv
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from geoflow.cli import app
from geoflow.clouds.data import PointSource
from geoflow.clouds.recipes import objects_points
from geoflow.data.bricks import encode_sdf
from geoflow.data.shards import ShapeWriter, StoredShape
from geoflow.flow.objective import PseudoHuber
from geoflow.flow.targets import PathPairs, Residual
from geoflow.model.checkpoint import load_checkpoint
from geoflow.pretrained import load_generator
from geoflow.recipes import RECIPES, get_recipe
from geoflow.shapes.data import GridSource
from geoflow.training.loop import RunOptions, draw_samples, run_training
from geoflow.training.recipe import Recipe, Stage, set_fields
from geoflow.training.trainer import Trainer, start_processes

ROOT = Path(__file__).resolve().parents[2]
R = 16
CPU = torch.device("cpu")
QUIET = RunOptions(log_every=5)


def write_shapes(folder: Path, count: int = 12) -> Path:
    """Balls and boxes of several sizes."""
    axis = -1 + (np.arange(R) + 0.5) * 2 / R
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    rng = np.random.default_rng(0)
    writer = ShapeWriter(folder, [R], 0.25, 0)
    for i in range(count):
        size = rng.uniform(0.4, 0.7, 3)
        ball = np.linalg.norm(grid, axis=-1) - size[0]
        box = (np.abs(grid) - size).max(-1)
        for category, sdf in (("ball", ball), ("box", box)):
            name = f"{category}/{category}_{10 * i:05d}"
            writer.add(StoredShape(name, category, 0.5 + 0.1 * i, {R: encode_sdf(sdf, 0.25)}))
    writer.flush()
    return folder


def toy(**changes) -> Recipe:
    network = {
        "resolution": R,
        "patch": 4,
        "overlap": 1,
        "width": 64,
        "depth": 1,
        "hidden": 64,
        "bottleneck": 16,
    }
    base = get_recipe("objects-sdf-tiny")
    stage = {"steps": 20, "warmup": 4, "instant": 0.35}
    stage |= {name: changes.pop(name) for name in (*stage, "learning_rate") if name in changes}
    stages = (dataclasses.replace(base.stages[0], **stage),)
    changes = {"network_arguments": network, "batch": 4, "stages": stages} | changes
    return dataclasses.replace(base, **changes)


def make_trainer(folder: Path, seed: int = 0, **changes) -> Trainer:
    source = GridSource.open(folder, CPU, resolution=R)
    return Trainer(toy(**changes), source, seed, start_processes(CPU))


def read_log(run: Path) -> list[list[str]]:
    """Rows without the seconds, which differ from run to run."""
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return [row[:3] for row in csv.reader(file)]


def assert_same_run(a: Path, b: Path) -> None:
    """Bit for bit: weights, averages, optimiser, log."""
    assert read_log(a) == read_log(b)
    states = [load_file(run / "state.safetensors") for run in (a, b)]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors, and sums in the same order as in the processes started here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run of 20 steps without a break."""
    run = tmp_path_factory.mktemp("whole") / "run"
    line = run_training(make_trainer(folder), run, QUIET)
    assert "step 20 of 20" in line and "--resume" not in line
    return run


class StopAfter(Trainer):
    """Raises in the middle of a step, as a crash would; what was saved stays."""

    limit = 10

    def train_step(self):
        if self.step == self.limit:
            raise KeyboardInterrupt
        return super().train_step()


@pytest.mark.parametrize("limit", [10, 13])
def test_a_resumed_run_repeats_the_whole_one_bit_for_bit(folder, whole, tmp_path, limit):
    """Cut at step 10, or at step 13 after a save at step 10."""
    source = GridSource.open(folder, CPU, resolution=R)
    trainer = StopAfter(toy(), source, 0, start_processes(CPU))
    trainer.limit = limit
    with pytest.raises(KeyboardInterrupt):
        run_training(trainer, tmp_path, dataclasses.replace(QUIET, save_minutes=0.0))
    with (tmp_path / "log.csv").open("a", encoding="utf-8") as file:
        file.write("15,9.9,0.1,3.0\r\n")  # logged, but never saved
    fresh = make_trainer(folder)
    fresh.resume(tmp_path)
    assert fresh.step == 10 and fresh.seconds > 0
    run_training(fresh, tmp_path, QUIET)
    assert_same_run(whole, tmp_path)


def test_the_log_is_of_this_run_and_the_error_falls(whole):
    rows = read_log(whole)
    assert rows[0] == ["step", "error", "learning_rate"]
    assert [int(row[0]) for row in rows[1:]] == [5, 10, 15, 20]
    rates = [float(row[2]) for row in rows[1:]]
    assert rates == [6e-4, 6e-4, pytest.approx(3.75e-4), 0.0]


def test_another_seed_gives_another_run(folder, whole, tmp_path):
    run_training(make_trainer(folder, seed=1), tmp_path, QUIET)
    assert read_log(tmp_path)[1:] != read_log(whole)[1:]


def test_later_times_learn_from_a_frozen_copy_of_the_average(folder, whole):
    """Made when r > t starts, at step 7 of 20, and saved with the run."""
    trainer = make_trainer(folder)
    for _ in range(7):
        trainer.train_step()
    assert trainer.teacher is None
    average = {n: v.clone() for n, v in trainer.ema.state_dict().items()}
    for _ in range(3):
        trainer.train_step()
    taught = trainer.frozen.state_dict()
    assert all(torch.equal(v, average[n]) for n, v in taught.items())
    assert not any(p.requires_grad for p in trainer.frozen.parameters())
    assert any(not torch.equal(v, average[n]) for n, v in trainer.ema.state_dict().items())
    saved = load_file(whole / "state.safetensors")
    assert all(torch.equal(v, saved[f"teacher.{n}"]) for n, v in taught.items())
    alone = make_trainer(folder, targets=Residual(), instant=0.0)
    alone.train_step()
    assert alone.teacher is None


def test_training_lowers_the_error(folder, tmp_path):
    trainer = make_trainer(folder, steps=150, batch=8, learning_rate=2e-3, instant=1.0)
    run_training(trainer, tmp_path, dataclasses.replace(QUIET, log_every=10))
    errors = [float(row[1]) for row in read_log(tmp_path)[1:]]
    assert np.mean(errors[-3:]) < 0.6 * errors[0]


def test_minutes_stop_a_run_that_can_go_on(folder, whole, tmp_path):
    line = run_training(make_trainer(folder), tmp_path, dataclasses.replace(QUIET, minutes=0.0))
    assert "step 5 of 20" in line and "continue with --resume" in line
    fresh = make_trainer(folder)
    fresh.resume(tmp_path)
    run_training(fresh, tmp_path, QUIET)
    assert_same_run(whole, tmp_path)


def test_interrupting_saves_and_the_run_can_go_on(folder, whole, tmp_path):
    class Interrupted(Trainer):
        def train_step(self):
            if self.step == 7:
                signal.raise_signal(signal.SIGINT)
            return super().train_step()

    source = GridSource.open(folder, CPU, resolution=R)
    before = signal.getsignal(signal.SIGINT)
    line = run_training(Interrupted(toy(), source, 0, start_processes(CPU)), tmp_path, QUIET)
    assert "step 10 of 20" in line
    assert signal.getsignal(signal.SIGINT) is before
    fresh = make_trainer(folder)
    fresh.resume(tmp_path)
    run_training(fresh, tmp_path, QUIET)
    assert_same_run(whole, tmp_path)


# -- the checkpoint ------------------------------------------------------------------------


def test_the_checkpoint_generates(whole):
    generator = load_generator(whole, "cpu")
    assert generator.categories == ["ball", "box"]
    assert generator.metres == {"ball": pytest.approx(1.05), "box": pytest.approx(1.05)}
    noise = torch.randn(2, R, R, R, generator=torch.Generator().manual_seed(0))
    sdf = generator.sdf(noise, ["ball", "box"], steps=2)
    assert sdf.shape == (2, R, R, R)
    assert torch.isfinite(sdf).all() and sdf.std() > 1e-3
    assert not torch.equal(sdf, generator.sdf(noise, ["box", "ball"], steps=2))


def test_the_checkpoint_holds_the_averaged_weights_and_says_what_it_is(whole):
    config, weights, _ = load_checkpoint(whole / "checkpoint")
    state = load_file(whole / "state.safetensors")
    for name, value in weights.items():
        assert torch.allclose(value, state[f"ema.{name}"], rtol=1e-3, atol=1e-6)
    moved = [not torch.equal(state[f"ema.{n}"], state[f"net.{n}"]) for n in weights]
    assert any(moved)
    assert config["kind"] == "objects-sdf-tiny"
    assert config["transport"] == {"name": "x1-FM", "arguments": {"noise_std": 24.0}}
    assert config["network"]["arguments"]["categories"] == 2
    assert config["data"]["categories"] == ["ball", "box"] and config["data"]["resolution"] == R
    assert config["data"]["training_shapes"] == 24
    training = config["training"]
    assert (training["step"], training["steps"], training["seed"]) == (20, 20, 0)
    assert json.loads((whole / "recipe.json").read_text())["batch"] == 4


def test_a_new_run_may_start_from_a_checkpoint(folder, whole, tmp_path, capsys):
    weights = load_checkpoint(whole / "checkpoint")[1]
    trainer = make_trainer(folder, seed=5)
    trainer.warm_start(trainer.config(), weights)
    assert trainer.step == 0
    for net in (trainer.net, trainer.ema):
        assert all(torch.equal(v, weights[n]) for n, v in net.state_dict().items())
    wider = toy().network_arguments | {"context_width": 6}
    trainer = make_trainer(folder, network_arguments=wider)
    trainer.warm_start(trainer.config(), weights)
    assert "starting afresh: " in capsys.readouterr().err
    other = toy().network_arguments | {"width": 128}
    with pytest.raises(ValueError, match="--init is of another architecture") as caught:
        make_trainer(folder, network_arguments=other).warm_start(trainer.config(), weights)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="--init holds weights this network lacks: x"):
        trainer.warm_start(trainer.config(), {"x": torch.zeros(1)})


def test_pictures_are_drawn_on_the_way(folder, tmp_path):
    options = dataclasses.replace(QUIET, sample_minutes=0.0)
    run_training(make_trainer(folder, steps=5), tmp_path, options, draw_samples)
    picture = tmp_path / "samples" / "step-0000005.png"
    from PIL import Image

    with Image.open(picture) as image:
        assert image.size == (2 * 128, 3 * 128)  # a column a category; 1, 2 and 8 calls
    assert [p.name for p in (tmp_path / "samples").iterdir()] == [picture.name]


# -- what --resume refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "changes", "word"),
    [
        (1, {}, "was made with seed 0; this run has 1"),
        (0, {"steps": 40}, "was made with steps 20; this run has 40"),
        (0, {"name": "other"}, "was made with recipe objects-sdf-tiny; this run has other"),
    ],
)
def test_resume_refuses_another_run_in_one_line(folder, whole, seed, changes, word):
    with pytest.raises(ValueError, match=word) as caught:
        make_trainer(folder, seed=seed, **changes).resume(whole)
    assert "\n" not in str(caught.value) and "another --out" in str(caught.value)


def test_resume_refuses_nothing_and_rubbish(folder, whole, tmp_path):
    trainer = make_trainer(folder)
    with pytest.raises(ValueError, match="it does not exist; start without --resume"):
        trainer.resume(tmp_path)
    state = (whole / "state.safetensors").read_bytes()
    for rubbish in (b"", state[:100], state[:-100], b"x" * 1000):
        (tmp_path / "state.safetensors").write_bytes(rubbish)
        with pytest.raises(ValueError, match="is broken") as caught:
            trainer.resume(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.fixture
def train(folder, tmp_path, monkeypatch):
    """(options) -> result of `geoflow train` on the toy set, and the folder of the run."""
    source = GridSource.open(folder, CPU, resolution=R)
    monkeypatch.setattr("geoflow.recipes.get_recipe", lambda name: toy(steps=7919))
    monkeypatch.setattr(GridSource, "open", lambda folder, device, resolution=R: source)
    monkeypatch.setattr("geoflow.training.loop.MEASURED", 0.05)
    order = ["train", "toy", "--data", folder, "--out", tmp_path / "run", "--device", "cpu"]
    return lambda *options: CliRunner().invoke(app, [*map(str, (*order, *options))])


def test_resume_without_a_state_starts_afresh_and_says_so(train):
    first, second = (train("--resume", "--steps", 20) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.stderr + second.stderr
    assert "holds no state to resume; starting afresh" in first.stderr
    assert "afresh" not in second.stderr and "step 20 of 20" in second.stdout


def test_fit_plans_a_whole_run_that_resume_knows(train, tmp_path):
    """The stored length is not the recipe's 7,919; --resume takes it from the run."""
    first = train("--minutes", 0.01, "--fit", "--set", "batch=3", "--set", "instant=0.75")
    assert first.exit_code == 0 and "measuring how many steps 0.01 minutes hold" in first.stderr
    stored = json.loads((tmp_path / "run/recipe.json").read_text())
    steps = stored["steps"]
    assert steps != 7919 and (stored["batch"], stored["stages"][0]["instant"]) == (3, 0.75)
    assert stored["set"] == ["batch=3", "instant=0.75"]
    assert f"step {steps} of {steps}" in first.stdout
    again = train("--resume", "--minutes", 0.01, "--fit")
    assert again.exit_code == 0, again.stderr
    assert f"keeps its length, {steps} steps" in again.stderr
    assert f"step {steps} of {steps}" in again.stdout
    assert json.loads((tmp_path / "run/recipe.json").read_text()) == stored
    assert train("--resume", "--set", "batch=3", "--steps", steps).exit_code == 0
    for options in (("--steps", steps + 1), ("--set", "batch=4"), ("--set", "instant=0.5")):
        other = train("--resume", *options)
        assert other.exit_code == 2 and "another --out" in other.stderr


def test_a_run_of_another_transport_is_neither_resumed_nor_started_from(train, tmp_path):
    assert train("--steps", 2).exit_code == 0
    init = train("--steps", 2, "--init", tmp_path / "run", "--out", tmp_path / "b")
    assert init.exit_code == 0, init.stderr
    other = {"recipe.json": "u-FM", "checkpoint/config.json": {"name": "u-FM", "arguments": {}}}
    for path, transport in other.items():
        stored = json.loads((tmp_path / "run" / path).read_text()) | {"transport": transport}
        (tmp_path / "run" / path).write_text(json.dumps(stored))
    resumed = train("--resume")
    assert resumed.exit_code == 1 and "was started with transport u-FM" in resumed.stderr
    init = train("--steps", 2, "--init", tmp_path / "run/checkpoint", "--out", tmp_path / "c")
    assert init.exit_code == 1 and "--init must be of the transport x1-FM" in init.stderr


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("instant=1.5", "instant must lie in [0, 1]"),
        ("batsch=3", "did you mean 'batch'"),
        ("batch", "NAME=VALUE"),
        ("batch=2.5", "a whole number"),
        ("batch=true", "a whole number"),
        ("ema=high", "a finite number"),
        ("ema=1.5", "ema must lie in [0, 1)"),
        ("lead=-1", "lead must lie in [0, 1)"),
        ("label_drop=NaN", "a finite number"),
        ("decay=5", "decay must lie in [0, 1]"),
        ("warmup=0", "warmup must be at least 1"),
        ("weight_decay=-1", "weight_decay must be at least 0"),
        ("learning_rate=1e30", "a finite number within"),
        ("batch=1" + 30 * "0", "a whole number"),
        ("steps=1" + 400 * "0", "a whole number"),
        ("width=sixty", "width must be a whole number"),
        ("width=1.5", "width must be a whole number"),
        ("data_std=abc", "data_std must be a finite number"),
        ("mean_last=1", "true or false"),
        ("steps=0", "at least"),
        ("noise_std=-1", "noise_std"),
    ],
)
def test_settings_that_cannot_be_are_one_line(train, tmp_path, setting, word):
    result = train("--set", setting)
    assert result.exit_code in (1, 2) and word in result.stderr
    assert result.stderr.count("\n") == 1 and not (tmp_path / "run/state.safetensors").exists()


def test_paths_of_no_parts_are_refused():
    for name in ("intervals", "parts", "renew", "teachers"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
            PathPairs(**({"intervals": 4} | {name: 0}))


@pytest.mark.parametrize("mine", ["log.csv", "recipe.json", "checkpoint/config.json"])
def test_what_lies_in_the_way_of_a_run_stays(train, tmp_path, mine):
    (tmp_path / "run" / mine).parent.mkdir(parents=True)
    (tmp_path / "run" / mine).write_text("mine")
    result = train("--steps", 2)
    assert result.exit_code == 1 and "holds a run; continue it with --resume" in result.stderr
    assert (tmp_path / "run" / mine).read_text() == "mine"


def test_an_error_that_is_no_number_ends_the_run_and_keeps_the_state(train, tmp_path, monkeypatch):
    assert train("--steps", 60, "--minutes", 1e-9).exit_code == 0
    kept = (tmp_path / "run/state.safetensors").read_bytes()
    whole = Trainer.train_step
    monkeypatch.setattr(Trainer, "train_step", lambda self: whole(self) * float("nan"))
    result = train("--resume")
    assert result.exit_code == 1 and "the error must be finite; it is nan at step" in result.stderr
    assert (tmp_path / "run/state.safetensors").read_bytes() == kept


@pytest.mark.parametrize("broken", [5, {}, {"name": "u-FM", "arguments": 5}])
def test_a_checkpoint_without_its_parts_is_one_line(train, tmp_path, broken):
    assert train("--steps", 2).exit_code == 0
    config = tmp_path / "run/checkpoint/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"transport": broken}))
    init = train("--steps", 2, "--init", tmp_path / "run", "--out", tmp_path / "b")
    assert init.exit_code == 1 and "is damaged" in init.stderr and init.stderr.count("\n") == 1


def test_settings_reach_every_part_of_a_recipe():
    recipe = set_fields(
        toy(),
        ["batch=8", "instant=0.5", "learning_rate=1", "uniform=0.1", "adaptive=null", "leaps=0.2",
         "width=32", "noise_std=2", "resolution=8", "steps=40", "mean_last=true"],
    )  # fmt: skip
    assert (recipe.batch, recipe.mean_last, recipe.steps) == (8, True, 40)
    assert (recipe.stages[0].instant, recipe.stages[0].learning_rate) == (0.5, 1.0)
    assert (recipe.times.uniform, recipe.loss.adaptive, recipe.targets.leaps) == (0.1, None, 0.2)
    assert recipe.network_arguments["width"] == 32 and recipe.transport_arguments["noise_std"] == 2
    assert toy().batch == 4


def test_a_negative_seed_is_refused_before_the_run(train, folder, tmp_path):
    result = train("--seed", -1)
    assert result.exit_code == 2 and "seed" in result.stderr and not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="seed must be at least 0; got -1"):
        make_trainer(folder, seed=-1)


def test_a_recipe_that_continues_another_asks_for_it(folder, tmp_path):
    order = ["train", "objects-surface", "--data", folder, "--out", tmp_path / "run"]
    result = CliRunner().invoke(app, list(map(str, order)))
    assert result.exit_code == 2 and "objects-surface needs --init" in result.stderr


def test_a_run_goes_on_with_its_own_data(folder, whole, tmp_path):
    other = GridSource.open(write_shapes(tmp_path / "more", 13), CPU, resolution=R)
    with pytest.raises(ValueError, match="was started with another --data"):
        Trainer(toy(), other, 0, start_processes(CPU)).resume(whole)


def test_times_and_noise_of_a_step_are_drawn_independently(folder):
    """Two streams: with one seed for both, times would be the first numbers of the noise."""
    trainer = make_trainer(folder)
    batch = trainer._batch(False)
    trainer.draws.manual_seed(trainer.on_cpu.initial_seed())
    first = torch.randn(batch.eps.shape, generator=trainer.draws)
    assert not torch.equal(first, batch.eps)
    assert abs(torch.corrcoef(torch.stack((first.flatten(), batch.eps.flatten())))[0, 1]) < 0.05


@pytest.mark.parametrize("options", [("--fit",), ("--fit", "--minutes", 0), ("--steps", 5)])
def test_fit_needs_minutes_and_chooses_the_steps(train, tmp_path, options):
    result = train("--fit", *options, *(["--minutes", 1] if "--steps" in options else []))
    assert result.exit_code == 2 and "--minutes" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    [None, "{", "[]", '{"steps": 5}', '{"steps": "5", "set": []}', '{"steps": 5, "set": [3]}'],
)
def test_a_run_without_its_recipe_is_one_line(train, tmp_path, text):
    assert train("--steps", 2).exit_code == 0
    path = tmp_path / "run/recipe.json"
    path.unlink() if text is None else path.write_text(text)
    result = train("--resume")
    assert result.exit_code == 1 and "must hold the steps and settings" in result.stderr
    assert result.stderr.count("\n") == 1


BARE = """
import sys
for name in ("pydantic", "trimesh", "DracoPy", "igl", "pyvista", "typer_slim"):
    sys.modules[name] = None
import geoflow.cli.train, geoflow.recipes, geoflow.training.loop, geoflow.training.trainer
import geoflow.model.checkpoint, geoflow.model.device
geoflow.recipes.get_recipe("shape-distribution")
"""


def test_training_needs_no_more_than_a_bare_machine_has():
    """torch, numpy, scipy, accelerate, scikit-image, safetensors, typer and rich."""
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- processes -----------------------------------------------------------------------------


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_training as here
from geoflow.training.loop import run_training, RunOptions
folder, run, steps = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
trainer = here.make_trainer(folder, steps=steps)
if "--resume" in sys.argv:
    trainer.resume(run)
    print("resumed at", trainer.step)
run_training(trainer, run, RunOptions(log_every=5, save_minutes=0.0))
if trainer.accelerator.num_processes > 1:
    from safetensors.torch import save_file
    rank = trainer.accelerator.process_index
    save_file(trainer.net.state_dict(), run / f"rank{rank}.safetensors")
    trainer.accelerator.end_training()
"""


def environment() -> dict[str, str]:
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def command(script: Path, folder: Path, run: Path, steps: int, *more: str) -> list[str]:
    return [str(script), str(Path(__file__).parent), str(folder), str(run), str(steps), *more]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_9_and_resume(folder, tmp_path):
    """Killed at any moment (also while saving); the end is the same as without the kill."""
    script, run, steps = tmp_path / "script.py", tmp_path / "run", 120
    script.write_text(SCRIPT)
    args = [sys.executable, *command(script, folder, run, steps)]
    process = subprocess.Popen(args, env=environment(), stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 60
        while not (run / "state.safetensors").exists() or len(read_log(run)) < 4:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run(
        [*args, "--resume"], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    at = int(done.stdout.split()[-1])
    assert 0 < at < steps and at % 5 == 0
    run_training(make_trainer(folder, steps=steps), tmp_path / "whole", QUIET)
    assert_same_run(tmp_path / "whole", run)


@pytest.mark.slow
def test_two_processes_average_their_gradients(folder, tmp_path):
    """Two processes = one process that averages both processes' batches."""
    script, run, steps = tmp_path / "script.py", tmp_path / "run", 5
    script.write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `accelerate launch --cpu` starts one process only; on GPUs it uses this same launcher
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    args = [*launch, f"--master_port={port}", *command(script, folder, run, steps)]
    done = subprocess.run(args, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [load_file(run / f"rank{k}.safetensors") for k in (0, 1)]
    assert all(torch.equal(value, ranks[1][name]) for name, value in ranks[0].items())
    config, _, _ = load_checkpoint(run / "checkpoint")
    assert config["training"]["processes"] == 2

    def flat(weights):
        return torch.cat([weights[name].flatten() for name in sorted(weights)])

    start = flat(make_trainer(folder, steps=steps).net.state_dict())
    both, alone = make_trainer(folder, steps=steps), make_trainer(folder, steps=steps)
    _play_two_processes(both)
    for _ in range(steps):
        both.train_step()
        alone.train_step()
    moved = (flat(ranks[0]) - start).norm()
    assert moved > 0.1
    # Adam turns the rounding of gradients near zero into small but visible steps
    assert (flat(both.net.state_dict()) - flat(ranks[0])).norm() < 0.02 * moved
    assert (flat(alone.net.state_dict()) - flat(ranks[0])).norm() > 0.2 * moved


def _play_two_processes(trainer: Trainer) -> None:
    """Makes one process take the batches of both and average their gradients, step by step."""

    class Both:
        num_processes, is_main_process, device = 2, True, CPU
        process_index = 0
        autocast = staticmethod(trainer.accelerator.autocast)

    both, step = Both(), trainer.train_step
    trainer.accelerator = both
    params = list(trainer.net.parameters())

    def average_gradients():
        mine = [p.grad.clone() for p in params]
        both.process_index, trainer._average_gradients = 1, lambda: stop(mine)
        for p in params:
            p.grad = None
        with contextlib.suppress(_Done):
            step()
        both.process_index, trainer._average_gradients = 0, average_gradients

    def stop(mine):
        for p, first in zip(params, mine, strict=True):
            p.grad.add_(first).div_(2)
        raise _Done

    trainer._average_gradients = average_gradients


class _Done(Exception):  # noqa: N818
    """The second batch's gradient is there."""


def test_tiny_recipe_is_the_large_one_in_small():
    large, small = (RECIPES[n]() for n in ("objects-sdf", "objects-sdf-tiny"))
    for field in dataclasses.fields(Recipe):
        shared = "transport" in field.name or field.name in {"times", "loss", "targets"}
        assert not shared or getattr(small, field.name) == getattr(large, field.name)
    with pytest.raises(ValueError, match="did you mean 'objects-sdf'"):
        get_recipe("object-sdf")


def test_pseudo_huber_does_not_pay_for_a_jump_with_blur():
    norm = PseudoHuber(0.01)
    error = torch.tensor([[1e-4, 1e-4, 1e-4], [3.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    sizes = norm(error)
    assert sizes[0].item() == pytest.approx(1e-8 / 0.02, rel=1e-2)  # a square within c
    assert sizes[1].item() == pytest.approx(5 / 3**0.5 - 0.01, rel=1e-4)  # a distance beyond it
    assert sizes[2].item() == 0
    # Nine targets at 0 and one at 1: the mean square would settle at 0.1.
    targets, guess = torch.zeros(10, 3), torch.full((3,), 0.5, requires_grad=True)
    targets[9] = 1
    optimizer = torch.optim.Adam([guess], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        norm(guess - targets).mean().backward()
        optimizer.step()
    assert guess.detach().abs().max().item() < 0.01


def test_the_point_recipes_are_one_in_three_forms():
    recipes = [get_recipe(f"objects-points{end}") for end in ("", "-fm", "-edm")]
    assert [r.transport for r in recipes] == ["u-FM", "x1-FM", "EDM"]
    assert recipes[1].transport_arguments == {"noise_std": 4.0, "preconditioning": "edm"}
    for field in dataclasses.fields(Recipe):
        own = ("name", "summary", "times", "stages", "cost", "score")
        differs = field.name in own or "transport" in field.name
        assert (len({repr(getattr(r, field.name)) for r in recipes}) == 1) != differs
    for r in recipes:
        assert (r.targets.intervals, r.loss.adaptive, r.loss.raw_units) == (25, 0.1, True)
        times = r.times
        shares = times.cumulative, times.to_data, times.from_noise, times.uniform
        assert shares == (0.65, 0.8, 0.7, 0.2)
    with pytest.raises(ValueError, match="form must be one of u-FM"):
        objects_points("edn")


def test_the_rate_falls_twice_where_it_restarts():
    common = {"warmup": 2, "decay": 0.5, "learning_rate": 1.0}
    two = (Stage(10, instant=1.0, **common), Stage(30, instant=0.0, **common))

    def rates(*stages):
        recipe = dataclasses.replace(get_recipe("objects-points"), stages=stages)
        return [
            Trainer.learning_rate(types.SimpleNamespace(recipe=recipe, step=step))
            for step in range(41)
        ]

    twice, once = rates(*two), rates(Stage(40, instant=0.25, **common))
    recipe = dataclasses.replace(get_recipe("objects-points"), stages=two)
    assert [recipe.place(k).cumulative for k in (0, 9, 10, 39)] == [False, False, True, True]
    assert [s.steps for s in recipe.scaled(8).stages] == [2, 6] and recipe.scaled(8).steps == 8
    assert twice[:10] == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert twice[10:13] == pytest.approx([0.5, 1, 1]) and twice[40] == 0
    assert twice[25:40] == pytest.approx([(40 - k) / 15 for k in range(25, 40)])
    assert min(once[1:21]) == 1 and once[30] == pytest.approx(0.5) and once[40] == 0


def test_a_point_recipe_trains_resumes_and_draws(tmp_path):
    """u-FM, x1-FM and EDM, through the same loop."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 64, 3))
    points /= 2 * np.linalg.norm(points, axis=-1, keepdims=True)
    points[2:] *= 1.5
    labels = np.array([0, 0, 1, 1])
    small = {"width": 64, "latents": 8, "rounds": 1, "blocks": 1, "hidden": 32, "point_hidden": 32}
    for name in ("objects-points", "objects-points-fm", "objects-points-edm"):
        recipe = dataclasses.replace(
            get_recipe(name), network_arguments=small, batch=4, stages=(Stage(14, 0.25, warmup=2),),
            targets=PathPairs(intervals=4, parts=9, renew=1, teachers=2),
        )  # fmt: skip
        runs = []
        for cut in (0, 5):  # r > t begins at 4, the pool grows at 5, another begins at 9
            source = PointSource(points, labels, ["small", "large"], np.ones(4), CPU, 32)
            trainer = Trainer(recipe, source, 0, start_processes(CPU))
            run = tmp_path / f"{name}{cut}"
            if cut:
                run_training(trainer, run, dataclasses.replace(QUIET, minutes=0.0))
                trainer = Trainer(recipe, source, 0, start_processes(CPU))
                trainer.resume(run)
                assert trainer.step == cut
            run_training(trainer, run, QUIET)
            runs.append(run)
        assert_same_run(*runs)
        assert draw_samples(trainer).startswith(b"\x89PNG")
