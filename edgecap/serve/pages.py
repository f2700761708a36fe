"""The pages: files of static/, as they are, compressed where a browser takes that."""

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from .face import Face
from .guards import Who
from .refusal import Refusal

STATIC = Path(__file__).parent / "static"
AGAIN = {"cache-control": "no-cache"}
"""A browser asks each time whether its copy is still good, by the file's ETag."""

_files = StaticFiles(directory=STATIC)


class Page:
    """A page by its file's name. login: where who may not read is sent to, as seen from the page."""

    def __init__(self, name: str, login: str = "login") -> None:
        self.name, self.login = name, login

    async def __call__(self, request: Request, _face: Face, _asking: Who | None) -> ASGIApp:
        return await _file(f"{self.name}.html", request)


async def static(request: Request, _face: Face, _asking: Who | None) -> ASGIApp:
    return await _file(request.path_params["path"], request)


async def tv(_request: Request, _face: Face, _asking: Who | None) -> ASGIApp:
    """The page names its files as seen from below /tv/."""
    return RedirectResponse("tv/", 307)


async def authority(_request: Request, face: Face, _asking: Who | None) -> ASGIApp:
    """The certificate that devices have to trust, as a file that they take."""
    if not face.authority:
        raise Refusal(404, "there is no certificate here", fix="start `edgecap serve --https`")
    headers = {"content-disposition": 'attachment; filename="edgecap-ca.crt"', **AGAIN}
    return Response(face.authority, headers=headers, media_type="application/x-x509-ca-cert")


async def _file(path: str, request: Request) -> ASGIApp:
    answer = await _files.get_response(path, request.scope)
    answer.headers.update(AGAIN)
    return GZipMiddleware(answer, minimum_size=500)
