from clew_demo.resilience.budget import RetryBudget


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def retries(budget: RetryBudget, *, wanted: int = 1000) -> int:
    return sum(budget.take() for _ in range(wanted))


def test_retries_are_a_share_of_requests() -> None:
    budget = RetryBudget(ratio=0.2, monotonic_s=Clock())

    for _ in range(100):
        budget.note_request()

    assert retries(budget) == 20


def test_little_traffic_may_retry_a_few_times() -> None:
    budget = RetryBudget(min_retries=3, monotonic_s=Clock())
    budget.note_request()

    assert retries(budget) == 3


def test_only_the_last_seconds_count() -> None:
    clock = Clock()
    budget = RetryBudget(ratio=0.2, min_retries=3, window_s=10, monotonic_s=clock)
    for _ in range(100):
        budget.note_request()
    assert retries(budget) == 20

    clock.now_s = 10.1

    assert retries(budget) == 3
