"""One market for all tests of this folder."""

import pytest

from .world import make_world


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    with make_world(tmp_path_factory.mktemp("e2e")) as made:
        yield made
