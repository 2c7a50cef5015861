"""config.json: what is read, and that every odd value is one line that names it."""

import copy

import pytest
import torch

from geoflow.clouds.model import PointGenerator
from geoflow.model.network import network_with
from geoflow.model.sampling import SamplingSettings
from geoflow.networks import build_network
from geoflow.shapes.model import ObjectGenerator
from geoflow.surface.data import Frame
from geoflow.surface.model import read_frame

ARGUMENTS = {"resolution": 16, "patch": 8, "overlap": 0, "width": 64, "depth": 1, "hidden": 32,
             "bottleneck": 8, "categories": 2}  # fmt: skip
CONFIG = {
    "network": {"name": "GridTransformer", "arguments": ARGUMENTS},
    "transport": {"name": "x1-FM", "arguments": {"noise_std": 4.0}},
    "data": {"categories": ["chair", "wine glass"], "metres": [1, 0.5], "resolution": 16,
             "truncation": 0.1, "mean": 0.5, "std": 0.3},
}  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return build_network("GridTransformer", **ARGUMENTS).state_dict()


def read(config, weights):
    return ObjectGenerator(config, weights, "", torch.device("cpu"))


def test_good_settings(weights):
    model = read(CONFIG, weights)
    assert model.metres == {"chair": 1.0, "wine glass": 0.5}
    assert model.categories == CONFIG["data"]["categories"]
    data = model.data
    assert (data.resolution, data.truncation, data.mean, data.std) == (16, 0.1, 0.5, 0.3)
    assert model.transport.name == "data-linear" and model.transport.noise_std == 4.0
    assert all(torch.equal(v, weights[k]) for k, v in model.net.state_dict().items())
    assert model.sampling == SamplingSettings()
    said = {"lead": 0.4, "cumulative_calls": 1, "mean_last": True}
    assert read(CONFIG | {"sampling": said}, weights).sampling == SamplingSettings(**said)


ODD = {
    "network": [None, [], "GridTransformer", {}],
    "network.name": [None, 3, ["GridTransformer"], "X", {}],
    "network.arguments": [None, [], "a", 3],
    "network.arguments.patch": [0, -8, 3, 8.0, "8", None, [8], True, 10**9, 10**400, float("nan")],
    "network.arguments.overlap": [-1, 5, "0", None],
    "network.arguments.resolution": [0, -16, 64, 10**9, "16", None],
    "network.arguments.width": [0, -64, 32, 10**12, "64", None, 64.5],
    "network.arguments.depth": [-1, 2, 10**9, 1.0, "1", None],
    "network.arguments.hidden": [0, 33, "32", None],
    "network.arguments.categories": [-1, 3, 10**9, "2", None],
    "network.arguments.context_width": [8, "8"],
    "network.arguments.context_every": [0, "2"],
    "network.arguments.colour": [1],
    "transport": [None, [], "x1-FM", {}],
    "transport.name": [None, 3, ["x1-FM"], "x2-FM", {}],
    "transport.arguments": [None, [], "a", 4.0],
    "transport.arguments.noise_std": [0, -1, "4", None, [4], float("nan"), float("inf"), 10**400],
    "transport.arguments.preconditioning": ["none", 3, [], None],
    "transport.arguments.start": ["0", float("nan"), [0], -0.5, 1.0],
    "transport.arguments.prediction": ["data", 3],
    "transport.arguments.colour": [1],
    "data": [None, [], 3, {}],
    "data.categories": [None, [], "ab", ["a"], ["a", "a"], [1, 2], ["a", None], {"a": 1},
                        ["a", "../b"], ["a", "b/c"], ["a", ""], ["a", "b\n"]],
    "data.metres": [None, [], [1], [1, 2, 3], [1, 0], [1, -1], ["1", "2"], [1, float("nan")],
                    [[1], [2]], 1, {"a": 1, "b": 2}, [1, 10**400]],
    "data.resolution": [None, 0, -16, 1, 15, 16.0, "16", 10**9, [16], True],
    "data.truncation": [None, 0, -0.1, "0.1", float("nan"), float("inf"), [0.1]],
    "data.mean": [None, "0", float("nan"), float("inf"), []],
    "data.std": [None, 0, -1, "1", float("nan")],
    "sampling": [None, [], 3],
    "sampling.lead": [None, -0.1, 1, "0", float("nan")],
    "sampling.mean_last": [None, 0, 1, "true", []],
    "sampling.cumulative_calls": [-1, 1.5, "1", [], True],
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in ODD.items() for value in values]
)
def test_an_odd_value_is_one_line_that_names_it(weights, path, value):
    config = copy.deepcopy(CONFIG) | {"sampling": {}}
    *parents, key = path.split(".")
    table = config
    for parent in parents:
        table = table[parent]
    table[key] = value
    with pytest.raises(ValueError) as caught:
        read(config, weights)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 300
    # Some numbers describe another network that can be built: the weights tell.
    assert path.split(".")[0] in line or key in line or "do not fit" in line


