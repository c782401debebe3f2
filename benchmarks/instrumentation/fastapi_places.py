"""Places within a FastAPI application, and within what it starts."""

import asyncio
import concurrent.futures
import multiprocessing
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.instrumentation.places import Places

if TYPE_CHECKING:
    from fastapi import FastAPI

PATHS = (
    "async threads processes older-processes sync background stream sync-stream key-error sub/inner".split()  # noqa: SIM905
)


def make_app(places: Places) -> Any:
    """An application with a route for each kind of place."""
    from fastapi import FastAPI

    app = FastAPI()
    for add in (_add_tasks, _add_threads, _add_processes, _add_responses, _add_failures, _add_others):
        add(app, places)
    return app


def _add_tasks(app: "FastAPI", places: Places) -> None:
    from fastapi import Depends

    pool = concurrent.futures.ThreadPoolExecutor(2)
    pool.submit(int).result()  # its threads are older than the request

    def sync_dependency() -> Iterator[int]:
        places.note("sync dependency, before yield")
        yield 1
        places.note("sync dependency, after yield")

    async def async_dependency() -> AsyncIterator[int]:
        places.note("async dependency, before yield")
        yield 1
        places.note("async dependency, after yield")

    @app.get("/async")
    async def tasks(_sync: int = Depends(sync_dependency), _async: int = Depends(async_dependency)) -> None:
        places.note("async route")
        loop = asyncio.get_running_loop()

        async def in_task() -> None:
            await asyncio.sleep(0)
            places.note("asyncio.create_task")

        await asyncio.create_task(in_task())
        await loop.run_in_executor(None, places.note, "loop.run_in_executor(None)")
        await loop.run_in_executor(pool, places.note, "loop.run_in_executor(own pool)")
        await asyncio.to_thread(places.note, "asyncio.to_thread")
        await asyncio.wrap_future(pool.submit(places.note, "ThreadPoolExecutor.submit"))
        list(pool.map(places.note, ["ThreadPoolExecutor.map"]))
        loop.call_soon(places.note, "loop.call_soon")
        loop.call_later(0.001, places.note, "loop.call_later")
        await asyncio.sleep(0.01)


def _add_threads(app: "FastAPI", places: Places) -> None:
    @app.get("/threads")
    async def threads() -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=places.note, args=("threading.Thread",))
        thread.start()
        thread.join()
        timer = threading.Timer(0.001, places.note, ("threading.Timer",))
        timer.start()
        timer.join()
        called = asyncio.Event()

        def from_thread() -> None:
            loop.call_soon_threadsafe(places.note, "call_soon_threadsafe, from a thread")
            loop.call_soon_threadsafe(called.set)

        threading.Thread(target=from_thread).start()
        await called.wait()


def _add_processes(app: "FastAPI", places: Places) -> None:
    @app.get("/processes")
    def processes() -> None:
        context = multiprocessing.get_context("fork")
        results: Any = context.Queue()
        process = context.Process(target=_put, args=(results, places.is_kept_over_there))
        process.start()
        places.kept["multiprocessing.Process (fork)"] = results.get(timeout=30)
        process.join()
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            places.kept["ProcessPoolExecutor (fork)"] = executor.submit(places.is_kept_over_there).result(30)

    @app.get("/older-processes")
    def older_processes() -> None:
        places.kept["ProcessPoolExecutor, older than the request"] = older.submit(places.is_kept_over_there).result(30)
        older.shutdown()

    older = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    older.submit(int).result(30)


def _add_responses(app: "FastAPI", places: Places) -> None:
    from fastapi import BackgroundTasks
    from fastapi.responses import StreamingResponse

    @app.get("/sync")
    def sync_route() -> None:
        places.note("sync route")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        async def later() -> None:
            places.note("BackgroundTask, async")

        tasks.add_task(later)
        tasks.add_task(places.note, "BackgroundTask, sync")

    @app.get("/stream")
    async def stream() -> Any:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(0.001)
            places.note("streaming response, async generator")
            yield b"b"

        return StreamingResponse(chunks())

    @app.get("/sync-stream")
    async def sync_stream() -> Any:
        def chunks() -> Iterator[bytes]:
            yield b"a"
            places.note("streaming response, sync generator")
            yield b"b"

        return StreamingResponse(chunks())


def _add_failures(app: "FastAPI", places: Places) -> None:
    from fastapi.responses import JSONResponse

    @app.exception_handler(KeyError)
    async def handle_key_error(_request: Any, _error: Any) -> Any:
        places.note("exception handler")
        return JSONResponse({}, 418)

    @app.exception_handler(Exception)
    async def handle_any(_request: Any, _error: Any) -> Any:
        places.note("handler of unhandled exceptions (500)")
        return JSONResponse({}, 500)

    @app.get("/key-error")
    async def key_error() -> None:
        raise KeyError

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError


def _add_others(app: "FastAPI", places: Places) -> None:
    from fastapi import FastAPI, WebSocket

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        places.note("WebSocket handler")
        await socket.close()

    sub = FastAPI()

    @sub.get("/inner")
    async def inner() -> None:
        places.note("mounted application")

    app.mount("/sub", sub)


def _put(results: Any, is_kept: Any) -> None:
    results.put(is_kept())
