"""Clouds from a checkpoint: what they depend on, where they lie, what is refused."""

import numpy as np
import pytest
import torch
import trimesh

from geoflow.clouds.model import PointGenerator
from geoflow.flow.condition import Condition
from geoflow.flow.noise import draw_noise
from geoflow.flow.sampling import sample, time_grid
from geoflow.model.checkpoint import load_checkpoint, save_checkpoint
from geoflow.pretrained import load, load_generator
from geoflow.shapes.model import ObjectGenerator

METRES = {"chair": 1.0, "lamp": 0.5, "vase": 0.25}


@pytest.fixture(scope="module")
def generator(tiny_points):
    return load_generator(tiny_points, "cpu")


def noise_of(indices, seed=0, points=40):
    return torch.stack([draw_noise(seed, i, (points, 3)) for i in indices])


def test_the_checkpoint_says_which_generator(tiny_points, tmp_path):
    assert isinstance(load_generator(tiny_points, "cpu"), PointGenerator)
    assert isinstance(load(tiny_points, "cpu", (PointGenerator,)), PointGenerator)
    with pytest.raises(ValueError, match=r"one that makes meshes; .* makes clouds; give another"):
        load(tiny_points, "cpu", (ObjectGenerator,))
    config, weights, digest = load_checkpoint(tiny_points)
    with pytest.raises(ValueError, match=r"must be GridTransformer"):
        ObjectGenerator(config, weights, digest, torch.device("cpu"))
    save_checkpoint(tmp_path, {"network": {}}, weights)
    with pytest.raises(ValueError, match=r"lacks network.name"):
        load_generator(tmp_path, "cpu")


@pytest.mark.parametrize("cumulative", [True, False])
def test_clouds_are_the_sampler_in_cube_units(generator, cumulative):
    noise = noise_of(range(3))
    made = generator.clouds(noise, ["vase", "chair", "lamp"], steps=3, cumulative=cumulative)
    times = time_grid(generator.transport, 3)
    labels = Condition(torch.tensor([2, 0, 1]))
    raw = sample(generator.transport, generator.net, noise, times, labels, cumulative=cumulative)
    assert made.shape == (3, 40, 3) and made.dtype == torch.float32
    torch.testing.assert_close(made, raw * 0.4)


def test_clouds_depend_on_label_noise_guidance_and_steps_and_move_with_their_points(generator):
    noise = noise_of([0])
    first = generator.clouds(noise, ["chair"])
    assert generator.clouds(noise[:, ::7], ["chair"]).shape == (1, 6, 3)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    moved = generator.clouds(noise[:, shuffled], ["chair"])
    torch.testing.assert_close(moved, first[:, shuffled], rtol=1e-4, atol=1e-5)
    others = [
        generator.clouds(noise, ["lamp"]),
        generator.clouds(noise_of([1]), ["chair"]),
        generator.clouds(noise, ["chair"], guidance=2.0),
        generator.clouds(noise, ["chair"], steps=1),
        generator.clouds(noise, ["chair"], cumulative=False),
    ]
    for other in others:
        assert (other - first).abs().max() > 1e-4


def test_the_config_says_how_to_sample(tiny_points, generator):
    config, weights, digest = load_checkpoint(tiny_points)
    config = config | {"sampling": {"cumulative_calls": 1}}
    known = PointGenerator(config, weights, digest, torch.device("cpu"))
    noise = noise_of([0])
    for steps, cumulative in ((1, True), (2, False)):
        want = generator.clouds(noise, ["chair"], steps=steps, cumulative=cumulative)
        assert torch.equal(known.clouds(noise, ["chair"], steps=steps), want)


def test_a_cloud_depends_on_its_seed_and_index_alone(generator):
    made = list(generator.stream(range(5), points=40, seed=3))
    assert [m.index for m in made] == list(range(5))
    assert [m.category for m in made] == ["chair", "lamp", "vase", "chair", "lamp"]
    alone = list(generator.stream([4, 1], points=40, seed=3))
    assert [m.points.tobytes() for m in alone] == [made[i].points.tobytes() for i in (4, 1)]
    lamp = next(iter(generator.stream([1], points=40, seed=3, category="lamp")))
    assert lamp.points.tobytes() == made[1].points.tobytes()
    other = next(iter(generator.stream([4], points=40, seed=4)))
    assert other.points.tobytes() != made[4].points.tobytes()
    assert made[0].seconds > 0


def test_generated_clouds_stand_on_the_ground_in_metres(generator):
    for cloud in generator.generate(3, points=50):
        assert isinstance(cloud, trimesh.PointCloud) and cloud.vertices.shape == (50, 3)
        low, high = cloud.bounds
        assert (high - low).max() == pytest.approx(METRES[cloud.metadata["category"]], rel=1e-5)
        assert low[1] == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose((low + high)[[0, 2]], 0, atol=1e-5)
    raw = generator.clouds(noise_of([0], points=50), ["chair"])[0].numpy()
    cloud = generator.generate(1, points=50)[0]
    scale = np.ptp(cloud.vertices, axis=0) / np.ptp(raw, axis=0)
    np.testing.assert_allclose(scale, scale[0], rtol=1e-4)  # the same axes, one scale
    assert cloud.metadata == {"category": "chair", "index": 0}


def test_the_three_forms_and_the_usual_size(tmp_path, write_tiny_points):
    for form in ("x1-FM", "u-FM"):
        made = load_generator(write_tiny_points(tmp_path / form, form), "cpu").generate(1, steps=1)
        assert made[0].vertices.shape == (2048, 3) and np.isfinite(made[0].vertices).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 0), ("steps", 0), ("seed", -1), ("guidance", float("nan")), ("points", 15),
     ("category", "lmap")],
)  # fmt: skip
def test_wrong_arguments_are_named(generator, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*; got {value!r}"):
        generator.generate(**{name: value})


def test_a_cloud_that_is_not_finite_is_refused(tiny_points):
    config, weights, digest = load_checkpoint(tiny_points)
    weights["head.bias"][1] = float("inf")
    broken = PointGenerator(config, weights, digest, torch.device("cpu"))
    with pytest.raises(ValueError, match="cloud 0 must be finite"):
        broken.generate(1, points=20)
