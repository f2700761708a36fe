"""Refusal: why a request is not answered as wished, in words for whoever reads the answer."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edgecap.runtime.errors import EdgecapError, InputMissingError, UnavailableError


class Refusal(Exception):
    """An answer of that status: {"error", "why", "fix"}."""

    def __init__(self, status: int, error: str, *, why: str = "", fix: str = "", **headers: str) -> None:
        super().__init__(error)
        self.status, self.error, self.why, self.fix = status, error, why, fix
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Response:
        told = {"error": self.error, "why": self.why, "fix": self.fix}
        return JSONResponse(told, self.status, self.headers)


WORDS = {
    404: ("there is nothing at this address", "docs/http.md lists the addresses"),
    405: ("this address is not asked in this way", "docs/http.md tells GET or POST"),
}


def refuse(_request: Request, error: Exception) -> Response:
    """What is answered where a handler or the router raised."""
    if isinstance(error, Refusal):
        return error.answer()
    if isinstance(error, HTTPException):
        what, fix = WORDS.get(error.status_code, (error.detail, ""))
        return Refusal(error.status_code, what, fix=fix, **dict(error.headers or {})).answer()
    assert isinstance(error, EdgecapError)
    status = (
        503 if isinstance(error, UnavailableError) else 404 if isinstance(error, InputMissingError) else 400
    )
    return Refusal(status, error.what, why=error.why, fix=error.fix).answer()
