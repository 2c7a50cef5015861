"""How a checkpoint is to be sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from geoflow.flow.condition import Net
from geoflow.flow.sampling import sample, time_grid
from geoflow.flow.transport import Transport


@dataclass(frozen=True)
class SamplingSettings:
    """What config.json says of it, in its part "sampling".

    Attributes:
        lead: of the time grid, see geoflow.flow.time_grid, where the map is folded.
        cumulative_calls: fold the map up to so many calls; None always.
        mean_last: see geoflow.flow.sample.
    """

    lead: float = 0.0
    cumulative_calls: int | None = None
    mean_last: bool = False

    def sample(
        self,
        transport: Transport,
        net: Net,
        noise: Tensor,
        steps: int,
        cond: Any = None,
        *,
        cumulative: bool | None = None,
        **options: Any,
    ) -> Tensor:
        """Carries noise to data in `steps` calls of geoflow.flow.sample the way these settings say.

        With `cumulative` True the map is folded, with False it samples with r = t, the ordinary
        multi-step way, with None as `cumulative_calls` says. Of the options guidance exaggerates
        the condition, at twice the calls, and on_step is called with (calls made, state) after each
        step; it may raise to stop.
        """
        if cumulative is None:
            cumulative = self.cumulative_calls is None or steps <= self.cumulative_calls
        times = time_grid(transport, steps, lead=self.lead if cumulative else 0.0)
        options |= {"cumulative": cumulative, "mean_last": self.mean_last}
        return sample(transport, net, noise, times, cond, **options)
