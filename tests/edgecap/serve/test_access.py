"""Who is let in, for how long, and how it ends: pairing, passphrase, links, and the doors to the network."""

import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgecap.runtime.errors import ConfigError, InputMissingError, UsageError
from edgecap.serve import door, net, run
from edgecap.serve.access import MOST_TRIES, Access
from edgecap.serve.door import Doors, Place
from edgecap.serve.guards import TRIES
from tests.edgecap.serve.house import RunningFace, house, until

PASSPHRASE = "a few quiet words"


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LOOK_S", 0.05)


@pytest.fixture
def face(tmp_path: Path) -> Any:
    with RunningFace(tmp_path) as running:
        yield running


@pytest.fixture
def paired(face: RunningFace) -> tuple[RunningFace, str]:
    """A face, and the cookie of a paired device."""
    invited = face.face.guards.access.invite()
    return face, face.ask("POST", "/api/pair", {"token": invited.token, "name": "phone"}).cookie


def test_a_code_lets_one_device_in_and_the_stream_of_a_revoked_one_ends(tmp_path: Path) -> None:
    """The whole way: the owner's page makes a code, a phone comes by it, and is sent away."""
    with house(tmp_path, "kitchen") as (face, [ear]):
        offered = face.ask("POST", "/api/pairing", {"base": "http://kitchen.lan:7380/heard/"})
        assert (offered.status, "no other device can come here") == (409, offered.json["error"])
        face.doors.at = Place("", face.port)  # as without --listen
        offered = face.ask("POST", "/api/pairing", {})
        told = offered.json
        assert told["url"].endswith(f":{face.port}/pair#{told['token']}")
        assert told["svg"].startswith("<svg")
        face.ask("POST", "/api/passphrase", {"new": PASSPHRASE})  # so that this machine is a stranger too
        assert face.ask("GET", "/api/captions").status == 401

        paired = face.ask("POST", "/api/pair", {"token": told["token"], "name": "Anna's phone"})
        assert paired.json == {"device": "Anna's phone", "owner": False}
        attributes = set(str(paired.headers["set-cookie"]).lower().split("; ")[1:])
        assert {"httponly", "samesite=strict", "path=/"} <= attributes
        assert face.ask("POST", "/api/pair", {"token": told["token"]}).status == 401
        assert face.ask("POST", "/api/pair", {"token": told["code"]}).status == 401

        with face.browser(Cookie=paired.cookie) as phone:
            assert phone.next("hello")["device"] == {"name": "Anna's phone", "owner": False}
            said = ear.say("A dog barks.")
            assert phone.next("caption")["id"] == said.id
            owner = face.ask("POST", "/api/login", {"passphrase": PASSPHRASE}).cookie
            devices = face.ask("GET", "/api/devices", cookie=owner).json["devices"]
            [anna] = [each for each in devices if each["name"] == "Anna's phone"]
            assert face.ask("POST", "/api/devices/revoke", {"id": anna["id"]}, cookie=owner).status == 200
            assert phone.is_ended()
        assert face.ask("GET", "/api/captions", cookie=paired.cookie).status == 401


def test_what_another_process_revokes_is_revoked(paired: tuple[RunningFace, str], tmp_path: Path) -> None:
    face, cookie = paired
    with face.browser(Cookie=cookie) as phone:
        phone.next("hello")
        other = Access(tmp_path)
        other.revoke(other.named()[0].id)
        assert phone.is_ended()
    other.set_passphrase(PASSPHRASE)
    assert face.ask("GET", "/api/rooms").status == 401


@pytest.mark.parametrize("typed", ["{0}", "{1}", "{2}-{3}", " {2} {3} "])
def test_an_invitation_is_for_one_device(tmp_path: Path, typed: str) -> None:
    access = Access(tmp_path)
    invited = access.invite(owner=True)
    secret = typed.format(invited.token, invited.code, invited.code[:4], invited.code[4:])
    named, token = access.pair(secret, "phone") or pytest.fail("it lets nobody in")
    assert (named.owner, named.name) == (True, "phone")
    assert access.find(token) == named
    assert access.pair(secret, "thief") is None


