"""What holds for every network: its size, and what older runs and checkpoints count on."""

import hashlib
import re

import pytest
import torch

from geoflow.networks import NETWORKS, build_network
from geoflow.recipes import RECIPES, get_recipe

LABELS = {"GridTransformer": 15, "PointTransformer": 15, "JointTransformer": 2}
PARAMETERS = {
    "objects-sdf": 13_885_824,
    "objects-sdf-tiny": 344_704,
    "objects-surface": 15_140_800,
    "objects-latents": 14_495_328,
    "shape-autoencoder": 23_402_016,
    "objects-points": 4_551_939,
    "characters-joints": 3_723_477,
    "shape-distribution": 5_211_398,
}
CONDITIONED = {"GridTransformer": {"cloud": True}, "PointTransformer": {}, "JointTransformer": {}}


def of_recipe(name: str) -> torch.nn.Module:
    recipe, labels = get_recipe(name), {}
    if recipe.network in LABELS:
        labels = {"categories": LABELS[recipe.network]}
    return build_network(recipe.network, **recipe.network_arguments, **labels)


@pytest.mark.parametrize("name", RECIPES)
def test_parameters_of_a_recipes_network(name):
    with torch.device("meta"):
        net = of_recipe(name)
    base = re.sub("-(fm|edm|u)$", "", name)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[base]


@pytest.mark.parametrize(
    ("name", "names", "last"),
    [
        ("objects-surface", "9028b9c171e81371", 0.0110965706),
        ("objects-points", "ae759fdfe3df9230", -0.0064572738),
        ("characters-joints", "21f18d0c17a32490", 0.0028434072),
        ("shape-distribution", "93fb650c323220fa", -0.0318577029),
    ],
)
def test_parameters_keep_their_order_and_their_first_values(name, names, last):
    """A run's state numbers its parameters; its seed decides every first value."""
    torch.manual_seed(0)
    parameters = dict(of_recipe(name).named_parameters())
    assert hashlib.sha256("\n".join(parameters).encode()).hexdigest()[:16] == names
    drawn_last = "label.weight" if "label.weight" in parameters else "blocks.5.up.weight"
    assert parameters[drawn_last][-1, -1].item() == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_without_memory_has_its_constants(name):
    with torch.device("meta"):
        planned = dict(build_network(name, **CONDITIONED.get(name, {})).named_buffers())
    built = dict(build_network(name, **CONDITIONED.get(name, {})).named_buffers())
    assert planned and planned.keys() == built.keys()
    assert all(torch.equal(value, built[key]) for key, value in planned.items())


@pytest.mark.parametrize("name", CONDITIONED)
def test_what_is_added_starts_as_nothing(name):
    net = build_network(name, categories=3, **CONDITIONED[name])
    assert not net.head.weight.any() and not net.modulation.weight.any()
    assert net.label.weight.shape[0] == 4
    assert net.label.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert net.label.weight.requires_grad
