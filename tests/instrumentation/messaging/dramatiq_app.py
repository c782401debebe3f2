"""The dramatiq actors of test_dramatiq.py; their worker and their client are processes of their own."""

# mypy: disable-error-code="no-untyped-call,call-arg"

import asyncio
import logging
import os
import time

import clew

clew.configure(log_format="json")

import dramatiq  # noqa: E402  (clew may come first, or last)
from dramatiq.middleware import AsyncIO  # noqa: E402

if os.environ["SHOP_BROKER"].startswith("redis"):
    from dramatiq.brokers.redis import RedisBroker

    broker: dramatiq.Broker = RedisBroker(url=os.environ["SHOP_BROKER"], namespace=os.environ["SHOP_QUEUE"])
else:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    broker = RabbitmqBroker(url=os.environ["SHOP_BROKER"])
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)

QUEUE = os.environ["SHOP_QUEUE"]
log = logging.getLogger("shop")


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def charge(amount: int) -> None:
    log.warning("charging %d", amount)


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
async def charge_later(amount: int) -> None:
    await asyncio.sleep(0)
    log.warning("charging %d", amount)
    charge.send(amount)


@dramatiq.actor(queue_name=QUEUE, max_retries=3, min_backoff=10, max_backoff=20)
def flaky(name: str) -> None:
    path = os.path.join(os.environ["SHOP_FOLDER"], name)
    if not os.path.exists(path):
        open(path, "w").close()
        raise ConnectionError("try again")


@dramatiq.actor(queue_name=QUEUE, max_retries=3)
def postponed(name: str) -> None:
    path = os.path.join(os.environ["SHOP_FOLDER"], name)
    if not os.path.exists(path):
        open(path, "w").close()
        raise dramatiq.Retry("not yet", delay=10)


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def broken() -> None:
    raise ValueError("out of stock")


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def add(*amounts: int) -> int:
    return sum(amounts)


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def slow() -> None:
    log.warning("slow one begins")
    time.sleep(0.5)
