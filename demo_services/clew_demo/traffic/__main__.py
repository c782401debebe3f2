"""`python -m clew_demo.traffic`: use the demo shop until told to stop."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Iterator, Sequence

import httpx

from clew_demo.settings import HOST, PORTS
from clew_demo.traffic.customers import Customers
from clew_demo.traffic.visits import DAY_S, Visit, visits

REPORT_EVERY_S = 30
TIMEOUT_S = 30

log = logging.getLogger("clew_demo.traffic")


def main(arguments: Sequence[str] | None = None) -> None:
    """Send customers to the gateway until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    coming = visits(options.seed, rate_per_s=options.rate, day_s=60 * options.day)
    log.info(f"{options.rate:g} requests/s to {options.gateway}, seed {options.seed}")
    asyncio.run(_run(options.gateway, coming))


async def _run(gateway_url: str, coming: Iterator[Visit]) -> None:
    async with httpx.AsyncClient(base_url=gateway_url, timeout=TIMEOUT_S, trust_env=False) as client:
        customers = Customers(client)
        tasks = [
            asyncio.create_task(customers.perform(coming)),
            asyncio.create_task(_report(customers)),
        ]
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, tasks[0].cancel)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks[1].cancel()
    log.info(_summary(customers))


async def _report(customers: Customers) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        log.info(_summary(customers))


def _summary(customers: Customers) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(customers.outcomes.items()))
    return f"{customers.outcomes.total()} requests so far: {outcomes or 'none'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clew_demo.traffic", description=__doc__)
    parser.add_argument("--gateway", default=f"http://{HOST}:{PORTS['gateway']}", metavar="URL")
    parser.add_argument("--rate", type=float, default=4, metavar="REQUESTS_PER_S", help="mean over a day")
    parser.add_argument("--day", type=float, default=DAY_S / 60, metavar="MINUTES", help="length of a day")
    parser.add_argument("--seed", type=int, help="repeat the same visits (default: other ones each time)")
    return parser


if __name__ == "__main__":
    main()
