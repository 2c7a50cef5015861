"""With r = t the sampler is the ordinary one: diffusers' DDIM, EDM and Euler step for step."""

import math

import pytest
import torch

from geoflow.flow.sampling import Guidance, sample, sample_heun, time_grid
from geoflow.flow.transport import EDM, get_transport

STEPS = 12


@pytest.fixture(scope="module")
def diffusers():
    """Imported here: collecting the tests should not take its two seconds."""
    import diffusers

    return diffusers


@pytest.fixture
def net():
    """Depends on x and t in a nonlinear way; a wrong r shows in the output."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))

    def call(x, t, r, cond):
        return layers(torch.cat((x, t[:, None], r[:, None]), 1)).detach()

    return call


@pytest.fixture
def noise():
    return torch.randn(64, 3, generator=torch.Generator().manual_seed(1))


def agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert torch.isfinite(ours).all() and ours.std() > 0.05
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def raw(net, x, tau: float) -> torch.Tensor:
    """The network at r = t, in clock time."""
    times = torch.full((len(x),), tau)
    return net(x, times, times, None)


@pytest.mark.parametrize(("name", "kind"), [("data-vp", "sample"), ("noise-vp", "epsilon")])
def test_ddim(diffusers, name, kind, net, noise):
    transport = get_transport(name)
    grid = time_grid(transport, STEPS)
    abar = torch.exp(-0.1 * grid - 9.95 * grid**2).flip(0)  # linear betas of DDPM, data end first
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=STEPS,
        trained_betas=(1 - abar[1:] / abar[:-1]).tolist(),
        prediction_type=kind,
        clip_sample=False,
    )
    scheduler.set_timesteps(STEPS)
    x = noise * (1 - abar[-1]).sqrt().float()
    ours = sample(transport, net, noise, grid, cumulative=False)
    for k, n in enumerate(scheduler.timesteps):
        out = raw(net, x, 1 - float(grid[k]))
        x = scheduler.step(out, int(n), x, eta=0.0).prev_sample
    # noise prediction multiplies rounding by 1 / alpha = 150 at the first step
    agree(ours, x, 1e-5 if kind == "sample" else 1e-4)
    assert not torch.allclose(sample(transport, net, noise, grid), ours, rtol=0.01)


def test_edm_with_its_preconditioning_and_karras_grid(diffusers, net, noise):
    scheduler = diffusers.EDMEulerScheduler(
        sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, rho=7.0
    )
    scheduler.set_timesteps(STEPS + 1)  # its last step, on to sigma = 0, is left out
    grid = time_grid(EDM, STEPS)
    assert torch.allclose(scheduler.sigmas[:-1].double(), grid, rtol=1e-5)
    x = noise * 80.0
    for k, t in enumerate(scheduler.timesteps[:-1]):
        out = raw(net, scheduler.scale_model_input(x, t), k / STEPS)
        x = scheduler.step(out, t, x).prev_sample
    ours = sample(EDM, net, noise, grid, cumulative=False)
    agree(ours, x)
    assert not torch.allclose(sample(EDM, net, noise, grid), ours, rtol=0.01)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
def test_euler_in_sigma_with_noise_prediction(diffusers, net, noise):
    transport = get_transport("noise-ve")
    grid = time_grid(transport, STEPS)
    scheduler = diffusers.EulerDiscreteScheduler(
        prediction_type="epsilon", timestep_spacing="trailing"
    )
    scheduler.set_timesteps(sigmas=grid.tolist())
    assert torch.allclose(scheduler.sigmas.double(), grid, rtol=1e-5)
    x = noise * 80.0
    scheduler.set_begin_index(0)
    for k in range(STEPS):
        t = scheduler.timesteps[k]
        out = raw(net, scheduler.scale_model_input(x, t), k / STEPS)
        x = scheduler.step(out, t, x).prev_sample
    agree(sample(transport, net, noise, grid, cumulative=False), x)


def test_flow_matching_is_euler(diffusers, net, noise):
    """Against diffusers (whose velocity points to the noise) and against four lines of Euler."""
    transport = get_transport("velocity-linear")
    ours = sample(transport, net, noise, time_grid(transport, STEPS), cumulative=False)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1 - k / STEPS for k in range(STEPS)])
    x = y = noise
    for k, t in enumerate(scheduler.timesteps):
        tau = k / STEPS
        scale = 1 / math.sqrt(tau**2 + (1 - tau) ** 2)  # the input is brought to unit variance
        x = x + raw(net, scale * x, tau) / STEPS
        y = scheduler.step(-raw(net, scale * y, tau), t, y).prev_sample
    agree(ours, x)
    agree(ours, y)


@pytest.mark.parametrize("name", ["u-FM", "x1-FM", "DDIM", "EDM"])
def test_guidance_extrapolates_from_the_null_condition(name, noise):
    transport = get_transport(name)
    grid = time_grid(transport, 1)

    def net(x, t, r, cond):
        return cond.expand_as(x)

    def run(cond, **options):
        return sample(transport, net, noise, grid, torch.tensor(cond), **options)

    null = torch.tensor(-0.5)
    plain, without = run(1.0), run(-0.5)
    guided = run(1.0, guidance=Guidance(3.0, null))
    assert (plain - without).abs().max() > 0.1
    assert torch.allclose(guided, without + 3 * (plain - without), atol=1e-4, rtol=1e-4)


def test_steps_are_reported_and_the_last_state_is_returned(net, noise):
    transport, seen = get_transport("x1-FM"), []
    out = sample(
        transport, net, noise, time_grid(transport, 3), on_step=lambda k, x: seen.append((k, x))
    )
    assert [k for k, _ in seen] == [1, 2, 3]
    assert seen[-1][1] is out
    assert not torch.equal(seen[0][1], seen[1][1])


@pytest.mark.parametrize("name", ["u-FM", "x1-FM", "DDIM", "EDM"])
def test_the_last_call_may_go_to_the_mean(name, noise):
    transport, asked = get_transport(name), []

    def net(x, t, r, cond):
        asked.append((float(t[0]), float(r[0])))
        return 0.3 * x + r.view(-1, *[1] * (x.dim() - 1))

    times = time_grid(transport, 3)
    states = []
    sample(transport, net, noise, times, on_step=lambda _, x: states.append(x))
    t, end = (torch.full((len(noise),), float(v)) for v in times[2:])
    wanted = transport.apply(states[1], transport.predict(net, states[1], t, t), t, end)
    asked.clear()
    made = sample(transport, net, noise, times, mean_last=True)
    assert [t == r for t, r in asked] == [False, False, True]
    assert torch.allclose(made, wanted, atol=1e-5) and not torch.allclose(made, states[2])
    once = time_grid(transport, 1)
    a = sample(transport, net, noise, once, mean_last=True)
    b = sample(transport, net, noise, once, cumulative=False)
    assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["u-FM", "DDIM", "EDM", "noise-linear"])
def test_time_grid_runs_from_noise_to_data(name):
    transport = get_transport(name)
    for lead in (0.0, 0.4):
        clock = transport.schedule.clock(time_grid(transport, 4, lead=lead))
        assert abs(float(clock[0]) - transport.start) < 1e-9
        assert abs(float(clock[-1]) - 1) < 1e-9
        assert (clock.diff() > 0).all()


@pytest.mark.parametrize("name", ["u-FM", "EDM", "noise-linear"])
def test_lead_is_taken_in_by_the_first_step(name):
    transport = get_transport(name)
    clock = transport.schedule.clock(time_grid(transport, 3, lead=0.7))
    want = torch.tensor([transport.start, 0.8, 0.9, 1.0], dtype=torch.float64)
    assert torch.allclose(clock, want, atol=1e-3)
    one = time_grid(transport, 1, lead=0.7)
    assert torch.equal(one, time_grid(transport, 1))
    for lead in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="lead must lie"):
            time_grid(transport, 3, lead=lead)


def test_noise_std_scales_the_start(noise):
    def net(x, t, r, cond):
        return torch.zeros_like(x)

    for std in (1.0, 4.0):
        transport = get_transport("velocity-linear", noise_std=std)
        out = sample(transport, net, noise, time_grid(transport, 2))
        assert torch.allclose(out, std * noise)


@pytest.mark.parametrize("name", ["EDM", "x1-FM", "u-FM"])
def test_heun_is_of_second_order_and_counts_its_calls(name):
    """Gaussian data: the exact denoiser and the exact end are known in closed form."""
    std, calls = 0.5, []
    transport = get_transport(name, preconditioning="input", data_std=std)

    def exact(x, t, r, cond):
        """m = E[data | x] or E[velocity | x]; c_in is undone first."""
        calls.append(len(x))
        t = transport.schedule.unclock(t)[:, None]
        alpha, sigma = transport.schedule.alpha(t), transport.schedule.sigma(t)
        variance = (alpha * std) ** 2 + sigma**2
        data = alpha * std**2 / variance * x * variance.sqrt()
        if name != "u-FM":
            return data
        return data - sigma / variance * x * variance.sqrt()

    noise = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    errors = {}
    for intervals in (16, 32):
        calls.clear()
        times = time_grid(transport, intervals)
        ends = sample_heun(transport, exact, noise, times)
        assert len(calls) == 2 * intervals - 1
        t = times[[0, -1]]
        spread = (
            (transport.schedule.alpha(t) * std) ** 2 + transport.schedule.sigma(t) ** 2
        ).sqrt()
        start = noise * transport.schedule.sigma(times[0])
        errors[intervals] = (ends - start * spread[1] / spread[0]).abs().max().item()
        euler = sample(transport, exact, noise, time_grid(transport, 2 * intervals - 1),
                       cumulative=False)  # fmt: skip
        assert errors[intervals] < (euler - start * spread[1] / spread[0]).abs().max().item()
    assert errors[32] < 0.4 * errors[16] < 0.05
