"""Each sink meets each fault, with real servers: all is there at the end, as often as is promised, or a dead letter."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.sinks.faults.kafka_place import KafkaPlace
from tests.collector.sinks.faults.matrix import FAULTS, MATRIX, SINKS, as_markdown
from tests.collector.sinks.faults.scenarios import SCENARIOS
from tests.collector.sinks.faults.servers import Servers
from tests.collector.sinks.faults.trial import Trial

PAGE = Path(__file__).parents[4] / "docs" / "sinks" / "README.md"
CELLS = [(sink, fault) for sink in SINKS for fault in FAULTS if MATRIX[sink][fault].promise != "-"]


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.mark.parametrize(("sink", "fault"), CELLS, ids=[f"{sink}-{fault}" for sink, fault in CELLS])
def test_what_is_promised_holds(
    sink: str, fault: str, tmp_path: Path, request: pytest.FixtureRequest, own_servers: Servers
) -> None:
    cell = MATRIX[sink][fault]
    trial = Trial(sink, fault, cell, tmp_path, lambda: own_servers.place(sink, request, tmp_path))

    SCENARIOS[fault](trial, own_servers)

    found = trial.found()
    assert set(found) == set(trial.sent)
    if cell.promise == "once":
        assert found == Counter(trial.sent)
    else:
        assert isinstance(trial.place, KafkaPlace)
        assert trial.place.found_without_repeats() == Counter(trial.sent)
    assert trial.waiting() == 0
    assert [letter.reader for letter in trial.letters()] == [sink] * bool(cell.letter)


def test_each_fault_is_answered_for_by_each_sink() -> None:
    assert set(MATRIX) == set(SINKS)
    assert all(set(MATRIX[sink]) == set(FAULTS) == set(SCENARIOS) for sink in SINKS)
    unpromised = [cell for sink in SINKS for cell in MATRIX[sink].values() if cell.promise != "once"]
    assert all(cell.note for cell in unpromised)


def test_docs_show_the_matrix_that_is_tested() -> None:
    assert as_markdown() in PAGE.read_text()
