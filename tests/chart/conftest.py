"""What renders the chart needs Helm, and is left to `make test-chart`. `test_values.py` reads its files alone."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/chart/") and "test_values.py" not in item.nodeid:
            item.add_marker(pytest.mark.chart)
