"""The Celery application of test_celery.py; its worker and its client are processes of their own."""

# mypy: disable-error-code="untyped-decorator,import-untyped"

import os
from typing import Any

import billiard.pool
import structlog
from celery import Celery
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger

import clew

clew.configure(log_format="json")

# A child that is asked to end right after a task may wait, ten times a second, for a word from its parent that never
# comes. That is so without clew too, and is no half a minute's worth to a test.
billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10

app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BACKEND"])
app.conf.update(
    task_default_queue=os.environ["SHOP_QUEUE"],
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    beat_schedule={"tick": {"task": "shop.tick", "schedule": 1.0}},
)
log = get_task_logger(__name__)


@app.task(name="shop.charge")
def charge(amount: int) -> int:
    log.info("charging %d", amount)
    structlog.get_logger().info("charged", amount=amount)
    print("printed while charging")
    return amount


@app.task(name="shop.add")
def add(*amounts: int) -> int:
    return sum(amounts)


@app.task(name="shop.total")
def total(amounts: list[int]) -> int:
    return sum(amounts)


@app.task(name="shop.flaky", bind=True, max_retries=3)
def flaky(self: Any) -> str:
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("try again"), countdown=0.05)
    return "in the end"


@app.task(name="shop.broken")
def broken() -> None:
    raise ValueError("out of stock")


@app.task(name="shop.ignored")
def ignored() -> None:
    raise Ignore


@app.task(name="shop.refused", bind=True, acks_late=True)
def refused(self: Any) -> None:
    raise Reject("not mine", requeue=not self.request.delivery_info["redelivered"])


@app.task(name="shop.parent")
def parent() -> None:
    charge.delay(2)


@app.task(name="shop.tick")
def tick() -> None:
    pass
