"""One market for all faults: a market that has survived one must survive the next."""

import pytest

from tests.e2e.world import make_world


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    with make_world(tmp_path_factory.mktemp("faults")) as made:
        yield made
