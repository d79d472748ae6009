import pytest

from quality.student.fit import FitOptions, fit
from quality.student.model import FeatureSpace
from tests.quality.student.examples import training_set

OPTIONS = FitOptions(space=FeatureSpace(12, 12))


@pytest.fixture(scope="session")
def data():
    return training_set()


@pytest.fixture(scope="session")
def trained(data):
    return fit(data, OPTIONS)


@pytest.fixture(scope="session")
def options():
    return OPTIONS