@pytest.mark.parametrize("path", ["network", "network.name", "transport", "transport.name", "data",
                                  "data.categories", "data.metres", "data.std"])  # fmt: skip
def test_what_is_missing_is_named(weights, path):
    config = copy.deepcopy(CONFIG)
    *parents, key = path.split(".")
    (config[parents[0]] if parents else config).pop(key)
    with pytest.raises(ValueError, match=f"config.json lacks {path}.*copy the checkpoint again"):
        read(config, weights)


def test_weights_of_another_network(weights):
    other = {name: value for name, value in weights.items() if name != "head.bias"}
    with pytest.raises(ValueError, match=r"the weights do not fit.*head\.bias"):
        network_with(CONFIG, other)


def test_frames_are_checked():
    data = {"centre": [0, 1.5, -2], "scale": 0.5}
    assert read_frame({"data": data}) == Frame((0.0, 1.5, -2.0), 0.5)
    colours = {"colour_mean": [0.1, 0.2, 0.3], "colour_std": 0.4}
    assert read_frame({"data": data | colours}).channels == 6
    for path, value in (("centre", [0, 1]), ("centre", "abc"), ("centre", [0, 1, float("nan")]),
                        ("scale", 0), ("scale", None), ("colour_mean", [1, 2, "x"]),
                        ("colour_std", -1)):  # fmt: skip
        with pytest.raises(ValueError, match=f"data.{path}"):
            read_frame({"data": data | colours | {path: value}})
    with pytest.raises(ValueError, match="lacks data"):
        read_frame({})


@pytest.fixture(scope="module")
def points():
    """config.json and weights of a small generator of clouds."""
    arguments = {"categories": 2, "width": 64, "latents": 8, "rounds": 1, "blocks": 1,
                 "hidden": 32, "point_hidden": 32}  # fmt: skip
    data = {"categories": ["chair", "lamp"], "metres": [1, 0.5], "points": 2048, "std": 0.4}
    network = {"name": "PointTransformer", "arguments": arguments}
    config = {"data": data, "network": network, "transport": {"name": "u-FM"}}
    return config, build_network("PointTransformer", **arguments).state_dict()


def read_points(points, **parts):
    config, weights = points
    return PointGenerator(config | parts, weights, "", torch.device("cpu"))


def test_point_settings_are_checked(points):
    data = points[0]["data"]
    made = read_points(points, sampling={"cumulative_calls": 4})
    assert (made.data.points, made.data.std, made.sampling.cumulative_calls) == (2048, 0.4, 4)
    assert made.metres == {"chair": 1.0, "lamp": 0.5}
    for path, values in ODD.items():
        part, _, key = path.partition(".")
        if path not in ("data.categories", "data.metres", "data.std") and part != "sampling":
            continue
        for value in values:
            odd = copy.deepcopy(points[0]).get(part, {}) | {key: value} if key else value
            with pytest.raises(ValueError, match=rf"config\.json: {part}\b"):
                read_points(points, **{part: odd})
    for value in (None, 0, 1.5, "64", True, 10**9):
        with pytest.raises(ValueError, match=r"data\.points must be"):
            read_points(points, data=data | {"points": value})
    network = copy.deepcopy(points[0]["network"])
    network["arguments"]["categories"] = 3
    with pytest.raises(ValueError, match=r"network\.arguments\.categories must be 2"):
        read_points(points, network=network)
    with pytest.raises(ValueError, match=r"lacks data\.std"):
        read_points(points, data={k: v for k, v in data.items() if k != "std"})


def test_a_checkpoint_of_another_kind_is_refused(points, weights):
    with pytest.raises(ValueError, match="must be GridTransformer for ObjectGenerator; got"):
        ObjectGenerator(*points, "", torch.device("cpu"))