def test_an_invitation_ends_by_time_and_its_code_by_guesses(tmp_path: Path) -> None:
    access = Access(tmp_path)
    old, guessed = access.invite(), access.invite()
    with access._changing() as saved:
        saved.pairings[0].expires = "2026-01-31T10:00:00.000Z"
    assert access.pair(old.token, "") is None
    for number in range(MOST_TRIES):
        assert access.pair(f"{number:08d}", "") is None
    assert access.pair(guessed.code, "") is None
    assert access.pair(guessed.token, "") is not None


def test_passphrases_are_guessed_slowly(face: RunningFace) -> None:
    owner = face.ask("POST", "/api/passphrase", {"new": PASSPHRASE}).cookie
    for _ in range(TRIES):
        assert face.ask("POST", "/api/login", {"passphrase": "wrong"}).status == 401
    refused = face.ask("POST", "/api/login", {"passphrase": PASSPHRASE})
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert face.ask("POST", "/api/pair", {"token": "12345678"}).status == 429
    assert face.ask("GET", "/api/rooms", cookie=owner).status == 200


def test_a_passphrase_is_changed_by_who_knows_it(face: RunningFace) -> None:
    owner = face.ask("POST", "/api/passphrase", {"new": PASSPHRASE, "name": "laptop"}).cookie
    assert face.ask("GET", "/api/me", cookie=owner).json["device"] == "laptop"
    assert face.ask("POST", "/api/passphrase", {"new": "another one"}, cookie=owner).status == 401
    for short in ("", "1234567", "x" * 201):
        answer = face.ask("POST", "/api/passphrase", {"old": PASSPHRASE, "new": short}, cookie=owner)
        assert (answer.status, answer.json["error"]) == (400, "this is no passphrase")
    changed = face.ask("POST", "/api/passphrase", {"old": PASSPHRASE, "new": "another one"}, cookie=owner)
    assert changed.status == 200
    assert face.ask("POST", "/api/login", {"passphrase": PASSPHRASE}).status == 401
    again = face.ask("POST", "/api/login", {"passphrase": "another one"}).cookie
    assert face.ask("POST", "/api/logout", {}, cookie=again).status == 200
    assert face.ask("GET", "/api/rooms", cookie=again).status == 401


def test_a_link_opens_the_stream_until_it_is_revoked(face: RunningFace) -> None:
    made = face.ask("POST", "/api/links", {"kind": "obs", "name": "stream"}).json
    assert made["path"].startswith("obs/")
    token = made["path"].partition("/")[2]
    assert face.ask("POST", "/api/links", {"kind": "device"}).status == 400
    face.ask("POST", "/api/passphrase", {"new": PASSPHRASE})
    assert face.ask("GET", f"/{made['path']}").status == 200
    with face.browser(f"/events?link={token}") as stream:
        stream.next("hello")
        Access(face.settings.folder).revoke(made["id"])
        assert stream.is_ended()
    assert face.ask("GET", f"/{made['path']}").status == 303


@pytest.mark.parametrize(
    "header", ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"], ids=str
)
def test_behind_a_proxy_nobody_is_this_machine(face: RunningFace, header: str) -> None:
    assert face.ask("GET", "/api/rooms").status == 200
    assert face.ask("GET", "/api/rooms", **{header: "192.168.1.7"}).status == 401


def test_under_another_name_nobody_is_this_machine(face: RunningFace) -> None:
    assert face.ask("GET", "/api/rooms", host=f"localhost:{face.port}").status == 200
    assert face.ask("GET", "/api/rooms", host="192.168.1.5:7380").status == 401
    assert face.ask("GET", "/api/rooms", host=f"{socket.gethostname()}:{face.port}").status == 401


