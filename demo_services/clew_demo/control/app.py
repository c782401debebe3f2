"""Routes of the page of faults, and of its JSON twin."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from clew_demo.control.view import to_json, to_page
from clew_demo.faults.catalogue import FAULTS
from clew_demo.faults.switchboard import Switchboard
from clew_demo.problems import Problem
from clew_demo.serving import build_app

HERE = Path(__file__).parent
STYLESHEET = HERE / "static" / "control.css"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter()
templates = Jinja2Templates(HERE / "templates")
log = structlog.get_logger()


def create_app(faults: Switchboard, *, dashboard_url: str | None = None) -> FastAPI:
    """The page over one shop's switchboard. With a dashboard, it links to what can be seen there."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = build_app("control", router, lifespan=lifespan)
    app.state.faults = faults
    app.state.dashboard_url = dashboard_url
    return app


async def the_faults(request: Request) -> Switchboard:
    """The switchboard that the app was made with."""
    faults: Switchboard = request.app.state.faults
    return faults


async def from_here(sec_fetch_site: Annotated[str, Header()] = "none") -> None:
    """Raise `Problem` for a change that a page of another site asks the reader's browser for."""
    if sec_fetch_site not in ("none", "same-origin"):
        raise Problem(403, "cross_site", "Another site may not plant or lift faults here.")


async def a_fault(name: str) -> str:
    """The name of a fault that there is. Raises `Problem`."""
    if name not in FAULTS:
        raise Problem(404, "unknown_fault", f"There is no fault {name}; GET /faults?format=json lists them.")
    return name


Faults = Annotated[Switchboard, Depends(the_faults)]
Name = Annotated[str, Depends(a_fault)]
changing = APIRouter(dependencies=[Depends(from_here)])


@router.get("/", include_in_schema=False)
async def home() -> Response:
    """The one page there is."""
    return RedirectResponse("/faults")


@router.get("/static/control.css", include_in_schema=False)
async def stylesheet() -> Response:
    """How the page looks."""
    return FileResponse(STYLESHEET, headers={"Cache-Control": "no-cache"})


@router.get("/faults")
async def list_faults(request: Request, faults: Faults, format: Literal["html", "json"] = "html") -> Any:
    """All faults, and since when those that are planted are."""
    planted = faults.planted()
    if format == "json":
        return to_json(planted)
    page = to_page(planted, now_ns=time.time_ns(), dashboard_url=request.app.state.dashboard_url)
    return templates.TemplateResponse(
        request, "faults.html", {"page": page}, headers={"Content-Security-Policy": POLICY}
    )


@changing.put("/faults/{name}")
async def put_fault(name: Name, faults: Faults) -> Any:
    """Plant a fault. Twice is as once."""
    return {"name": name, "since_ns": _plant(faults, name)}


@changing.delete("/faults/{name}")
async def delete_fault(name: Name, faults: Faults) -> Any:
    """Take a fault away. Twice is as once."""
    return {"name": name, "was_planted": _lift(faults, name)}


@changing.post("/faults/{name}/plant", include_in_schema=False)
async def plant_by_button(name: Name, faults: Faults) -> Response:
    """Plant a fault, and show the page again."""
    _plant(faults, name)
    return RedirectResponse(f"/faults#{name}", status_code=303)


@changing.post("/faults/{name}/lift", include_in_schema=False)
async def lift_by_button(name: Name, faults: Faults) -> Response:
    """Take a fault away, and show the page again."""
    _lift(faults, name)
    return RedirectResponse(f"/faults#{name}", status_code=303)


@changing.post("/faults/lift-all", include_in_schema=False)
async def lift_all_by_button(faults: Faults) -> Response:
    """Take all faults away, and show the page again."""
    for name in faults.planted():
        _lift(faults, name)
    return RedirectResponse("/faults", status_code=303)


def _plant(faults: Switchboard, name: str) -> int:
    since_ns = faults.plant(name)
    log.info("fault planted", fault=name, at=FAULTS[name].service, since_ns=since_ns)
    return since_ns


def _lift(faults: Switchboard, name: str) -> bool:
    was_planted = faults.lift(name)
    if was_planted:
        log.info("fault lifted", fault=name, at=FAULTS[name].service)
    return was_planted


router.include_router(changing)
