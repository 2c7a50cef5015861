"""SDF grids, from a category or a sparse cloud [CFM section 6.3]."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