def test_the_file_is_its_owners_and_holds_no_secret(tmp_path: Path) -> None:
    access = Access(tmp_path)
    access.set_passphrase(PASSPHRASE)
    _, token = access.add("device", "phone")
    invited = access.invite()
    file = tmp_path / "access.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text(encoding="utf-8")
    assert not [secret for secret in (PASSPHRASE, token, invited.token, invited.code) if secret in text]
    again = Access(tmp_path)
    assert again.cookie == access.cookie
    assert again.is_passphrase(PASSPHRASE)
    assert not again.is_passphrase(PASSPHRASE + " ")


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    Access(tmp_path).set_passphrase(PASSPHRASE)
    (tmp_path / "access.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"access.json can't be read") as refused:
        Access(tmp_path)
    assert refused.value.fix == "remove it; devices have to be paired again then"


def test_a_file_that_is_edited_holds_on_and_one_that_is_removed_sends_everybody_away(tmp_path: Path) -> None:
    access = Access(tmp_path)
    _, token = access.add("device", "phone")
    whole = (tmp_path / "access.json").read_bytes()
    (tmp_path / "access.json").write_bytes(whole[:20])
    assert access.find(token)
    (tmp_path / "access.json").write_bytes(whole)
    assert access.find(token)
    (tmp_path / "access.json").unlink()
    assert access.find(token) is None
    access.add("device", "tablet")
    assert [each.name for each in Access(tmp_path).named()] == ["tablet"]


def test_who_changes_it_at_once_loses_nothing(tmp_path: Path) -> None:
    def add(number: int) -> str:
        return Access(tmp_path).add("device", f"phone {number}")[0].id

    with ThreadPoolExecutor(8) as pool:
        added = set(pool.map(add, range(40)))
    assert {each.id for each in Access(tmp_path).named()} == added


def test_a_device_that_is_not_there_is_not_revoked(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="there is no device or link 'nobody'"):
        Access(tmp_path).revoke("nobody")


def test_where_nothing_can_be_written_devices_come_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    access = Access(tmp_path / "file")
    assert access.trouble
    _, token = access.add("device", "phone")
    assert access.find(token)
    assert Access(tmp_path / "file").find(token) is None


def test_the_network_comes_in_when_somebody_is_invited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net, "addresses", lambda: ["127.0.0.2"])
    with RunningFace(tmp_path, host="") as face:
        outer = ("127.0.0.2", face.port)

        def is_open() -> bool:
            with socket.socket() as knocking:
                return knocking.connect_ex(outer) == 0

        assert not is_open()
        made = face.ask("POST", "/api/pairing", {}).json
        assert made["url"].startswith("http://127.0.0.2:")
        assert is_open()
        access = face.face.guards.access
        named, _ = access.pair(made["token"], "phone") or pytest.fail("it lets nobody in")
        face.ask("GET", "/healthz")
        assert is_open()
        access.revoke(named.id)
        until(lambda: not is_open())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_other_addresses_want_something_to_let_in_by(host: str) -> None:
    with pytest.raises(ConfigError, match="can be reached by other machines") as refused:
        Doors(lambda *_: None, Place(host, 0), None, lambda: False)  # type: ignore[arg-type,return-value]  # refused before any of it is used
    assert "edgecap access --passphrase" in refused.value.fix


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (":7400", Place("", 7400)),
        ("127.0.0.1:7400", Place("127.0.0.1", 7400)),
        ("0.0.0.0", Place("0.0.0.0", 7380)),
        ("[::1]:7400", Place("::1", 7400)),
        ("[::1]", Place("::1", 7380)),
        ("kitchen.lan:80", Place("kitchen.lan", 80)),
    ],
)
def test_places_are_read(text: str, found: Place) -> None:
    assert door.place(text) == found


@pytest.mark.parametrize("text", ["127.0.0.1:x", "127.0.0.1:70000", "a b:1", ":"])
def test_what_is_no_place_is_usage(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        door.place(text)


def test_a_request_that_does_not_come_is_cut(face: RunningFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it goes on, before the first request and behind one."""
    monkeypatch.setattr(door, "ASK_S", 0.2)
    for first in (b"", f"GET /healthz HTTP/1.1\r\nHost: {face.host}\r\n\r\n".encode()):
        with socket.create_connection((face.host, face.port), timeout=20) as slow:
            slow.sendall(first)
            with pytest.raises(OSError, match=r"reset|pipe"):  # whichever notices it
                while True:
                    slow.sendall(b"GET /")
                    slow.settimeout(0.02)
                    try:
                        if not slow.recv(4096):
                            raise BrokenPipeError("pipe")
                    except TimeoutError:
                        pass
