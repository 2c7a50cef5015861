"""Training: one step for every recipe, on one process or many; loop.py is the loop.

All randomness of a step is drawn from generators seeded by (seed, step, process), so a resumed
run repeats the uninterrupted one bit for bit on a CPU without any random state in the file.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from geoflow.checks import at_least, one_of
from geoflow.data.source import Source
from geoflow.files import write_atomically
from geoflow.flow.condition import Condition
from geoflow.flow.paths import Paths
from geoflow.flow.targets import Batch, Residual
from geoflow.flow.transport import get_transport
from geoflow.model.checkpoint import save_checkpoint
from geoflow.model.sampling import SamplingSettings
from geoflow.networks import build_network
from geoflow.networks.layers import CrossAttention, SelfAttention, SwiGLU
from geoflow.training.muon import Muon
from geoflow.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

STATE = "state.safetensors"
ALONE = 4096  # samples that are drawn where there are no categories: points of one surface


def start_processes(device: torch.device) -> Accelerator:
    """Joins the processes that `accelerate launch` started; alone, this is the only one."""
    from accelerate import Accelerator

    on_gpu = device.type == "cuda"
    torch.set_float32_matmul_precision("high")
    return Accelerator(cpu=not on_gpu, mixed_precision="bf16" if on_gpu else "no")


class Trainer:
    """The state of a run: network, its average, optimiser, step. A `geoflow.flow.targets.Run`.

    The seed is that of the whole run, the accelerator from `start_processes`.

    Raises:
        ValueError: a negative seed.
    """

    def __init__(self, recipe: Recipe, source: Source, seed: int, accelerator: Accelerator) -> None:
        at_least("seed", seed, 0)
        self.accelerator = accelerator
        self.recipe, self.source, self.run_seed = recipe, source, seed
        self.device: torch.device = self.accelerator.device
        self.transport = get_transport(recipe.transport, **recipe.transport_arguments)
        torch.manual_seed(seed)
        arguments = recipe.network_arguments | source.arguments
        self.network_config = {"name": recipe.network, "arguments": arguments}
        self.net = build_network(recipe.network, **arguments).to(self.device)
        self.ema = build_network(recipe.network, **arguments).to(self.device).eval()
        self.ema.load_state_dict(self.net.state_dict())
        self.optimizers = optimizers(self.net, recipe, self.device)
        self.step, self.seconds = 0, 0.0
        self.call: Any = self.net
        self.average: Any = self.ema
        self.compiled = False
        self.frozen: nn.Module | None = None
        # what targets of r > t ask for
        self.teacher: Any = None
        self.copy = self.age = 0
        self.seed: int = seed * 1009 + accelerator.process_index
        self.times = recipe.times.from_noise, recipe.times.to_data
        self.on_cpu = self.on_device = self.draws = torch.Generator()
        self.pool: Paths | None = None

    @property
    def sampling(self) -> SamplingSettings:
        """How the averaged network is to be sampled."""
        return SamplingSettings(lead=self.recipe.lead, mean_last=self.recipe.mean_last)

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.accelerator.is_main_process

    def compile(self) -> None:
        """Compiles the networks; worth its minute on a GPU."""
        self.compiled = True
        self.call, self.average = self._callable(self.net), self._callable(self.ema)
        if self.frozen is not None:
            self.teacher = self._callable(self.frozen)

    def _callable(self, net: nn.Module) -> Any:
        return torch.compile(net, dynamic=False) if self.compiled else net

    # -- what targets of r > t ask for ---------------------------------------------------------

    def teach(self, weights: dict[str, Tensor]) -> None:
        """Makes the frozen network that r > t learns from."""
        net = build_network(self.network_config["name"], **self.network_config["arguments"])
        net.to(self.device).eval().requires_grad_(False).load_state_dict(weights)
        self.frozen, self.teacher, self.pool = net, self._callable(net), None

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of this run."""
        return self.accelerator.autocast()

    def labels(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) labels drawn as those of batches are, for paths."""
        _, given = self.source.batch(count, generator)
        assert given is not None
        labels = self._hide_labels(given, count, generator).labels
        assert labels is not None
        return labels

    # -- one step ------------------------------------------------------------------------------

    def learning_rate(self) -> float:
        """That of the next step."""
        stage, _, step = self.recipe.place(self.step)
        return stage.rate(step)

    def train_step(self) -> Tensor:
        """One optimiser step; returns the detached mean error of this process."""
        r, both = self.recipe, self.recipe.place(self.step).cumulative
        self._seed_draws()
        with self.autocast():
            loss, error = r.losses(self, both)
        loss.backward()
        self._average_gradients()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = (both and r.targets.cumulative_ema) or r.ema
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                list(self.ema.parameters()), list(self.net.parameters()), 1 - decay
            )
        return error.mean()

    def _seed_draws(self) -> None:
        """All that is drawn in this step depends on (seed, step, process) alone."""
        numbers = [self.run_seed, self.step, self.accelerator.process_index]
        cpu, device = np.random.SeedSequence(numbers).generate_state(2, np.uint64)
        self.on_cpu = torch.Generator().manual_seed(int(cpu) >> 1)
        self.on_device = torch.Generator(self.device).manual_seed(int(device) >> 1)
        self.draws = self.on_device if self.recipe.device_draws else self.on_cpu

    @property
    def share(self) -> int:
        """Samples a step of this process."""
        return max(1, self.recipe.batch // self.accelerator.num_processes)

    def flow_losses(self, both: bool) -> tuple[Tensor, Tensor]:
        """Loss and errors of a map, at r = t or of `both` kinds."""
        r, batch, target = self.recipe, self._batch(both), Residual()
        if both:
            self.copy, self.age = r.teacher_at(self.step)
            if r.targets.teachers and (self.frozen is None or self.age == 0):
                self.teach(self.ema.state_dict())
            batch, target = r.targets.prepare(self, batch)
        return r.loss(self.transport, self.call, batch, target)

    def _batch(self, both: bool) -> Batch:
        r, size = self.recipe, self.share
        data, given = self.source.batch(size, self.draws)
        times = r.times if both else replace(r.times, cumulative=0.0)
        tau_t, tau_r, k = times.draw(size, self.transport.start, self.draws)
        cond = None if given is None else self._hide_labels(given, size, self.draws)
        eps = torch.randn(data.shape, generator=self.on_device, device=self.device)
        return Batch(data, eps, tau_t.to(self.device), tau_r.to(self.device), k, cond)

    def _hide_labels(
        self, given: Tensor | Condition, count: int, generator: torch.Generator
    ) -> Condition:
        """What a batch was given, with some labels hidden, for guidance."""
        drop = torch.rand(count, generator=generator, device=generator.device)
        cond = given if isinstance(given, Condition) else Condition(given)
        hidden = (drop < self.recipe.label_drop).to(self.device)
        return cond.without_labels(hidden, len(self.source.categories))

    def _average_gradients(self) -> None:
        """All processes started from the same weights; the mean gradient keeps them equal."""
        if self.accelerator.num_processes == 1:
            return
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        flat = self.reduce(torch.cat([g.flatten() for g in grads]), "mean")
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def reduce(self, value: Tensor, how: str) -> Tensor:
        """The sum or mean of a tensor over all processes."""
        reduced = self.accelerator.reduce(value, how)
        assert isinstance(reduced, Tensor)
        return reduced

    def flow_samples(self) -> list[Tensor]:
        """A sample a category at 1, 2 and 8 calls, sampled as the checkpoint will say."""
        source, device = self.source, self.device
        count = len(source.categories) or ALONE
        generator = torch.Generator(device).manual_seed(0)
        data, given = source.batch(count, torch.Generator().manual_seed(0))
        cond = given if isinstance(given, Condition) else None
        if cond is None and source.categories:
            cond = Condition(torch.arange(count, device=device))
        noise = torch.randn(data.shape, generator=generator, device=device)
        with self.autocast():
            return [
                self.sampling.sample(self.transport, self.ema, noise, steps, cond, cumulative=True)
                for steps in (1, 2, 8)
            ]

    # -- files ------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"net.{n}": p for n, p in self.net.state_dict().items()}
        tensors |= {f"ema.{n}": p for n, p in self.ema.state_dict().items()}
        if self.frozen is not None:
            tensors |= {f"teacher.{n}": p for n, p in self.frozen.state_dict().items()}
        for k, optimizer in enumerate(self.optimizers):
            for i, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer{k}.{i}.{n}": v for n, v in state.items()}
        return {n: v.detach().contiguous() for n, v in tensors.items()}

    def _identity(self) -> dict[str, str]:
        """What a state to resume from must agree in."""
        r = self.recipe
        return {"recipe": r.name, "seed": str(self.run_seed), "steps": str(r.steps)}

    def save(self, run: Path) -> None:
        """Writes run/state.safetensors (to resume) and run/checkpoint (to use), atomically."""
        if not self.main:
            return
        meta = self._identity() | {"step": str(self.step), "seconds": str(self.seconds)}
        write_atomically(run / STATE, save(self._tensors(), metadata=meta))
        weights = self.ema.state_dict() | self.source.weights()
        save_checkpoint(run / "checkpoint", self.config(), weights)

    def config(self) -> dict[str, Any]:
        """What a checkpoint of this run says of itself."""
        r = self.recipe
        return {
            "kind": r.name,
            "network": self.network_config,
            "transport": {"name": r.transport, "arguments": r.transport_arguments},
            "data": self.source.describe(),
            "sampling": {"lead": self.sampling.lead, "mean_last": self.sampling.mean_last},
            "training": {
                "recipe": r.name,
                "step": self.step,
                "steps": r.steps,
                "batch": r.batch,
                "seed": self.run_seed,
                "minutes": round(self.seconds / 60, 2),
                "processes": self.accelerator.num_processes,
            },
        }

    def resume(self, run: Path) -> None:
        """Continues from run/state.safetensors.

        Raises:
            ValueError: no state there, a broken one, or one of another recipe, seed or length.
        """
        meta, parts = _read_state(run, self._identity(), self.device)
        config = run / "checkpoint" / "config.json"
        if config.is_file() and json.loads(config.read_text())["data"] != self.source.describe():
            raise ValueError(
                f"{run} was started with another --data; use the same, or another --out"
            )
        self.net.load_state_dict(parts["net"])
        self.ema.load_state_dict(parts["ema"])
        if "teacher" in parts:
            self.teach(parts["teacher"])
        for k, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in parts[f"optimizer{k}"].items():
                index, key = name.split(".")
                state.setdefault(int(index), {})[key] = value.cpu() if value.dim() == 0 else value
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = int(meta["step"]), float(meta["seconds"])

    def warm_start(self, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Starts from a checkpoint's weights; parts that it lacks keep their start values.

        Raises:
            ValueError: the weights are of another architecture, or predict something else.
        """
        given = config["transport"]
        if get_transport(given["name"], **given.get("arguments", {})) != self.transport:
            raise ValueError(
                f"--init must be of the transport {self.recipe.transport} "
                f"{self.recipe.transport_arguments}; it is of {given}"
            )
        other = self.source.weights().keys()
        weights = {n: w for n, w in weights.items() if n not in other}
        try:
            missing, unexpected = self.net.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise ValueError(
                f"--init is of another architecture: {str(error).splitlines()[-1].strip()}"
            ) from None
        if unexpected:
            raise ValueError(f"--init holds weights this network lacks: {unexpected[0]}")
        if self.main and missing:
            print(f"starting afresh: {', '.join(missing)}", file=sys.stderr)
        self.ema.load_state_dict(self.net.state_dict())


