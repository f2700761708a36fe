"""The table of routes: every route of the app is in it, and each refuses whom its guard says."""

import socket
from collections.abc import Iterator

import pytest
from starlette.routing import Route

from edgecap.serve.app import TABLE, Entry, routed
from edgecap.serve.guards import Guard
from edgecap.serve.pages import Page
from tests.edgecap.serve.house import Answer, RunningFace

PASSPHRASE = "a few quiet words"
HUGE = 10 << 20

Secrets = dict[str, str]
ENTRIES = pytest.mark.parametrize("entry", TABLE, ids=lambda entry: f"{entry.method} {entry.path}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningFace, Secrets]]:
    """A face with a passphrase, so that this machine is a stranger too; and who was let in."""
    with RunningFace(tmp_path_factory.mktemp("data")) as face:
        access = face.face.guards.access
        access.set_passphrase(PASSPHRASE)
        reader, owner = access.add("device", "reader"), access.add("device", "owner", owner=True)
        gone, link = access.add("device", "gone"), access.add("obs", "stream")
        access.revoke(gone[0].id)
        tokens = {"reader": reader[1], "owner": owner[1], "revoked": gone[1], "wrong": "nonsense"}
        cookies = {name: f"{access.cookie}={token}" for name, token in tokens.items()}
        yield face, {**cookies, "link": link[1]}


def ask(face: RunningFace, entry: Entry, **headers: str) -> Answer:
    return face.ask(entry.method, path(entry), b"{}" if entry.method == "POST" else None, **headers)


def path(entry: Entry, token: str = "nonsense") -> str:
    return entry.path.replace("{path:path}", "index.html").replace("{token}", token)


def assert_stranger(entry: Entry, answer: Answer) -> None:
    if entry.guard is Guard.OPEN:
        assert answer.status != 403
        assert answer.status != 401 or "logs in" not in answer.json["fix"]
    elif isinstance(entry.handler, Page):
        assert (answer.status, answer.headers["location"]) == (303, entry.handler.login)
    else:
        assert answer.status == 401
        assert answer.json["fix"]


def test_the_app_has_the_tables_routes_and_no_other(guarded: tuple[RunningFace, Secrets]) -> None:
    found = set()
    for route in routed(guarded[0].face).routes:
        assert isinstance(route, Route)
        found |= {(method, route.path) for method in (route.methods or ()) - {"HEAD"}}
    assert found == {(entry.method, entry.path) for entry in TABLE}


@ENTRIES
def test_strangers_are_refused(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    assert_stranger(entry, ask(face, entry))
    for cookie in ("wrong", "revoked"):
        assert_stranger(entry, ask(face, entry, cookie=secrets[cookie]))


@ENTRIES
def test_a_device_that_may_read_owns_nothing(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    if entry.guard is Guard.OWNER:
        assert ask(face, entry, cookie=secrets["reader"]).status == 403


@ENTRIES
def test_a_link_opens_what_a_link_may(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    if entry.path == "/events":
        with face.browser(f"/events?link={secrets['link']}") as browser:
            assert browser.next("hello")["device"]["name"] == "stream"
        return
    asked = f"{path(entry, secrets['link'])}?link={secrets['link']}"
    answer = face.ask(entry.method, asked, b"{}" if entry.method == "POST" else None)
    if entry.guard is Guard.LINK:
        assert answer.status == 200
    else:
        assert_stranger(entry, answer)


@ENTRIES
def test_another_page_is_refused(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    for told in ({"origin": "https://evil.example"}, {"origin": "null"}):
        answer = ask(face, entry, cookie=secrets["owner"], **told)
        refused = entry.guard is not Guard.OPEN or entry.method != "GET"
        assert (answer.status == 403) == refused
    if entry.method == "POST":
        for site in ("cross-site", "same-site"):
            answer = face.ask(
                "POST", path(entry), b"{}", cookie=secrets["owner"], origin="", sec_fetch_site=site
            )
            assert answer.status == 403


@ENTRIES
def test_what_a_form_could_send_is_refused(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    if entry.method == "POST":
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
        ):
            assert ask(face, entry, cookie=secrets["owner"], content_type=kind).status == 415


@ENTRIES
def test_the_wrong_method_is_refused(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, secrets = guarded
    here = {each.method for each in TABLE if each.path == entry.path}
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - here:
        answer = face.ask(method, path(entry), None if method == "GET" else b"{}", cookie=secrets["owner"])
        assert (answer.status, answer.json["error"]) == (405, "this address is not asked in this way")


@ENTRIES
@pytest.mark.parametrize("is_chunked", [False, True], ids=["counted", "chunked"])
def test_ten_megabytes_are_refused(
    guarded: tuple[RunningFace, Secrets], entry: Entry, is_chunked: bool
) -> None:
    face, secrets = guarded
    if is_chunked and entry.method == "GET":
        return  # nothing reads it
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {HUGE}"
    head = (
        f"{entry.method} {path(entry)} HTTP/1.1\r\nHost: {face.host}\r\nOrigin: http://{face.host}\r\n"
        f"Cookie: {secrets['owner']}\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
    with socket.create_connection((face.host, face.port), timeout=20) as connection:
        connection.sendall(head.encode())
        block = b" " * (1 << 16)
        for _ in range(HUGE // len(block)):
            connection.sendall(b"%x\r\n%b\r\n" % (len(block), block) if is_chunked else block)
        if is_chunked:
            connection.sendall(b"0\r\n\r\n")
        assert connection.recv(4096).split(b"\r\n")[0] == b"HTTP/1.1 413 Request Entity Too Large"


@ENTRIES
def test_every_answer_has_the_headers(guarded: tuple[RunningFace, Secrets], entry: Entry) -> None:
    face, _ = guarded
    for answer in (ask(face, entry), face.ask("PUT", path(entry), b"{}"), face.ask("GET", "/nowhere")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "where", ["/nowhere", "/static/../run.py", "/static/%2e%2e/run.py", "/api", "/Events"]
)
def test_what_is_not_in_the_table_is_not_there(guarded: tuple[RunningFace, Secrets], where: str) -> None:
    face, secrets = guarded
    answer = face.ask("GET", where, cookie=secrets["owner"])
    assert (answer.status, answer.json["error"]) == (404, "there is nothing at this address")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost:x@evil.example"]
)
def test_another_name_is_refused(guarded: tuple[RunningFace, Secrets], host: str) -> None:
    """Whoever lets a name of his point to this machine gets no page for it."""
    face, secrets = guarded
    for where in ("/", "/api/rooms", "/static/index.html", "/healthz", "/nowhere"):
        assert face.ask("GET", where, cookie=secrets["owner"], host=host).status in (400, 421)
