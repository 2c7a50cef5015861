"""The laws of all nine transports, and an exact oracle that fails when m is 10 % off."""

import itertools

import pytest
import torch
from losses import loss_of

from geoflow.flow.sampling import sample, time_grid
from geoflow.flow.targets import Jump, Residual
from geoflow.flow.transport import (
    ALIASES,
    TRANSPORTS,
    Transport,
    get_transport,
)

DATA_STD = 0.7
NINE = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS.keys())


def times(transport: Transport, *taus: float) -> list[torch.Tensor]:
    taus = [max(tau, transport.start) for tau in taus]
    return [transport.schedule.unclock(torch.tensor([tau], dtype=torch.float64)) for tau in taus]


def spread(transport: Transport, t: torch.Tensor) -> torch.Tensor:
    """S(t) of Gaussian data: the exact map is psi(x) = x S(r) / S(t)."""
    alpha, sigma = transport.schedule.alpha(t), transport.schedule.sigma(t)
    return (alpha**2 * DATA_STD**2 + sigma**2).sqrt()


def exact_m(transport: Transport, x, t, r, error: float = 0.0) -> torch.Tensor:
    """The exact prediction for Gaussian data; at r = t its limit."""
    a, s = transport.schedule.alpha(t), transport.schedule.sigma(t)
    da, ds = transport.schedule.d_alpha(t), transport.schedule.d_sigma(t)
    growth = (a * da * DATA_STD**2 + s * ds) / spread(transport, t) ** 2  # d log S / dt
    p, q = transport.coefficients(t, r)
    same = t == r
    psi = spread(transport, r) / spread(transport, t)
    m = torch.where(same, torch.ones_like(t), (psi - q) / p.masked_fill(same, 1))
    if same.any():  # from v = p_rate m + q_rate x
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        slope = growth - transport.velocity(one, zero, t)
        m = torch.where(same, slope / transport.velocity(zero, one, t), m)
    return (1 + error) * m.view(-1, *[1] * (x.dim() - 1)) * x


@NINE
def test_identity_and_semigroup(transport):
    """Random triples, and triples that touch both ends of the range."""
    g = torch.Generator().manual_seed(0)
    triples = torch.rand(200, 3, generator=g, dtype=torch.float64).sort(1).values
    ends = torch.tensor([[0, 0.5, 1], [0, 0, 1], [0, 1, 1], [0.3, 1, 1]], dtype=torch.float64)
    for row in torch.cat((triples, ends)):
        t, s, r = times(transport, *row.tolist())
        p_tr, q_tr = transport.coefficients(t, r)
        p_ts, q_ts = transport.coefficients(t, s)
        p_sr, q_sr = transport.coefficients(s, r)
        scale = 1 + p_tr.abs() + q_tr.abs() + (q_sr * p_ts).abs()
        assert (q_sr * q_ts - q_tr).abs() <= 1e-12 * scale
        assert (p_sr + q_sr * p_ts - p_tr).abs() <= 1e-12 * scale
        for same in (t, s, r):  # at the data end too, where sigma may be 0
            p, q = transport.coefficients(same, same)
            assert p.abs() <= 1e-14 * scale
            assert (q - 1).abs() <= 1e-14


@NINE
def test_the_later_share_is_the_semigroup_law_for_m(transport):
    g = torch.Generator().manual_seed(3)
    t, s, r = transport.schedule.unclock(
        transport.start
        + (1 - transport.start)
        * torch.rand(3, 200, generator=g, dtype=torch.float64).sort(0).values
    )
    x = torch.randn(200, 2, generator=g, dtype=torch.float64)
    first = exact_m(transport, x, t, s)
    second = exact_m(transport, transport.apply(x, first, t, s), s, r)
    w = transport.later_share(t, s, r, x)
    assert w.shape == (200, 1) and w.min() >= 0 and w.max() <= 1
    assert torch.allclose(w * second + (1 - w) * first, exact_m(transport, x, t, r), rtol=1e-6)
    assert (transport.later_share(t, r, r, x) == 0).all()


