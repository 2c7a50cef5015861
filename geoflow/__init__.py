"""geoflow: 3D shapes in one or a few network calls, by cumulative flow maps.

    import geoflow
    chairs = geoflow.load_generator("objects").generate(n=4, steps=2, category="chair", seed=0)

Read `geoflow/transport.py` first to learn the method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoflow.pipelines import ObjectGenerator as ObjectGenerator
    from geoflow.pipelines import load_generator as load_generator

__version__ = "0.1.0"
__all__ = ["ObjectGenerator", "__version__", "load_generator"]


def __getattr__(name: str) -> Any:
    """Imports torch only when something that needs it is asked for."""
    if name in ("ObjectGenerator", "load_generator"):
        from geoflow import pipelines

        return getattr(pipelines, name)
    raise AttributeError(f"module 'geoflow' has no attribute {name!r}")
