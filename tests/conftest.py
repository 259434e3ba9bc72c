from collections.abc import Callable

import golden as runner
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write down what golden tests get"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[runner.Case, Callable[[str], str]], None]:
    """Checks a golden case: `golden(case, source_to_text)`."""
    update = request.config.getoption("--update-golden")
    return lambda case, run: runner.check(case, run, update=update)
