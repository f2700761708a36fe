"""Offline means offline: nobody is asked for, nothing is written but what was asked for, and the switch that
keeps a dependency from reporting is thrown before its import."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecap.runtime.events import Caption
from tests.station import Station
from tests.watched import Seen, watched

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "training" / "recipes"
CLIP = ROOT / "tests" / "data" / "clips" / "door_knock.opus"
SOURCES = [
    path
    for folder in ("edgecap", "runtime", "training", "export", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts and not any(parent.is_symlink() for parent in path.parents)
]


def test_captioning_leaves_nothing_in_an_empty_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    done = subprocess.run(
        [sys.executable, "-m", "edgecap", "caption", str(CLIP), "--json"],
        capture_output=True, text=True, cwd=ROOT, env=environment, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "knocks" in done.stdout
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


# --- what every command asks of the system ---------------------------------------------------------

SOUND_SYSTEM = re.compile(r"/home/\.config/pulse\b|/pulse-\w+|/dev/shm/jack_db|/dev/snd/")
"""PulseAudio's and JACK's own, which looking for microphones asks."""
FONTS = re.compile(r"/home/\.(cache|config)(/matplotlib\b|$)")
"""matplotlib's list of this machine's fonts; it draws the curves of training."""
PASSING = re.compile(r"/dev/(null|shm/(sem\.|psm_|torch_))|/tmp/|/cwd/\.edgecap-[0-9a-f]{12}$")
"""What is gone with the process: here /tmp is TMPDIR. The last becomes captions.srt."""

QUICK = {
    "caption": "caption clip.opus -o captions.srt --format srt",
    "run": "run --source file --name clip.opus --publish ipc://p --replay ipc://r --json",
    "demo": "demo --fast --publish ipc://p --replay ipc://r",
    "config": "config",
    "devices": "devices",
    "doctor": "doctor --config ipc.yaml",
    "inspect": "inspect by-hand",
    "bench": "bench by-hand --live 0",
    "evaluate": "evaluate by-hand --corpus corpus --only naming --jobs 1",
}
LONG = {
    "prepare": "prepare --corpus corpus --captions sentences -o scenes --workers 1",
    "train": "train RECIPES/smallest.yaml --corpus corpus -o trained",
    "export": "export checkpoint --target onnx --no-verify -o exported",
}
ASKED_FOR = {
    "captions.srt",
    "p",
    "r",
    "p.lock",
    "r.lock",
    "scenes",
    "runs",
    "trained",
    "exported",
    ".exported.partial",
}


@pytest.fixture(scope="module")
def desk(bundle: Path, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands work on: cwd, an empty home and an empty folder for what passes."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("home", "tmp", "cwd", "notes"):
        (folder / name).mkdir()
    at = folder / "cwd"
    shutil.copy(CLIP, at / "clip.opus")
    shutil.copytree(bundle, at / "by-hand")
    shutil.copytree(corpus_folder, at / "corpus")
    (at / "sentences").mkdir()
    (at / "sentences" / "captions.csv").write_text("caption,split\na dog barks,train\nrain falls,train\n")
    (at / "ipc.yaml").write_text("publish: ipc://p\nreplay: ipc://r\n")
    return folder


def at_desk(desk: Path) -> dict[str, str]:
    home = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"), str(desk / "home"))
    python = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {"PATH": os.environ["PATH"], "TMPDIR": str(desk / "tmp")} | home | python


def check_that_it_keeps_to_itself(name: str, words: str, desk: Path, *known: re.Pattern[str]) -> Seen:
    """No socket but those of this machine's own, and nothing written but what was asked for."""
    command = [sys.executable, "-m", "edgecap", *words.replace("RECIPES", str(RECIPES)).split()]
    seen = watched(command, desk / "cwd", at_desk(desk), desk / "notes" / name)
    assert seen.code == 0 or (name == "devices" and seen.code == 66), seen.errors
    assert seen.families <= {"AF_UNIX"}, seen.addresses
    asked = [desk / "cwd" / each for each in ASKED_FOR]
    others = [
        str(path).removeprefix(str(desk)) for path in seen.written if not any(map(path.is_relative_to, asked))
    ]
    assert [path for path in others if not any(one.search(path) for one in (PASSING, *known))] == []
    return seen


@pytest.mark.parametrize("name", QUICK)
def test_a_command_asks_nobody_and_writes_what_it_was_told(name: str, desk: Path) -> None:
    known = [SOUND_SYSTEM] if name in ("devices", "doctor") else []
    seen = check_that_it_keeps_to_itself(name, QUICK[name], desk, *known)
    if name == "caption":
        assert desk / "cwd" / "captions.srt" in seen.written, "the watch is blind"


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_so_do_those_that_take_longer(name: str, desk: Path, tiny_checkpoint: Path) -> None:
    if not (desk / "cwd" / "checkpoint").exists():
        shutil.copytree(tiny_checkpoint, desk / "cwd" / "checkpoint")
    check_that_it_keeps_to_itself(name, LONG[name], desk, FONTS)