@NINE
def test_rates_are_derivatives_of_the_coefficients(transport):
    for tau in (0.05, 0.3, 0.6, 0.9):
        (t,) = times(transport, tau)
        h = 1e-6 * t.abs()
        one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        p2, q2 = transport.coefficients(t, t + h)
        p1, q1 = transport.coefficients(t, t - h)
        want_p, want_q = (p2 - p1) / (2 * h), (q2 - q1) / (2 * h)
        assert torch.allclose(transport.velocity(zero, one, t), want_p, rtol=1e-5, atol=1e-8)
        assert torch.allclose(transport.velocity(one, zero, t), want_q, rtol=1e-5, atol=1e-8)
        (r,) = times(transport, 0.95)
        _, gap = transport.residual_scales(t, r, one)
        p, _ = transport.coefficients(t, r)
        assert torch.allclose(gap, p / want_p, rtol=1e-5)


@NINE
def test_gaussian_oracle_lands_exactly(transport):
    noise = torch.randn(64, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = transport.schedule.sigma(times(transport, 0.0)[0])
    for taus in ((0.0, 1.0), (0.0, 0.4, 1.0), (0.0, 0.1, 0.7, 1.0)):
        grid = times(transport, *taus)
        x = y = noise * sigma
        for t, r in itertools.pairwise(grid):
            t, r = t.expand(64), r.expand(64)
            x = transport.apply(x, exact_m(transport, x, t, r), t, r)
            y = transport.apply(y, exact_m(transport, y, t, r, error=0.1), t, r)
        want = noise * sigma * spread(transport, grid[-1]) / spread(transport, grid[0])
        assert (x - want).abs().max() < 1e-9
        assert (y - want).norm() / want.norm() > 0.03


@NINE
def test_residual_vanishes_for_the_exact_map_only(transport):
    """The loss's residual with the conditional m averaged over the posterior, exact JVP."""
    g = torch.Generator().manual_seed(2)
    pairs = torch.rand(64, 2, generator=g, dtype=torch.float64).sort(1).values * 0.9 + 0.05
    x = torch.randn(64, 3, generator=g, dtype=torch.float64)
    t, r = transport.schedule.unclock(pairs[:, 0]), transport.schedule.unclock(pairs[:, 1])
    x = x * spread(transport, t)[:, None]

    def residual(error):
        v = transport.velocity(x, exact_m(transport, x, t, t), t)
        m, slope = torch.func.jvp(
            lambda x, t: exact_m(transport, x, t, r, error), (x, t), (v, torch.ones_like(t))
        )
        q, gap = transport.residual_scales(t, r, x)
        return (q * (m - exact_m(transport, x, t, t)) - gap * slope) / m.abs().mean()

    assert residual(0.0).abs().max() < 1e-9
    assert residual(0.1).abs().max() > 0.05


@pytest.mark.parametrize("name", ALIASES)
def test_difference_agrees_with_jvp(name):
    transport = get_transport(name)
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
    layers = layers.double()

    def net(x, t, r, cond):
        return layers(torch.cat((x, t[:, None], r[:, None]), 1))

    data, eps = torch.randn(2, 256, 2, dtype=torch.float64)
    tau = torch.rand(2, 256, dtype=torch.float64).sort(0).values * 0.9 + 0.02
    t, r = transport.schedule.unclock(tau)
    x = transport.mix(data, eps, t)
    m = transport.predict(net, x, t, r).detach()
    jump = Jump(x, *tau, None, m, m)

    def slope(derivative, step):
        later = transport.schedule.unclock(torch.minimum(tau[0] + step, tau[1]))
        return Residual(derivative=derivative).slope(transport, net, jump, t, later, r)

    exact = slope("jvp", 0.0)
    assert (slope("difference", 1e-5) - exact).norm() / exact.norm() < 1e-3
    assert (slope("difference", 0.3) - exact).norm() / exact.norm() > 1e-3
    loss, _ = loss_of(transport, net, data, eps, *tau, k=200, target=Residual(derivative="jvp"))
    loss.backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in layers.parameters())


