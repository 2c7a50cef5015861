"""What all applications share: a checkpoint on disk, its config.json, and a network that runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
