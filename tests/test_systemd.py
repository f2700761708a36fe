"""The units: systemd accepts them, finds them tight, and the daemon's libraries live under their filters."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.confine import calls, values

SYSTEMD = Path(__file__).parent.parent / "systemd"
SYSTEM, USER = SYSTEMD / "edgecap.service", SYSTEMD / "edgecap-user.service"
PAGE, USER_PAGE = SYSTEMD / "edgecap-page.service", SYSTEMD / "edgecap-page-user.service"
LOOSEST = 16
"""Tenths of systemd's exposure level, 0 to 100."""

EVERYTHING = """
import asyncio, json, ssl, numpy, onnxruntime, soundfile, soxr, zmq
from datetime import UTC, datetime
from edgecap.runtime.events import Caption
from edgecap.runtime.telling import wire
from edgecap.runtime.telling.publisher import Publisher
from edgecap.runtime.telling.room_log import RoomLog
with Publisher("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as publisher:
    now = datetime.now(UTC)
    caption = Caption("new", "1", "A dog barks.", 0.9, (), 0)
    message = RoomLog("kitchen", "m", 1).caption(caption, now, None, now)
    publisher.send(wire.topic(message), wire.encode(message))
    publisher.receive()
resampler = soxr.ResampleStream(48_000, 32_000, 1, dtype="float32")
resampler.resample_chunk(numpy.zeros(4800, numpy.float32), last=True)
numpy.linalg.norm(numpy.fft.rfft(numpy.ones(1024)))
print("alive")
"""


def require(found: object, what: str) -> None:
    """Skip where it is missing; on the build machine it must be there."""
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is missing, and CI=true")
        pytest.skip(f"{what} is missing")