def test_sampler_uses_its_noise_and_visits_the_grid():
    transport, seen = get_transport("x1-FM", noise_std=2.0), []

    def net(x, t, r, cond):
        seen.append((t[0].item(), r[0].item()))
        return x

    noise = torch.randn(3, 4)
    a = sample(transport, net, noise, time_grid(transport, 2))
    b = sample(transport, net, -noise, time_grid(transport, 2), cumulative=False)
    assert seen == [(0, 0.5), (0.5, 1), (0, 0), (0.5, 0.5)]
    assert not torch.allclose(a, torch.zeros_like(a))
    assert torch.allclose(a, -b)


@pytest.mark.parametrize("name", ["bogus", "x2-FM", ""])
def test_unknown_transport_is_named(name):
    with pytest.raises(ValueError, match="transport must be one of"):
        get_transport(name)


@pytest.mark.parametrize(
    ("kwargs", "word"), [({"noise_std": 0.0}, "noise_std"), ({"preconditioning": "x"}, "precond")]
)
def test_bad_fields_are_named(kwargs, word):
    with pytest.raises(ValueError, match=word):
        get_transport("EDM", **kwargs)


def test_time_grid_checks_steps():
    with pytest.raises(ValueError, match="steps must be at least 1; got 0"):
        time_grid(get_transport("EDM"), 0)


@NINE
def test_gap_is_the_time_left_but_for_predictions_on_vp(transport):
    """As Prediction.gap says: r - t, or sin(u_r - u_t) / u'_t with alpha = cos u."""
    taus = torch.tensor([[0.0, 0.2, 0.5, 0.9], [1.0, 0.5, 0.51, 1.0]], dtype=torch.float64)
    t, r = transport.schedule.unclock(taus.clamp(min=transport.start))
    _, gap = transport.residual_scales(t, r, t)
    want = r - t
    if transport.schedule.name == "vp" and transport.prediction.name != "velocity":
        u = [torch.atan2(transport.schedule.sigma(s), transport.schedule.alpha(s)) for s in (t, r)]
        rate = -transport.schedule.d_alpha(t) / transport.schedule.sigma(t)
        want = torch.sin(u[1] - u[0]) / rate
        assert (want - (r - t)).abs().max() > 10
        assert want.abs().max() < 15.5
    torch.testing.assert_close(gap, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["x1-FM", "DDIM", "EDM"])
@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_preconditioning_keeps_input_and_raw_target_at_unit_variance(name, tau):
    """What c_in, c_skip and c_out are for [Karras et al. 2022, Table 1 and App. B.6]."""
    transport = get_transport(name, preconditioning="edm", noise_std=2.0, data_std=DATA_STD)
    t = transport.schedule.unclock(torch.full((400_000,), tau, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(2, len(t), 1, dtype=torch.float64, generator=generator)
    data, eps = DATA_STD * unit[0], 2.0 * unit[1]
    x, seen = transport.mix(data, eps, t), []

    def net(scaled, t, r, cond):
        seen.append(scaled)
        return torch.zeros_like(scaled)

    skipped = transport.predict(net, x, t, t)  # c_skip x: the raw output is zero
    raw = (data - skipped) / transport.output_scale(t, x)
    assert seen[0].var() == pytest.approx(1, abs=0.02)
    assert raw.var() == pytest.approx(1, abs=0.02)
    assert abs((raw * seen[0]).mean()) < 0.02  # and c_skip leaves nothing of x in it


def test_input_preconditioning_scales_the_input_alone():
    transport = get_transport("u-FM", noise_std=3.0, data_std=DATA_STD)
    t = torch.full((200_000,), 0.3)
    unit = torch.randn(2, len(t), 1, generator=torch.Generator().manual_seed(0))
    x = transport.mix(DATA_STD * unit[0], 3.0 * unit[1], t)
    scaled = transport.predict(lambda x, t, r, cond: x, x, t, t)
    assert scaled.var() == pytest.approx(1, abs=0.02)
    assert (transport.output_scale(t, x) == 1).all()


@pytest.mark.parametrize("name", ["u-FM", "noise-vp", "velocity-ve"])
def test_edm_preconditioning_stands_with_data_predictions_alone(name):
    with pytest.raises(ValueError, match=r"preconditioning edm .*data prediction.*; use input"):
        get_transport(name, preconditioning="edm")