def optimizers(net: nn.Module, recipe: Recipe, device: torch.device) -> list[torch.optim.Optimizer]:
    """What the recipe names: AdamW for all, or Muon for the matrices of blocks [Jordan 2024]."""
    one_of("optimizer", recipe.optimizer, ("AdamW", "Muon"))
    within = (SelfAttention, CrossAttention, SwiGLU)
    inner = {
        id(layer.weight)
        for part in net.modules()
        if isinstance(part, within) and recipe.optimizer == "Muon"
        for layer in part.children()
        if isinstance(layer, nn.Linear)
    }
    parameters = [*net.parameters()]
    rate, decay = recipe.stages[0].learning_rate, recipe.weight_decay
    adam = torch.optim.AdamW(
        [p for p in parameters if id(p) not in inner],
        lr=rate,
        betas=(0.9, 0.99),
        weight_decay=decay,
        fused=device.type == "cuda",
    )
    if not inner:
        return [adam]
    return [adam, Muon([p for p in parameters if id(p) in inner], rate, decay)]


def _read_state(
    run: Path, want: dict[str, str], device: torch.device
) -> tuple[dict[str, str], dict[str, dict[str, Tensor]]]:
    """The meta data, which must hold what is wanted, and group -> name -> tensor."""
    path = run / STATE
    if not path.is_file():
        raise ValueError(f"--resume needs {path}; it does not exist; start without --resume")
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            meta, tensors = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is broken ({error}); start without --resume") from None
    for key, value in want.items():
        if meta.get(key) != value:
            raise ValueError(
                f"{path} was made with {key} {meta.get(key)}; this run has {value}; use the "
                "same, or another --out"
            )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, rest = name.split(".", 1)
        groups.setdefault(group, {})[rest] = value
    return meta, groups
