"""The harness: a test tries one fault many times through `attempts`, which counts how often its promise held."""

import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastresnet.chapters.faults import FaultMatrix, FaultRow

_ROWS = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption("--faults", type=Path, metavar="FILE", help="Try every fault in full, and write the matrix here.")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


class Attempts:
    """How often a fault was tried and how often its promise held; what failed is kept until the end."""

    def __init__(self, *, full):
        self.full = full
        self.tried = self.held = 0
        self.failures = []

    def times(self, full, sample):
        """How often to try: in full for the matrix, a sample among the other tests."""
        return full if self.full else sample

    @contextmanager
    def attempt(self, label, count=1):
        """One try, or `count` of them that hold or fail together."""
        self.tried += count
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:  # of whatever kind: the promise did not hold, the next may
            self.failures.append(f"{label}: {type(error).__name__}: {error}")
        else:
            self.held += count


@pytest.fixture
def attempts(request):
    """Counts the tries of a test marked `faults(fault, done, promise)`."""
    return Attempts(full=request.config.getoption("--faults", None) is not None)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Keeps a test's row, unless it was skipped or broke off; the test fails if a try did not hold or nothing was tried."""
    start = time.perf_counter()
    result = yield
    if counted := pyfuncitem.funcargs.get("attempts"):
        assert counted.tried, "nothing was tried"
        fault, done, promise = pyfuncitem.get_closest_marker("faults").args
        seconds = time.perf_counter() - start
        row = FaultRow(fault=fault, done=done, promise=promise, tried=counted.tried, held=counted.held, seconds=seconds)
        pyfuncitem.config.stash.setdefault(_ROWS, []).append(row)
        assert not counted.failures, f"{len(counted.failures)} of {counted.tried}: " + "\n".join(counted.failures[:10])
    return result


def pytest_sessionfinish(session):
    file = session.config.getoption("--faults", None)
    rows = session.config.stash.get(_ROWS, [])
    if not file or not rows:
        return
    import torch

    from fastresnet.compute.provenance import origin

    matrix = FaultMatrix(rows=tuple(rows), **dict(origin(torch.device("cpu"))))
    file.write_text(matrix.model_dump_json(indent=1) + "\n")
