"""Dashboard: pages for people, made in the browser from what /v1 answers; nothing comes from
another host.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

PAGES = Path(__file__).with_name("pages")
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,  # plotly writes its styles into the page
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pages(StaticFiles):
    """Files that no other page may frame and that bring nothing from elsewhere."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update(HEADERS)
        return answer


def add_dashboard(app: FastAPI) -> None:
    """Serve the pages at /dashboard/, to which / leads, and the API's at /docs.

    Plotly's script comes from the installed package.
    """
    spec = find_spec("plotly")  # which is not imported: that takes a second
    assert spec is not None and spec.origin is not None, "plotly is among our dependencies"
    script = Path(spec.origin).parent / "package_data" / "plotly.min.js"

    @app.get("/", include_in_schema=False)
    async def start() -> Any:
        return RedirectResponse("/dashboard/")

    @app.get("/dashboard/plotly.js", include_in_schema=False)
    async def plotly() -> Any:
        return FileResponse(
            script, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"}
        )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Any:
        return FileResponse(PAGES / "docs.html", headers=HEADERS)

    app.mount("/dashboard", Pages(directory=PAGES, html=True))