def analyze(*arguments: str | Path, runtime: Path | None = None) -> "subprocess.CompletedProcess[str]":
    require(shutil.which("systemd-analyze"), "systemd-analyze (package systemd)")
    environment = {**os.environ, **({"XDG_RUNTIME_DIR": str(runtime)} if runtime else {})}
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(params=[SYSTEM, USER], ids=lambda unit: unit.name)
def unit(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


def with_a_program_that_is_here(unit: Path, folder: Path) -> Path:
    """systemd looks whether ExecStart exists; edgecap is not installed as a service here."""
    lines = unit.read_text().splitlines()
    here = ["ExecStart=/usr/bin/true" if line.startswith("ExecStart=") else line for line in lines]
    copy = folder / unit.name.replace("-user", "")
    copy.write_text("\n".join(here) + "\n")
    return copy


@pytest.mark.parametrize("unit", [SYSTEM, USER, PAGE, USER_PAGE], ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit_without_a_word(unit: Path, tmp_path: Path) -> None:
    copy = with_a_program_that_is_here(unit, tmp_path)
    scope = "--user" if unit in (USER, USER_PAGE) else "--system"
    verified = analyze("verify", scope, "--man=no", copy, runtime=tmp_path)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.parametrize("unit", [SYSTEM, PAGE], ids=lambda unit: unit.name)
def test_the_system_units_are_tight(unit: Path, tmp_path: Path) -> None:
    copy = with_a_program_that_is_here(unit, tmp_path)
    judged = analyze("security", "--offline=true", f"--threshold={LOOSEST}", copy)
    assert judged.returncode == 0, judged.stdout[-300:]


def test_ready_and_watchdog_are_asked_for_and_a_restart_follows_what_it_can_mend(unit: Path) -> None:
    assert values(unit, "Type") == ["notify"]
    assert values(unit, "WatchdogSec") == ["15"]
    assert values(unit, "Restart") == ["always"]
    assert values(unit, "RestartForceExitStatus") == ["75"]
    assert values(unit, "RestartPreventExitStatus") == ["2", "65", "78"]


def test_no_audio_and_no_caption_reaches_a_disk(unit: Path) -> None:
    assert values(unit, "LimitCORE") == ["0"]
    assert values(unit, "MemorySwapMax") == ["0"]
    assert values(unit, "ExecStart")[1:] == ["run", "--quiet"]


def confined(unit: Path, code: str) -> "subprocess.CompletedProcess[str]":
    require(shutil.which("systemd-analyze"), "systemd-analyze (package systemd)")
    require(ctypes.util.find_library("seccomp"), "libseccomp")
    confine = Path(__file__).with_name("confine.py")
    return subprocess.run(
        [sys.executable, confine, unit, code],
        capture_output=True,
        text=True,
        cwd=SYSTEMD.parent,
        env={**os.environ, "PYTHONPATH": str(SYSTEMD.parent)},
        check=False,
    )


def test_everything_the_daemon_loads_lives_under_the_unit_s_filters(unit: Path) -> None:
    run = confined(unit, EVERYTHING)
    assert run.stdout == "alive\n", run.stderr


FACE = """
import asyncio, sqlite3, sys
import cryptography.hazmat.primitives.asymmetric.ec as ec
import segno, starlette.applications, uvicorn
from edgecap.serve import app, run
from edgecap.serve.history import History  # sqlite3 and its thread
ec.generate_private_key(ec.SECP256R1())
print("alive")
"""


@pytest.mark.parametrize("unit", [PAGE, USER_PAGE], ids=lambda unit: unit.name)
def test_the_page_lives_under_its_unit_s_filters(unit: Path) -> None:
    assert values(unit, "ExecStart")[1] == "serve"
    assert values(unit, "Restart") == ["always"]
    run = confined(unit, FACE)
    assert run.stdout == "alive\n", run.stderr


@pytest.mark.parametrize("without", [" AF_NETLINK", "sched_setscheduler "])
def test_what_zeromq_needs_is_needed(without: str, tmp_path: Path) -> None:
    """Where this fails ZeroMQ has become milder, and the unit can become tighter."""
    tighter = tmp_path / "tighter.service"
    tighter.write_text(SYSTEM.read_text().replace(without, ""))
    assert confined(tighter, EVERYTHING).returncode == -6  # SIGABRT


def test_the_filters_do_bite() -> None:
    require(shutil.which("systemd-analyze"), "systemd-analyze (package systemd)")
    assert "write" in calls(SYSTEM)
    assert not {"mount", "reboot", "ptrace", "setrlimit"} & calls(SYSTEM)
    run = confined(SYSTEM, "import os; os.chroot('/')")
    assert "PermissionError" in run.stderr


def install(*options: str, destination: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SYSTEMD / "install.sh", *options],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/home/anna", "DESTDIR": str(destination)},
        check=False,
    )


@pytest.mark.parametrize(
    ("scope", "placed"),
    [
        (
            "--system",
            {
                "etc/systemd/system/edgecap.service": SYSTEM,
                "etc/systemd/system/edgecap-page.service": PAGE,
                "etc/sysusers.d/edgecap.conf": SYSTEMD / "edgecap.sysusers",
            },
        ),
        (
            "--user",
            {
                "home/anna/.config/systemd/user/edgecap.service": USER,
                "home/anna/.config/systemd/user/edgecap-page.service": USER_PAGE,
            },
        ),
    ],
)
def test_install_puts_each_file_where_systemd_looks_and_remove_takes_it_away(
    scope: str, placed: dict[str, Path], tmp_path: Path
) -> None:
    def files() -> set[str]:
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    assert install(scope, destination=tmp_path).returncode == 0
    assert files() == set(placed)
    for target, source in placed.items():
        assert (tmp_path / target).read_text() == source.read_text()
    assert install(scope, "--remove", destination=tmp_path).returncode == 0
    assert files() == set()


def test_install_refuses_an_unknown_option(tmp_path: Path) -> None:
    refused = install("--everywhere", destination=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        2,
        "usage: systemd/install.sh [--system | --user] [--remove]\n",
    )


def test_install_starts_the_program_that_the_unit_names() -> None:
    script = (SYSTEMD / "install.sh").read_text()
    for prefix, unit in (
        ("/opt/edgecap", SYSTEM), ("/opt/edgecap", PAGE),
        ("/.local/share/edgecap", USER), ("/.local/share/edgecap", USER_PAGE),
    ):  # fmt: skip
        assert values(unit, "ExecStart")[0].endswith(f"{prefix}/bin/edgecap")
        assert prefix in script
