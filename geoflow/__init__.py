"""geoflow: 3D shapes in one or a few network calls, by cumulative flow maps.

    import geoflow
    chairs = geoflow.load_generator("objects").generate(n=4, steps=2, category="chair", seed=0)

Read `geoflow/flow/transport.py` first to learn the method. The names are listed in `__init__.pyi`;
torch and the rest are imported only when something that needs them is asked for.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
