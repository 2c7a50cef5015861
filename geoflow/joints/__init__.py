"""Joints, skeleton and skin of a character [CFM section 6.4]."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
