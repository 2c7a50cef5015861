"""From grids to latents, a flow on them, and back to meshes."""

import json

import numpy as np
import pytest
import torch

from geoflow.data.bricks import encode_sdf
from geoflow.data.shards import ShapeWriter, StoredShape
from geoflow.model.checkpoint import load_checkpoint, save_checkpoint
from geoflow.pretrained import load_generator
from geoflow.recipes import get_recipe
from geoflow.shapes.autoencoder import SymmetricGrids
from geoflow.shapes.latents import LatentSource, load_autoencoder
from geoflow.shapes.model import LatentGenerator
from geoflow.training.loop import RunOptions, draw_samples, run_training
from geoflow.training.recipe import set_fields
from geoflow.training.trainer import Trainer, start_processes

R, CPU = 32, torch.device("cpu")
SMALL = ("width=64", "hidden=64", "batch=4", "learning_rate=0.003", "warmup=5")
SIZES = ("encoder_depth=1", "decoder_depth=1", "stem=16", "brick_width=32", "brick_hidden=32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten balls and ten boards, off the middle to one side."""
    x = (np.arange(R) + 0.5) * 2 / R - 1
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), -1)
    folder, rng = tmp_path_factory.mktemp("latents") / "data", np.random.default_rng(0)
    writer = ShapeWriter(folder, [R], 0.2, 50)
    for i in range(10):
        size = rng.uniform(0.4, 0.6)
        ball = np.linalg.norm(grid - (0.2, 0, 0), axis=-1) - size
        board = (np.abs(grid - (0.1, 0, 0)) - (size, 0.12, 0.3)).max(-1)
        for category, sdf in (("ball", ball), ("board", board)):
            name, blob = f"{category}/{category}_{10 * i}", encode_sdf(sdf, 0.2)
            near = grid[np.abs(sdf) < 0.05]
            points = near[rng.choice(len(near), 50)]
            writer.add(StoredShape(name, category, 1.0, {R: blob}, points, 0 * points))
    writer.flush()
    return folder


def train(recipe, folder, run, steps, *settings, **source):
    recipe = set_fields(get_recipe(recipe), [*SMALL, *settings, f"steps={steps}"])
    opened = recipe.source.open(folder, CPU, **(recipe.source_arguments | source))
    trainer = Trainer(recipe, opened, 0, start_processes(CPU))
    run_training(trainer, run, RunOptions(log_every=20))
    return trainer


