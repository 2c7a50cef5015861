"""The loss of a batch in one call."""

from geoflow.flow.objective import Loss
from geoflow.flow.targets import Batch, Residual


def loss_of(transport, net, data, eps, t, r, k, cond=None, *, target=None, x=None, **loss):
    """`Loss(**loss)` of a batch of clock times; Residual() where no target is given."""
    batch = Batch(data, eps, t, r, k, cond, x)
    return Loss(**loss)(transport, net, batch, target or Residual())
