"""The public names: all there, and listed for whoever presses tab."""

import geoflow


def test_every_public_name_is_listed_and_loads():
    assert "load_generator" in dir(geoflow)
    for name in geoflow.__all__:
        assert name in dir(geoflow)
        assert getattr(geoflow, name) is not None