@pytest.fixture(scope="module")
def autoencoder(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("autoencoder")
    trainer = train(
        "shape-autoencoder", folder, run, 40, *SIZES, "brick_depth=1", "bricks=6", resolution=R
    )
    return run, trainer


@pytest.fixture(scope="module")
def flow(folder, autoencoder, tmp_path_factory):
    run = tmp_path_factory.mktemp("flow")
    settings = ("depth=2", "clouds=true")
    return run, train("objects-latents", folder, run, 20, *settings, autoencoder=autoencoder[0])


def test_the_autoencoder_learns_and_draws(folder, autoencoder):
    run, trainer = autoencoder
    rows = [line.split(",") for line in (run / "log.csv").read_text().split()[1:]]
    assert float(rows[-1][1]) < 0.75 * float(rows[0][1]), rows
    assert draw_samples(trainer).startswith(b"\x89PNG")


def test_shapes_are_mirrored_and_turned_about_the_vertical(folder):
    source = SymmetricGrids.open(folder, CPU, resolution=R)
    grids, none = source.batch(200, torch.Generator().manual_seed(0))
    assert none is None and grids.min() == -1 and grids.max() == 1
    inside = (grids < 0).float()
    x = torch.arange(R) - (R - 1) / 2
    along = [(inside.sum([d for d in (1, 2, 3) if d != axis]) * x).sum(1) for axis in (1, 2, 3)]
    for axis in (0, 2):
        assert (along[axis] > 1).any() and (along[axis] < -1).any()
    assert along[1].abs().max() < 1, "never upside down, nor on a side"


def test_a_latent_and_its_mirror_image(folder, autoencoder):
    source = LatentSource.open(folder, CPU, autoencoder=str(autoencoder[0]))
    assert source.values.shape == (20, 2, 8, 32)
    net = load_autoencoder(autoencoder[0], CPU)
    grids = SymmetricGrids.open(folder, CPU, resolution=R).values.float() / 127
    for twin, wanted in ((0, grids), (1, grids.flip(1))):
        assert torch.allclose(source.values[:, twin].float(), net.encoder(wanted), atol=2e-3)
    batch, labels = source.batch(2000, torch.Generator().manual_seed(0))
    assert batch.mean((0, 1)).abs().max() < 0.1 and (batch.std((0, 1)) - 1).abs().max() < 0.1
    assert labels.bincount().tolist() == pytest.approx([1000, 1000], abs=100)


def test_clouds_are_mirrored_with_their_shapes(folder, autoencoder):
    source = LatentSource.open(folder, CPU, autoencoder=str(autoencoder[0]), clouds=True)
    batch, told = source.batch(600, torch.Generator().manual_seed(0))
    latents = batch * source.std + source.mean
    real = torch.stack([source.values[:, 0].float(), source.values[:, 1].float()], 1)
    twin = torch.cdist(latents.flatten(1), real.flatten(2).flatten(0, 1)).argmin(1) % 2
    place, given = told.context[..., 0].mean(1), told.context_mask.any(1)
    assert (place[given & (twin == 0)].mean() > 0.08) and (
        place[given & (twin == 1)].mean() < -0.08
    )
    assert told.context.shape == (600, 2048, 3)
    assert {len(c.unique(dim=0)) for c in told.context[:200]} >= {1, 2, 3}


def test_a_cloud_changes_the_shape(flow):
    generator = load_generator(flow[0], "cpu")
    noise = torch.randn(1, *generator.noise_shape(), generator=torch.Generator().manual_seed(0))
    made = [generator.sdf(noise, [None], clouds=c, steps=1) for c in (None, torch.rand(1, 9, 3))]
    assert generator.reads_clouds and not torch.equal(*made)


def test_a_run_of_latents_is_a_generator_of_meshes(flow):
    run, trainer = flow
    assert draw_samples(trainer).startswith(b"\x89PNG")
    generator = load_generator(run, "cpu")
    assert isinstance(generator, LatentGenerator)
    noise = torch.randn(2, *generator.noise_shape(), generator=torch.Generator().manual_seed(0))
    fine = generator.sdf(noise, ["ball", "board"], steps=2)
    assert fine.shape == (2, R, R, R) and fine.abs().max() <= 0.5
    coarse = generator.sdf(noise, ["ball", "board"], steps=2, resolution=R // 2)
    assert coarse.shape == (2, R // 2, R // 2, R // 2)
    assert torch.equal(fine, generator.sdf(noise, ["ball", "board"], steps=2))
    assert not torch.equal(fine, generator.sdf(noise, ["board", "ball"], steps=2))


def test_standardised_latents_decode_as_the_autoencoder_does(flow, autoencoder):
    run, trainer = flow
    generator, source = load_generator(run, "cpu"), trainer.source
    latents = source.values[:2, 0].float()
    samples = (latents - source.mean) / source.std
    wanted = load_autoencoder(autoencoder[0], CPU).decoder.fine(latents) * 0.2
    assert torch.allclose(generator.decode(samples), wanted, atol=2e-3)


def test_a_run_goes_on_from_its_checkpoint(flow, folder, autoencoder):
    config, weights, _ = load_checkpoint(flow[0] / "checkpoint")
    fresh = Trainer(flow[1].recipe, flow[1].source, 1, start_processes(CPU))
    fresh.warm_start(config, weights)
    for name, value in fresh.net.state_dict().items():
        assert torch.equal(value, weights[name])


def test_what_is_missing_is_one_line(folder, flow, tmp_path):
    with pytest.raises(ValueError, match="must be a folder or autoencoder; 'nowhere'"):
        LatentSource.open(folder, CPU, autoencoder="nowhere")
    with pytest.raises(ValueError, match=r"resolution .* must be one of 32; got 128"):
        LatentSource.open(folder, CPU)  # the bundled one reads 128^3
    with pytest.raises(ValueError, match="must be a run of shape-autoencoder; it holds"):
        load_autoencoder(flow[0], CPU)
    config, weights, _ = load_checkpoint(flow[0] / "checkpoint")
    half = {n: w for n, w in weights.items() if n != "decoder.head.weight"}
    save_checkpoint(tmp_path / "half", config, half)
    with pytest.raises(ValueError, match=r"do not fit .*decoder|do not fit"):
        load_generator(tmp_path / "half", "cpu")
    config["data"]["mean"] = config["data"]["mean"][:3]
    save_checkpoint(tmp_path / "short", json.loads(json.dumps(config)), weights)
    with pytest.raises(ValueError, match=r"data\.mean must be a number for each"):
        load_generator(tmp_path / "short", "cpu")
    config, weights, _ = load_checkpoint(flow[0] / "checkpoint")
    config["data"]["decoder"]["resolution"] = 64
    save_checkpoint(tmp_path / "other", config, weights)
    with pytest.raises(ValueError, match=r"network\.arguments\.side"):
        load_generator(tmp_path / "other", "cpu")
    for wrong in (0, "16", None):
        config["data"]["decoder"]["patch"] = wrong
        save_checkpoint(tmp_path / "wrong", config, weights)
        with pytest.raises(ValueError, match=r"data\.decoder\.patch must be"):
            load_generator(tmp_path / "wrong", "cpu")
