"""What people look at: the dashboard, the API's documentation and what each problem means.

Nothing here loads anything from another host; no script or style is inline, but for the styles
that Swagger UI sets itself on its own page.
"""

import html
import mimetypes
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from api.middleware import PAGE_CSP
from api.problems import CATALOGUE

HTML = "text/html; charset=utf-8"
ASSETS = Path(__file__).parent / "assets"
DOCS_CSP = PAGE_CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI over our own OpenAPI."""
    return _page((ASSETS / "docs.html").read_text(), csp=DOCS_CSP)


@router.get("/docs/{name}")
async def docs_asset(name: str) -> Response:
    """Scripts and styles of the documentation."""
    found = _docs_assets().get(name)
    if found is None:
        raise HTTPException(404)
    return Response(
        found,
        media_type=mimetypes.guess_type(name)[0] or "text/plain",
        headers={"Cache-Control": "public, max-age=3600"},
    )


@router.get("/problems")
async def problems() -> Response:
    """Every problem that the API answers with."""
    rows = "".join(
        f'<tr><td><a href="/problems/{code}"><code>{code}</code></a></td><td>{each.status}</td>'
        f"<td>{html.escape(each.title)}</td></tr>"
        for code, each in sorted(CATALOGUE.items())
    )
    return _problem_page("Problems", f"<h1>Problems</h1><table>{rows}</table>")


@router.get("/problems/{code}")
async def problem_page(code: str) -> Response:
    """What one problem means and what to do."""
    found = CATALOGUE.get(code)
    if found is None:
        raise HTTPException(404)
    again = "may be repeated as it is" if found.retryable else "must be changed first"
    return _problem_page(
        found.title,
        f"<h1>{html.escape(found.title)}</h1>"
        f"<p><code>{html.escape(code)}</code> · HTTP {found.status}</p>"
        f"<p>{html.escape(found.meaning)}</p>"
        f"<p>The request {again}.</p>"
        f'<p><a href="/problems">All problems</a></p>',
    )


def install_dashboard(app: FastAPI, directory: Path) -> None:
    """Serve the built dashboard at ``/``; addresses that it routes itself get its index."""

    @app.get("/{path:path}", include_in_schema=False)
    async def dashboard(request: Request, path: str) -> Response:
        if path.startswith(("v1/", "problems/", "docs/")) or path == "v1":
            raise HTTPException(404)
        file = _inside(directory, path)
        if file is not None:
            hashed = file.parent.name == "assets"
            return FileResponse(
                file,
                headers={
                    "Cache-Control": IMMUTABLE if hashed else REVALIDATE,
                    "Content-Security-Policy": PAGE_CSP,
                },
            )
        if "text/html" not in request.headers.get("accept", ""):
            raise HTTPException(404)
        index = _inside(directory, "index.html")
        if index is None:
            return _page((ASSETS / "unbuilt.html").read_text(), status=404)
        headers = {"Cache-Control": REVALIDATE, "Content-Security-Policy": PAGE_CSP}
        return FileResponse(index, headers=headers)


def _inside(directory: Path, path: str) -> Path | None:
    """The file at ``path`` below ``directory``; None for anything else."""
    try:
        file = (directory / path).resolve()
        root = directory.resolve()
        return file if file.is_relative_to(root) and file.is_file() else None
    except (OSError, ValueError):  # a name too long, or with a NUL
        return None


@lru_cache(maxsize=1)
def _docs_assets() -> dict[str, bytes]:
    packaged = files("fastapi_swagger") / "resources"
    names = ("swagger-ui-bundle.js", "swagger-ui.css")
    assets = {name: (packaged / name).read_bytes() for name in names}
    return assets | {name: (ASSETS / name).read_bytes() for name in ("docs.js", "page.css")}


def _problem_page(title: str, body: str) -> Response:
    return _page(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)} · souk</title>"
        '<meta name="viewport" content="width=device-width">'
        '<link rel="stylesheet" href="/docs/page.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def _page(text: str, *, status: int = 200, csp: str = PAGE_CSP) -> Response:
    headers = {"Content-Security-Policy": csp, "Cache-Control": REVALIDATE}
    return Response(text, status, headers, HTML)
