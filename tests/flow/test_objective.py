"""How times are drawn, and what the loss is made of."""

import pytest
import torch
from losses import loss_of

from geoflow.flow.objective import GridError, PseudoHuber, TimeSampling, mean_square
from geoflow.flow.targets import HEUN_END, Residual, TwoMaps
from geoflow.flow.transport import ALIASES, TRANSPORTS, get_transport

FOUR = pytest.mark.parametrize("name", ALIASES)


def draw(times: TimeSampling, batch: int = 20_000, start: float = 0.0):
    return times.draw(batch, start, torch.Generator().manual_seed(0))


@pytest.fixture
def net():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(4, 24), torch.nn.Tanh(), torch.nn.Linear(24, 2))

    def call(x, t, r, cond):
        out = layers(torch.cat((x, t[:, None], r[:, None]), 1))
        return out if cond is None else out + cond[:, None]

    call.layers = layers
    return call


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(1)
    data, eps = torch.randn(2, 64, 2, generator=g)
    t, r, k = TimeSampling(cumulative=0.5).draw(64, 1e-3, g)
    return data, eps, t, r, k


def test_times_are_ordered_and_the_head_of_the_batch_is_cumulative():
    t, r, k = draw(TimeSampling(cumulative=0.3, uniform=0.2), start=0.01)
    assert k == 6000
    assert t.shape == r.shape == (20_000,) and t.dtype == r.dtype == torch.float32
    assert (t <= r).all() and (t[:k] < r[:k]).float().mean() > 0.999
    assert torch.equal(t[k:], r[k:])
    assert t.min() >= 0.01 and r.max() <= 1 and t.max() < 1


def test_times_follow_the_logistic_normal_law():
    t, _, k = draw(TimeSampling(mean=-0.8, std=1.3, cumulative=0.0))
    assert k == 0
    z = torch.logit(t)
    assert abs(z.mean() + 0.8) < 0.03
    assert abs(z.std() - 1.3) < 0.03
    quantiles = torch.quantile((z + 0.8) / 1.3, torch.tensor([0.025, 0.975]))
    assert torch.allclose(quantiles, torch.tensor([-1.96, 1.96]), atol=0.06)


def test_uniform_share():
    t, _, _ = draw(TimeSampling(mean=-9.0, std=0.01, cumulative=0.0, uniform=1.0))
    quantiles = torch.quantile(t, torch.tensor([0.1, 0.5, 0.9]))
    assert torch.allclose(quantiles, torch.tensor([0.1, 0.5, 0.9]), atol=0.015)
    t, _, _ = draw(TimeSampling(mean=-9.0, std=0.01, cumulative=0.0, uniform=0.4))
    far = t[t > 0.01]
    assert abs(len(far) / 20_000 - 0.4 * 0.99) < 0.015
    assert abs(far.mean() - 0.5) < 0.02  # the uniform share is uniform over all of the clock


def test_shares_at_the_two_ends():
    t, r, k = draw(TimeSampling(cumulative=1.0, to_data=0.25, from_noise=0.15), start=0.002)
    assert k == 20_000
    at_data, at_noise = r == 1, t == torch.tensor(0.002)
    assert abs(at_data.float().mean() - 0.25) < 0.015
    assert abs(at_noise.float().mean() - 0.15) < 0.015
    assert abs((at_data & at_noise).float().mean() - 0.25 * 0.15) < 0.01  # independent
    t, r, k = draw(TimeSampling(cumulative=0.5, to_data=1.0, from_noise=1.0))
    assert (t[:k] == 0).all() and (r[:k] == 1).all()
    assert (r[k:] < 1).all() and (t[k:] > 0).all()


def test_times_repeat_with_the_generator():
    for a, b in zip(draw(TimeSampling())[:2], draw(TimeSampling())[:2], strict=True):
        assert torch.equal(a, b)
    other = TimeSampling().draw(20_000, 0.0, torch.Generator().manual_seed(1))
    assert not torch.equal(draw(TimeSampling())[0], other[0])


