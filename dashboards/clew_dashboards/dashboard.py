"""What every page is given, and how a page answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import Request as HttpRequest
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from clew_collector.model import record
from clew_collector.stores.base import Store
from clew_dashboards.health import Health
from clew_dashboards.palette import Palette
from clew_dashboards.wording import count_text, number_text


@record
class Dashboard:
    """What pages work with: the store they ask, the templates they fill, the hues of services, and the clock."""

    store: Store
    health: Callable[[], Health]
    templates: Environment
    palette: Palette
    now_ns: Callable[[], int]

    def hues_of(self, services: Iterable[str]) -> Callable[[str], int]:
        """The hue of each service, these among them.

        Those that the store knows come first, in its order: so a restart gives the same hues.
        """
        if not self.palette.knows(services):
            self.palette.meet(self.store.services())
        return self.palette.hue

    def page(self, template: str, *, status_code: int = 200, **values: Any) -> Response:
        """An HTML page."""
        html = self.templates.get_template(template).render(values)
        return HTMLResponse(html, status_code=status_code, headers={"cache-control": "no-cache", "vary": "accept"})


def json_answer(form: Mapping[str, Any], *, status_code: int = 200) -> Response:
    """The JSON twin of a page."""
    headers = {"cache-control": "no-cache", "vary": "accept"}
    return Response(orjson.dumps(form), status_code, headers, "application/json")


def wants_json(http: HttpRequest) -> bool:
    """Whether the JSON twin was asked for, by `?format=json` or by `Accept: application/json`."""
    wished = http.query_params.get("format")
    if wished:
        return wished == "json"
    accepted = http.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def request_path(request_id: str) -> str:
    """The address of a request's page, whatever characters its ID has."""
    return f"/requests/{quote(request_id, safe='')}"


def templates_for(static_path: str) -> Environment:
    """The templates, everything that they print escaped."""
    environment = Environment(
        loader=PackageLoader("clew_dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=count_text, number=number_text, request_path=request_path, json_script=_json_for_script
    )
    environment.globals.update(static=static_path)
    return environment


def _json_for_script(form: object) -> Markup:
    # Inside <script> only "</script" and "<!--" end or change the text: no "<" stays, so neither can occur.
    text = orjson.dumps(form).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)