def test_a_room_and_its_reader_speak_to_each_other_alone(desk: Path) -> None:
    """Over TCP, as they do by default: on the addresses that they were told, and nowhere else."""
    room = Station("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", "room", "m 1", 1)
    room.caption(Caption("new", "1", "A dog barks.", 0.9, (), 0, None), datetime.now(UTC), None)
    ports = [endpoint.removeprefix("tcp://") for endpoint in (room.publish_endpoint, room.replay_endpoint)]
    is_over = threading.Event()

    def speak() -> None:
        while not is_over.wait(0.1):
            room.poll()
            room.caption(Caption("update", "1", "A dog barks.", 0.9, (), 0, None), datetime.now(UTC), None)
            room.status("listening", at=datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0)

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        listen = ["listen", "--json", "--history", ports[0], "--replay", ports[1]]
        piped = f"{shlex.join([sys.executable, '-m', 'edgecap', *listen])} | head -c 1"
        words = ["bash", "-c", piped]  # it ends when there is nobody to print for
        reader = watched(words, desk / "cwd", at_desk(desk), desk / "notes" / "listen")
    finally:
        is_over.set()
        speaking.join()
        room.close()
    assert reader.out == "{"
    assert reader.families <= {"AF_UNIX", "AF_INET", "AF_NETLINK"}
    assert reader.addresses == {*ports}


IN_A_NETWORK_OF_ITS_OWN = """
import fcntl, json, shlex, socket, struct, sys, threading
from subprocess import DEVNULL, run
with socket.socket() as any_socket:  # the loopback, up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))
open("resolv.conf", "w").write("nameserver 127.0.0.53\\noptions attempts:1 timeout:1\\n")
run(["mount", "--bind", "resolv.conf", "/etc/resolv.conf"], check=True)
asked = []
resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
resolver.bind(("127.0.0.53", 53))
def answer():
    while True:
        question, who = resolver.recvfrom(512)
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        asked.append(".".join(labels))
        resolver.sendto(question[:2] + b"\\x81\\x83" + question[4:6] + bytes(6) + question[12 : at + 5], who)
threading.Thread(target=answer, daemon=True).start()
run([sys.executable, "-c", "import socket; socket.getaddrinfo('seen.example', 1)"], stderr=DEVNULL)
is_seen, asked[:] = "seen.example" in asked, []
commands = [[sys.executable, *shlex.split(words)] for words in sys.argv[1:]]
codes = [run(command, stdout=DEVNULL).returncode for command in commands]
print(json.dumps([is_seen, asked, codes]))
"""


LIBRARY = """
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.session import Model
Model.load(Bundle.open("room-small"))
"""


def test_no_name_is_looked_up(desk: Path) -> None:
    """In a network that holds nothing but a resolver, which notes whatever it is asked."""
    own = ["unshare", "-n", "-m", *([] if os.geteuid() == 0 else ["-r"])]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        is_owed = os.environ.get("CI") and os.geteuid() == 0
        (pytest.fail if is_owed else pytest.skip)("this user may have no network of its own")
    commands = [
        "-m edgecap caption clip.opus --json",
        "-m edgecap run --source file --name clip.opus --publish tcp://127.0.0.1:* --replay tcp://127.0.0.1:*",
        "-m edgecap demo --fast --quiet",
        "-m edgecap inspect by-hand",
        f"-c {shlex.quote(LIBRARY)}",
    ]
    done = subprocess.run(
        [*own, sys.executable, "-c", IN_A_NETWORK_OF_ITS_OWN, *commands],
        capture_output=True, text=True, cwd=desk / "cwd", env=at_desk(desk), timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    is_seen, asked, codes = json.loads(done.stdout)
    assert is_seen, "the resolver is not asked at all"
    assert (asked, codes) == ([], [0] * len(commands)), done.stderr


# --- what keeps ONNX Runtime from reporting ---------------------------------------------------------


def test_the_switch_is_thrown_by_the_package_itself() -> None:
    """Also for a library user whose environment says otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", "import edgecap, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"],
        capture_output=True, text=True, cwd=ROOT, check=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "0"},
    )  # fmt: skip
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_onnxruntime_before_edgecap(path: Path) -> None:
    """Inside the package that is so by itself, for the package is imported before its modules."""
    lines = ast.parse(path.read_text(encoding="utf-8")).body
    first = {"edgecap": sys.maxsize, "onnxruntime": sys.maxsize}
    for node in lines:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            first[top] = min(first.get(top, sys.maxsize), node.lineno)
    inside = path.relative_to(ROOT).parts[0] in ("edgecap", "runtime", "training", "export")
    assert inside or first["onnxruntime"] == sys.maxsize or first["edgecap"] < first["onnxruntime"]
