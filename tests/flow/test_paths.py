"""Pairs on paths: for Gaussian data the map is known, so every target is known in closed form."""

import pytest
import torch
from losses import loss_of

from geoflow.flow.objective import TimeSampling
from geoflow.flow.paths import Paths
from geoflow.flow.targets import Known
from geoflow.flow.transport import get_transport

STD = 0.5


def exact(transport):
    """The network whose prediction at r = t is right for data N(0, STD^2); for "input" scaling."""

    def net(x, t, r, cond):
        t = transport.schedule.unclock(t)[:, None]
        alpha, sigma = transport.schedule.alpha(t), transport.schedule.sigma(t)
        variance = (alpha * STD) ** 2 + sigma**2
        data = alpha * STD**2 * variance.rsqrt() * x
        return data if transport.name.startswith("data") else data - sigma * variance.rsqrt() * x

    return net


def spread(transport, t):
    return ((transport.schedule.alpha(t) * STD) ** 2 + transport.schedule.sigma(t) ** 2).sqrt()


def make(name: str, parts: int = 3):
    transport = get_transport(name, preconditioning="input", data_std=STD)
    paths = Paths(transport, (64, 3), parts, 40, 0, torch.device("cpu"))
    return transport, paths


def test_every_part_has_times_of_its_own():
    """A common random shift a part: without it all pairs would lie on one grid of times."""
    transport, paths = make("x1-FM")
    paths.reach(2, exact(transport))
    inner = paths.taus[:, 1:-1]
    assert not torch.equal(inner[0], inner[1]) and not torch.equal(inner[1], inner[2])
    assert (paths.taus[:, 0] == 0).all() and (paths.taus[:, -1] == 1).all()
    assert ((inner - torch.linspace(0, 1, 41)[1:-1]).abs() <= 0.5 / 40 + 1e-6).all()


@pytest.mark.parametrize("name", ["EDM", "x1-FM", "u-FM"])
def test_targets_carry_states_along_the_exact_map(name):
    transport, paths = make(name)
    paths.reach(4, exact(transport))
    pairs = paths.draw(4000, 0.3, 0.4, torch.Generator().manual_seed(0))
    t, r = transport.schedule.unclock(pairs.tau_t), transport.schedule.unclock(pairs.tau_r)
    ends = transport.apply(pairs.x, pairs.target, t, r)
    want = pairs.x * (spread(transport, r) / spread(transport, t))[:, None]
    assert ((ends - want).abs() <= 0.02 * (1 + want.abs())).all()
    assert (pairs.tau_t < pairs.tau_r).all()
    assert (pairs.tau_t == 0).float().mean() == pytest.approx(0.3 + 0.7 / 40, abs=0.03)
    assert 0.4 < (pairs.tau_r == 1).float().mean() < 0.6
    both = ((pairs.tau_t == 0) & (pairs.tau_r == 1)).float().mean()
    assert both == pytest.approx((0.3 + 0.7 / 40) * (0.4 + 0.6 / 40), abs=0.03)  # independent
    loss, error = loss_of(
        transport, exact(transport), torch.zeros_like(pairs.x), torch.zeros_like(pairs.x),
        pairs.tau_t, pairs.tau_r, 4000, adaptive=None, target=Known(pairs.target), x=pairs.x,
    )  # fmt: skip
    assert error.shape == (4000,) and loss > 0  # the net at r = t is no map over a distance


def test_any_seed_makes_a_pool():
    transport = get_transport("EDM", preconditioning="input", data_std=STD)
    paths = Paths(transport, (4, 3), 1, 3, 2**70, torch.device("cpu"))
    paths.reach(0, exact(transport))
    assert torch.isfinite(paths.states).all()


def test_a_pool_reached_at_once_is_the_one_reached_in_turns():
    transport, turns = make("EDM")
    _, once = make("EDM")
    for number in range(2, 8):
        turns.reach(number, exact(transport))
    once.reach(7, exact(transport))
    assert torch.equal(turns.states, once.states) and torch.equal(turns.taus, once.taus)
    assert len(torch.unique(once.states[:, 0, 0, 0])) == 3


def test_a_pool_that_is_not_full_gives_only_what_it_has():
    transport, paths = make("EDM", parts=5)
    paths.reach(1, exact(transport))
    pairs = paths.draw(500, 1.0, 1.0, torch.Generator().manual_seed(0))
    assert torch.isin(pairs.x, paths.states[:2, 0]).all()
    assert len(torch.unique(pairs.x[:, 0])) > 64  # of both parts


def test_paths_are_walked_with_their_labels():
    """The data of label k lie at k: so must the ends of its paths."""
    transport = get_transport("EDM", preconditioning="input", data_std=STD)

    def labels(count, generator):
        return torch.randint(3, (count,), generator=generator)

    paths = Paths(transport, (32, 3), 2, 12, 0, torch.device("cpu"), labels)
    paths.reach(1, lambda x, t, r, cond: cond.labels[:, None].float().expand_as(x))
    pairs = paths.draw(300, 0.5, 1.0, torch.Generator().manual_seed(0))
    r = transport.schedule.unclock(pairs.tau_r)
    ends = transport.apply(pairs.x, pairs.target, transport.schedule.unclock(pairs.tau_t), r)
    assert set(pairs.labels.tolist()) == {0, 1, 2}
    assert (ends - pairs.labels[:, None]).abs().max() < 0.1


def test_the_sampler_of_times_need_not_know_of_paths():
    transport, paths = make("EDM")
    paths.reach(2, exact(transport))
    tau_t, tau_r, k = TimeSampling(cumulative=0.5).draw(8, 0.0, torch.Generator().manual_seed(0))
    pairs = paths.draw(k, 0.5, 0.5, torch.Generator().manual_seed(1))
    tau_t[:k], tau_r[:k] = pairs.tau_t, pairs.tau_r
    data = torch.randn(8, 3)
    net = lambda x, t, r, cond: x * r[:, None]  # noqa: E731
    errors = [
        loss_of(
            transport,
            net,
            d,
            d,
            tau_t,
            tau_r,
            k,
            adaptive=None,
            target=Known(pairs.target),
            x=pairs.x,
        )[1]
        for d in (data, data + 1)
    ]
    assert torch.equal(errors[0][:k], errors[1][:k]) and (errors[0][k:] != errors[1][k:]).all()
