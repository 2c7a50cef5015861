"""The grid transformer: shapes, overlapping patches, and what conditions may do."""

import pytest
import torch

from geoflow.flow.condition import Condition
from geoflow.networks import build_network
from geoflow.networks.grid import GridSizes, GridTransformer, from_overlapping_patches, to_patches
from geoflow.networks.layers import CrossAttention

SMALL = {"resolution": 12, "patch": 4, "overlap": 1, "width": 64, "depth": 3, "hidden": 32}


def make(perturbed: bool = True, **arguments) -> GridTransformer:
    """A small network; fresh ones give zero, so most tests perturb the weights."""
    torch.manual_seed(0)
    sizes = GridSizes(**SMALL | {"bottleneck": 16, "categories": 3} | arguments)
    net = GridTransformer(sizes).eval()
    if perturbed:
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.05 * torch.randn(p.shape))
    return net.requires_grad_(False)


@pytest.fixture
def inputs():
    g = torch.Generator().manual_seed(1)
    t = torch.tensor([0.1, 0.6])
    return torch.randn(2, 12, 12, 12, generator=g), t, t + 0.3


def context(seed: int = 2, length: int = 5) -> torch.Tensor:
    return torch.randn(2, length, 7, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_patches_are_cut_in_order(patch):
    grid = torch.arange(2 * 6**3).float().view(2, 6, 6, 6)
    tokens = to_patches(grid, patch)
    n = 6 // patch
    assert tokens.shape == (2, n**3, patch**3)
    for place in range(n**3):
        x, y, z = (patch * (place // n**2), patch * (place // n % n), patch * (place % n))
        cut = grid[:, x : x + patch, y : y + patch, z : z + patch].reshape(2, -1)
        assert torch.equal(tokens[:, place], cut)


@pytest.mark.parametrize(("n", "patch", "overlap"), [(3, 4, 1), (2, 4, 2), (4, 3, 1), (1, 4, 2)])
def test_overlapping_patches_are_added_up(n, patch, overlap):
    g = torch.Generator().manual_seed(0)
    window = patch + 2 * overlap
    tokens = torch.randn(2, n**3, window**3, generator=g, dtype=torch.float64)
    padded = torch.zeros(2, *[n * patch + 2 * overlap] * 3, dtype=torch.float64)
    for place in range(n**3):
        x, y, z = (patch * (place // n**2), patch * (place // n % n), patch * (place % n))
        block = tokens[:, place].view(2, window, window, window)
        padded[:, x : x + window, y : y + window, z : z + window] += block
    inner = slice(overlap, overlap + n * patch)
    got = from_overlapping_patches(tokens, patch, overlap)
    assert torch.allclose(got, padded[:, inner, inner, inner])


def test_without_overlap_joining_undoes_cutting():
    grid = torch.randn(2, 12, 12, 12)
    assert torch.equal(from_overlapping_patches(to_patches(grid, 4), 4, 0), grid)


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # autocast on a CPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_shape_and_dtype_follow_the_input(dtype, inputs):
    x, t, r = inputs
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        out = make()(x.to(dtype), t, r, Condition(torch.tensor([0, 1])))
    assert out.shape == x.shape and out.dtype == dtype
    assert torch.isfinite(out).all() and out.std() > 1e-3


def test_a_fresh_network_gives_zero(inputs):
    assert torch.equal(make(perturbed=False)(*inputs, Condition()), torch.zeros(2, 12, 12, 12))


def test_each_sample_is_alone_and_every_argument_counts(inputs):
    net, (x, t, r) = make(), inputs
    cond = Condition(torch.tensor([0, 2]))
    out = net(x, t, r, cond)
    for i in range(2):
        part = slice(i, i + 1)
        assert torch.allclose(net(x[part], t[part], r[part], cond[part]), out[part], atol=1e-5)
    for other in (
        net(x + 0.1, t, r, cond),
        net(x, t + 0.1, r, cond),
        net(x, t, r + 0.1, cond),
        net(x, t, r, Condition(torch.tensor([1, 0]))),
    ):
        assert (other - out).flatten(1).abs().amax(1).min() > 1e-4


def test_no_label_is_the_null_label(inputs):
    net = make()
    none = net(*inputs, None)
    assert torch.equal(none, net(*inputs, Condition()))
    assert torch.equal(none, net(*inputs, Condition(torch.tensor([3, 3]))))
    hidden = Condition(torch.tensor([0, 1])).without_labels(torch.tensor([True, False]), 3)
    out = net(*inputs, hidden)
    assert torch.allclose(out[0], none[0], atol=1e-6)
    assert (out[1] - none[1]).abs().max() > 1e-4


def test_context_changes_nothing_at_the_start(inputs):
    """A network with cross-attention extends one without it: zero-initialised output layer."""
    plain = make()
    net = make(context_width=7, perturbed=False)
    missing, unexpected = net.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and missing and all(".cross." in name for name in missing)
    labels = torch.tensor([0, 2])
    want = plain(*inputs, Condition(labels))
    assert want.std() > 1e-3
    assert torch.equal(net(*inputs, Condition(labels)), want)
    assert torch.equal(net(*inputs, Condition(labels, context())), want)


def test_context_counts_once_trained_and_may_be_absent(inputs):
    net = make(context_width=7)
    out = net(*inputs, Condition(None, context()))
    assert (net(*inputs, Condition(None, context(3))) - out).abs().max() > 1e-4
    without = net(*inputs, Condition())
    assert torch.isfinite(without).all() and (without - out).abs().max() > 1e-4
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(net(*inputs, Condition(None, context()[:, order])), out, atol=1e-5)


def test_masked_context_is_not_read(inputs):
    net, sequence = make(context_width=7), context()
    mask = torch.tensor([[True, True, False, False, False], [True] * 5])
    out = net(*inputs, Condition(None, sequence, mask))
    changed = sequence.clone()
    changed[0, 2:] = 9.0
    assert torch.allclose(net(*inputs, Condition(None, changed, mask)), out, atol=1e-6)
    changed[0, 0] = 9.0
    moved = (net(*inputs, Condition(None, changed, mask)) - out).flatten(1).abs().amax(1)
    assert moved[0] > 1e-4 and moved[1] < 1e-6
    short = net(*(part[:1] for part in inputs), Condition(None, sequence[:1, :2]))
    assert torch.allclose(out[:1], short, atol=1e-5)
    nothing = net(*inputs, Condition(None, sequence, torch.zeros(2, 5, dtype=torch.bool)))
    assert torch.allclose(nothing, net(*inputs, Condition()), atol=1e-5)


@pytest.mark.parametrize(("every", "count"), [(1, 3), (2, 2), (3, 1)])
def test_cross_attention_in_every_nth_block(every, count):
    net = make(context_width=7, context_every=every)
    assert sum(isinstance(m, CrossAttention) for m in net.modules()) == count
    assert not any(isinstance(m, CrossAttention) for m in make().modules())


def test_condition_slices_all_its_parts():
    cond = Condition(torch.tensor([0, 1]), context(), torch.ones(2, 5, dtype=torch.bool))
    head = cond[:1]
    assert head.labels.tolist() == [0]
    assert torch.equal(head.context, context()[:1]) and head.context_mask.shape == (1, 5)
    assert Condition()[:1] == Condition()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 10, "patch": 4}, "resolution must be a multiple of patch; got resol.*=10"),
        ({"overlap": 3, "patch": 4}, "overlap must be at most half a patch; got overlap=3"),
        ({"depht": 3}, "GridTransformer does not take these arguments: .*depht"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_network("GridTransformer", **SMALL | arguments)


def test_unknown_network_is_named():
    with pytest.raises(ValueError, match=r"network must be one of GridTransformer, .*; got 'UNet'"):
        build_network("UNet")
