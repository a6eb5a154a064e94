"""What all tests share: the hypothesis profiles, and the backends they run on."""

import pytest
from hypothesis import HealthCheck, settings

from minidl.backend import BackendError, import_cupy

settings.register_profile(
    "quick",
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=500)
settings.load_profile("quick")  # pytest --hypothesis-profile=thorough for the other


def _missing(backend: str) -> str | None:
    """Why tests on this backend cannot run here, if they cannot."""
    if backend == "cupy":
        try:
            import_cupy()
        except BackendError as error:
            return str(error)
    return None


@pytest.fixture(params=["numpy", "cupy"], scope="session")
def backend(request):
    """The array library a test runs on."""
    reason = _missing(request.param)
    if reason:
        pytest.skip(reason)
    return request.param
