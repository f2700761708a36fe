"""`edgecap up` as people meet it: both processes, either's death, and the end."""

import http.client
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgecap.cli import app
from edgecap.serve.access import Access
from edgecap.serve.reached import Reached

PATIENCE_S = 60.0
ROOT = Path(__file__).parent.parent.parent


def free_ports(count: int) -> list[int]:
    """Ports next to each other are not needed: each is named."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def status(port: int, path: str) -> int:
    """0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def until(true: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def children(process: int) -> dict[str, int]:
    """The command of each child -> its number."""
    numbers = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(each) for path in numbers for each in path.read_text().split()]
    commands = {each: Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0") for each in found}
    return {command[3].decode(): each for each, command in commands.items() if len(command) > 3}


def edgecap(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "edgecap", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, **options)


def test_either_goes_on_when_the_other_dies_and_both_end_together(tmp_path: Path) -> None:
    publish, replay, listen = free_ports(3)
    up = edgecap(
        "up", "--scene", "--quiet", "--publish", f"tcp://127.0.0.1:{publish}", "--data", str(tmp_path),
        "--replay", f"tcp://127.0.0.1:{replay}", "--listen", f"127.0.0.1:{listen}", stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: status(listen, "/readyz") == 200)
        first = children(up.pid)
        assert set(first) == {"serve", "demo"}

        os.kill(first["demo"], signal.SIGKILL)
        ear = until(lambda: children(up.pid).get("demo", first["demo"]) - first["demo"]) + first["demo"]
        assert children(up.pid)["serve"] == first["serve"]
        until(lambda: status(listen, "/readyz") == 200)

        os.kill(first["serve"], signal.SIGKILL)
        until(lambda: status(listen, "/healthz") == 0)
        until(lambda: status(listen, "/readyz") == 200)
        assert children(up.pid)["demo"] == ear

        left = children(up.pid)
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=PATIENCE_S)
    finally:
        up.kill()
        up.wait()
    assert up.returncode == 130
    assert "edgecap: the ear ended by SIGKILL; it is started again in 1 s." in said
    assert "edgecap: the page ended by SIGKILL; it is started again in 1 s." in said
    assert "Traceback" not in said
    assert not [each for each in left.values() if Path(f"/proc/{each}").exists()]


def called(*arguments: str, stdin: str = "") -> Any:
    """The command in this process, to its end."""
    return CliRunner().invoke(app, arguments, input=stdin)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--listen", "127.0.0.1:{taken}"], 69, "--listen 127.0.0.1:{taken} is taken"),
        (["--listen", "0.0.0.0:7380"], 78, "--listen 0.0.0.0:7380 can be reached by other machines"),
        (["--listen", "127.0.0.999"], 2, "--listen 127.0.0.999:7380 can't be listened on"),
        (["--listen", "127.0.0.1:x"], 2, "--listen 127.0.0.1:x is no address"),
        (["--connect", "a b"], 2, "--connect a b is no ear"),
        (["--connect", "tcp://127.0.0.1:x"], 2, "is no address to subscribe to"),
        (["--secret", "mine.key_secret"], 2, "keys come in pairs, and --server is missing"),
    ],
)
def test_what_keeps_the_face_from_starting_is_one_sentence(
    tmp_path: Path, flags: list[str], code: int, words: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = called("serve", "--data", str(tmp_path), *(each.replace("{taken}", port) for each in flags))
    assert done.exit_code == code
    assert done.stderr.startswith("edgecap: ")
    assert words.replace("{taken}", port) in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_serves_pages_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "uvicorn" else found(name, *rest)
    )
    for command in ("serve", "up"):
        done = called(command)
        assert done.exit_code == 69
        assert done.stderr == (
            "edgecap: the page can't be served: uvicorn is not installed. "
            'Run: pip install "edgecap[serve]".\n'
        )


def test_access_lets_in_lists_and_sends_away(tmp_path: Path) -> None:
    def access(*arguments: str, stdin: str = "") -> Any:
        return called("access", "--data", str(tmp_path), *arguments, stdin=stdin)

    assert "Let one in: edgecap access --pair" in access().stdout
    assert access("--passphrase", stdin="short\n").exit_code == 2
    assert access("--passphrase", stdin="long enough for this\n").exit_code == 0
    assert Access(tmp_path).is_passphrase("long enough for this")
    named, token = Access(tmp_path).add("device", "Anna's phone")
    assert named.id in access().stdout
    assert access("--revoke", named.id).stdout == "Anna's phone may read no more.\n"
    assert Access(tmp_path).find(token) is None
    gone = access("--revoke", named.id)
    assert (gone.exit_code, "there is no device or link" in gone.stderr) == (66, True)


def test_an_invitation_leads_to_where_the_face_is(tmp_path: Path) -> None:
    def pair() -> Any:
        return called("access", "--pair", "--data", str(tmp_path))

    Reached("http://127.0.0.1:7399/", "http://192.168.1.5:7399/", os.getpid()).write(tmp_path)
    done = pair()
    assert (done.exit_code, done.stderr) == (0, "")
    [code] = re.findall(r"http://192\.168\.1\.5:7399/pair there, and type (\d{4} \d{4})", done.stdout)
    assert Access(tmp_path).pair(code, "phone")
    Reached("http://127.0.0.1:7399/", None, os.getpid()).write(tmp_path)
    alone = pair()
    assert alone.exit_code == 69
    assert alone.stderr.startswith("edgecap: no other device can come to http://127.0.0.1:7399/: ")
    Reached("http://127.0.0.1:7399/", "http://192.168.1.5:7399/", 0).write(tmp_path)
    assert "the page is not there yet" in pair().stderr