@pytest.mark.parametrize("field", ["cumulative", "to_data", "from_noise", "uniform"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_must_be_shares(field, value):
    with pytest.raises(ValueError, match=rf"{field} must lie in \[0, 1\]; got"):
        TimeSampling(**{field: value})


@pytest.mark.parametrize("name", TRANSPORTS)
def test_at_equal_times_it_is_plain_denoising(name, net, batch):
    """With noise_std too; the target is written out by hand here."""
    data, eps, t, _, _ = batch
    transport = get_transport(name, noise_std=2.0, data_std=0.7)
    loss, error = loss_of(transport, net, data, eps, t, t, 0, adaptive=None)
    s = transport.schedule
    time = s.unclock(t)[:, None]
    scaled = 2.0 * eps
    x = s.alpha(time) * data + s.sigma(time) * scaled
    velocity = s.d_alpha(time) * data + s.d_sigma(time) * scaled
    want = {"data": data, "noise": scaled, "velocity": velocity}[name.split("-")[0]]
    m = transport.predict(net, x, time[:, 0], time[:, 0])
    plain = (m - want).square().mean(1)
    assert torch.allclose(error, plain.detach(), rtol=1e-4)
    assert torch.allclose(loss, plain.mean(), rtol=1e-4)
    ours = torch.autograd.grad(loss, list(net.layers.parameters()))
    theirs = torch.autograd.grad(plain.mean(), list(net.layers.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5 * b.abs().max())


@FOUR
def test_equal_times_in_the_head_change_nothing(name, net, batch):
    """k only says where r may differ from t: with r = t everywhere the two branches agree."""
    data, eps, t, _, _ = batch
    t = t.clamp(max=0.9)
    transport = get_transport(name)
    plain, _ = loss_of(transport, net, data, eps, t, t, 0, adaptive=None)
    headed, _ = loss_of(transport, net, data, eps, t, t, 64, adaptive=None)
    assert torch.allclose(plain, headed, rtol=1e-4)


@pytest.mark.parametrize("name", [*ALIASES, "noise-vp", "noise-linear"])
def test_loss_is_the_residual_and_gradients_flow_through_m_alone(name, net, batch):
    data, eps, t, r, k = batch
    transport = get_transport(name)
    t, r = t.clamp(max=0.9), r.clamp(max=0.97)
    loss, error = loss_of(
        transport, net, data, eps, t, r, k, adaptive=None, target=Residual(derivative="jvp")
    )
    time, end = transport.schedule.unclock(t), transport.schedule.unclock(r)
    x = transport.mix(data, eps, time)
    v = transport.velocity(x, transport.predict(net, x, time, time), time)
    m, slope = torch.func.jvp(
        lambda x, t: transport.predict(net, x, t, end), (x, time), (v, torch.ones_like(time))
    )
    q, gap = transport.residual_scales(time, end, x)
    residual = q * (m - transport.target(data, eps, time)) - gap * slope
    later = torch.minimum(t + (0.1 * (r - t)).clamp(min=0.02), r)
    reach = (transport.schedule.unclock(later) - time).abs()[:, None].clamp(min=1e-12)
    damping = torch.maximum(q, gap.abs() / reach)
    assert damping[:k].max() > 2
    residual = (residual / damping).detach()
    assert torch.allclose(error[:k], mean_square(residual)[:k], rtol=1e-3, atol=1e-6)
    m = transport.predict(net, x, time, end)
    direct = 2 * (residual * m).mean(1).mean()  # d/dm of |m - stop(m - R)|^2 is 2 R
    ours = torch.autograd.grad(loss, list(net.layers.parameters()))
    theirs = torch.autograd.grad(direct, list(net.layers.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-2, atol=1e-4 * b.abs().max())


@pytest.mark.parametrize("name", [*ALIASES, "noise-vp", "noise-linear", "velocity-ve"])
@pytest.mark.parametrize("far", [False, True])
def test_in_distillation_two_maps_after_one_another_are_the_target(name, far, net, batch):
    """A short step of the teacher, or a leap of the average; then the average to the end."""
    k = batch[4]
    data, eps, t, r = (v[:k] for v in batch[:4])
    transport = get_transport(name)
    t, r = t.clamp(max=0.9), r.clamp(max=0.97)
    t[:2], r[:2] = 0.97, 0.985

    def teacher(x, t, r, cond=None):
        assert torch.equal(t, r)
        return torch.tanh(x) + t[:, None]

    def average(x, t, r, cond=None):
        return net(x, t, r, cond) + 0.3

    leap = torch.linspace(0.1, 0.9, k) if far else None
    target = TwoMaps(teacher, average, leap)
    args = (transport, net, data, eps, t, r, k)
    loss, error = loss_of(*args, adaptive=None, target=target)
    step = leap * (r - t) if far else (0.1 * (r - t)).clamp(min=0.02)
    time, s, end = (transport.schedule.unclock(v) for v in (t, torch.minimum(t + step, r), r))
    x = transport.mix(data, eps, time)
    if far:
        y = transport.apply(x, transport.predict(average, x, time, s), time, s)
    else:  # Heun's step, but for those that end near the data
        m = transport.predict(teacher, x, time, time)
        euler = transport.apply(x, m, time, s)
        there = transport.velocity(euler, transport.predict(teacher, euler, s, s), s)
        heun = x + (s - time)[:, None] * (transport.velocity(x, m, time) + there) / 2
        late = torch.minimum(t + step, r) >= HEUN_END
        assert late.any() and not late.all()
        y = torch.where(late[:, None], euler, heun)
    y = transport.apply(y, transport.predict(average, y, s, end), s, end)
    p, q = transport.coefficients(time, end)
    m = transport.predict(net, x, time, end)
    off = (m - (y - q[:, None] * x) / p[:, None]).detach()  # psi_{t->r}(x) must be y
    assert torch.allclose(error, mean_square(off), rtol=1e-2, atol=1e-4)
    ours = torch.autograd.grad(loss, list(net.layers.parameters()))
    theirs = torch.autograd.grad(2 * (off * m).mean(1).mean(), list(net.layers.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=2e-2, atol=1e-3 * b.abs().max())


def test_adaptive_weight_and_error_norm(net, batch):
    data, eps, t, r, k = batch
    args = (get_transport("u-FM"), net, data, eps, t, r, k)
    plain, error = loss_of(*args, adaptive=None)
    assert torch.allclose(plain, error.mean())
    weighted, same = loss_of(*args, adaptive=0.05)
    assert torch.equal(error, same)
    assert torch.allclose(weighted, (error / (error + 0.05)).mean())
    double, _ = loss_of(*args, adaptive=None, error_norm=lambda e: 2 * mean_square(e))
    assert torch.allclose(double, 2 * plain)
    assert not error.requires_grad and plain.requires_grad
    loss, mixed = loss_of(
        *args, error_norm=lambda e: 2 * mean_square(e), cumulative_norm=mean_square, adaptive=0.1
    )
    assert torch.allclose(mixed[:k], error[:k]) and torch.allclose(mixed[k:], 2 * error[k:])
    weighted = torch.cat((mixed[:k], mixed[k:] / (mixed[k:] + 0.1)))  # r > t goes without a weight
    assert torch.allclose(loss, weighted.mean())


def test_condition_reaches_every_call_sliced(net, batch):
    data, eps, t, r, k = batch
    transport = get_transport("x1-FM")
    cond = torch.linspace(-1, 1, 64)
    seen = []

    def spy(x, t, r, c):
        seen.append(c)
        return net(x, t, r, c)

    loss_of(transport, spy, data, eps, t, r, k, cond)
    assert [len(c) for c in seen] == [64, k, k]
    assert all(torch.equal(c, cond[: len(c)]) for c in seen)


@FOUR
@pytest.mark.parametrize("derivative", ["difference", "jvp"])
def test_losses_are_finite_at_both_ends(name, derivative, net):
    transport = get_transport(name)
    data, eps = torch.randn(2, 32, 2, generator=torch.Generator().manual_seed(3))
    t = torch.tensor([transport.start, transport.start, 0.999, 0.5]).repeat(8)
    r = torch.tensor([1.0, 0.999, 1.0, 1.0]).repeat(8)
    loss, error = loss_of(
        transport, net, data, eps, t, r, 32, target=Residual(derivative=derivative)
    )
    grads = torch.autograd.grad(loss, list(net.layers.parameters()))
    assert torch.isfinite(error).all()
    assert all(torch.isfinite(g).all() for g in grads)


def test_unknown_derivative_is_named():
    with pytest.raises(ValueError, match='derivative must be "difference" or "jvp"; got \'exact\''):
        Residual(derivative="exact")


def test_times_are_drawn_where_the_generator_is(monkeypatch):
    asked, plain = [], torch.randn

    def recorded(*size, device=None, **options):
        asked.append(device)
        return plain(*size, device=device, **options)

    monkeypatch.setattr(torch, "randn", recorded)
    draw(TimeSampling(), 8)
    assert asked == [torch.device("cpu")]


def test_errors_in_raw_units_are_divided_by_c_out(net, batch):
    """EDM's weight 1 / c_out^2, by its own formula; no change where c_out is 1."""
    data, eps, tau_t, _, _ = batch
    for name in ("EDM", "x1-FM"):
        transport = get_transport(name)
        plain, raw = (
            loss_of(transport, net, data, eps, tau_t, tau_t, 0, adaptive=None, raw_units=units)[1]
            for units in (False, True)
        )
        c_out_squared = torch.ones(64)
        if name == "EDM":
            variance = transport.schedule.unclock(tau_t).square()
            c_out_squared = 0.25 * variance / (0.25 + variance)
        assert torch.allclose(plain, raw * c_out_squared, rtol=1e-4)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_the_error_of_a_grid_counts_its_differences_along_every_axis(axis):
    """A ramp of slope s along one axis: mean square of the ramp, plus weight s^2."""
    shape, slope = [1, 1, 1, 1], 0.3
    shape[axis] = 5
    ramp = (slope * torch.arange(5.0)).view(shape).expand(2, *(5,) * 3)
    want = slope**2 * (0 + 1 + 4 + 9 + 16) / 5
    assert torch.allclose(GridError(weight=2.0)(ramp), torch.full((2,), want + 2 * slope**2))
    assert torch.allclose(GridError(weight=0.0)(ramp), torch.full((2,), want))


def test_pseudo_huber_is_a_distance_beyond_c_and_a_square_below():
    norm = PseudoHuber(0.1)
    error = torch.tensor([[3.0, 4.0], [0.01, 0.0], [0.0, 0.0]])
    far, near, none = norm(error).tolist()
    assert far == pytest.approx((12.5 + 0.01) ** 0.5 - 0.1)
    assert near == pytest.approx(5e-5 / 0.2, rel=0.01)  # e^2 / 2 c
    assert none == 0


@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_residual_is_never_multiplied(name):
    """f = max(Q, |gap| / h) is at least 1 for all forms, wherever h is at most r - t."""
    transport = get_transport(name)
    tau = torch.linspace(transport.start, 0.995, 300, dtype=torch.float64)
    for step in (0.005, 0.02, 0.3):
        t, r = (transport.schedule.unclock(v) for v in (tau, (tau + step).clamp(max=1)))
        q, gap = transport.residual_scales(t, r, torch.zeros(300, 1))
        f = torch.maximum(q, gap.abs() / (r - t).abs()[:, None])
        assert f.min() > 1 - 1e-9


def test_heuns_step_is_taken_up_to_its_end():
    """At 0.6 of the clock a step is Heun's: a constant HEUN_END of 0.5 would make it Euler's."""
    transport = get_transport("x1-FM")
    data, eps = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(0))
    t, r = torch.full((8,), 0.6), torch.full((8,), 0.9)
    teacher = lambda x, t, r, cond: torch.tanh(3 * x) * t[:, None]  # noqa: E731
    error = loss_of(
        transport, teacher, data, eps, t, r, 8, adaptive=None, target=TwoMaps(teacher, teacher)
    )[1]
    x, s = transport.mix(data, eps, t), t + 0.03
    m = transport.predict(teacher, x, t, t)
    euler = transport.apply(x, m, t, s)
    there = transport.velocity(euler, transport.predict(teacher, euler, s, s), s)
    heun = x + 0.03 * (transport.velocity(x, m, t) + there) / 2
    ends = [transport.apply(y, transport.predict(teacher, y, s, r), s, r) for y in (euler, heun)]
    by_euler, by_heun = (
        mean_square(transport.predict(teacher, x, t, r) - transport.solve(x, end, t, r))
        for end in ends
    )
    assert torch.allclose(error, by_heun, rtol=1e-3)
    assert not torch.allclose(error, by_euler, rtol=1e-2)
