"""On a machine that is somebody else's, without a home, before closed doors: a sentence, or the defaults."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from tests.command import PATIENCE_S, ROOT, edgecap
from tests.handmade import bell, silence
from tests.stranger import stranger


@pytest.fixture(scope="module")
def by() -> list[str]:
    words = stranger()
    if words is None and os.environ.get("CI") and not os.geteuid():
        pytest.fail("this superuser can be nobody else")
    if words is None:
        pytest.skip("this user can be nobody else")
    return words


@pytest.fixture(scope="module")
def house(bundle: Path) -> Iterator[Path]:
    """A folder that anybody may enter and write to; what is closed in it is closed to all."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    shutil.copytree(bundle, folder / "bundle")
    shutil.copytree(bundle, folder / "half")
    sounds = np.concatenate([silence(0.5), bell(1), silence(1)])
    for name in ("ok.wav", "secret.wav"):
        soundfile.write(folder / name, sounds, RATE)
    for name in ("secret.yaml", "secret.key"):
        (folder / name).write_text("room: kitchen\n")
    (folder / "shelf").mkdir()
    (folder / "readers").mkdir()
    (folder / "closed").mkdir()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o055)
    for path in ("secret.wav", "secret.yaml", "secret.key", "half/encoder.onnx", "closed"):
        (folder / path).chmod(0)
    (folder / "shelf").chmod(0o555)
    yield folder
    (folder / "closed").chmod(0o700)
    shutil.rmtree(folder)


DENIED = "Permission denied"
HOMES = None, "closed", "ok.wav", "nowhere"
"""In the house: none at all, another's, a file, one that has gone."""
WITH_ANY_HOME = {
    "caption ok.wav --bundle bundle": "A bell rings.",
    "config": "room: room",
    "run --source file --name ok.wav --bundle bundle --publish ipc://p --replay ipc://r": "A bell rings.",
}
CAPTION = "caption ok.wav --bundle bundle"
RUN = "run --bundle bundle --replay ipc://r"
REFUSED = {
    "caption closed/a.wav secret.wav ok.wav --bundle bundle": (66, "closed/a.wav can't be opened", DENIED),
    "caption secret.wav --bundle bundle": (66, "secret.wav can't be opened", DENIED),
    "caption ok.wav --bundle half": (66, "half/encoder.onnx can't be opened", DENIED),
    "caption ok.wav --bundle closed/b": (66, "closed/b can't be opened", DENIED),
    "caption ok.wav --bundle ~/b": (66, "there is no bundle '~/b'", ""),
    f"{CAPTION} --format srt -o closed": (74, "closed can't be written", DENIED),
    f"{CAPTION} --format srt -o closed/x.srt": (74, "closed/x.srt can't be written", DENIED),
    f"{CAPTION} --format srt -o closed/a/b": (74, "closed/a/b can't be written", DENIED),
    f"{CAPTION} --format srt -o shelf": (74, "shelf can't be written", DENIED),
    f"{CAPTION} --format srt -o shelf/x": (74, "shelf can't be written", DENIED),
    "config --config secret.yaml": (78, "secret.yaml can't be read", DENIED),
    "config --config closed/c.yaml": (78, "closed/c.yaml can't be read", DENIED),
    f"{RUN} --publish ipc://p --source file --name secret.wav": (66, "secret.wav can't be opened", DENIED),
    f"{RUN} --publish ipc://closed/p": (78, "no socket can be made", DENIED),
    f"{RUN} --publish ipc://shelf/p": (78, "no socket can be made", DENIED),
    f"{RUN} --set keys.secret=closed/k --set keys.readers=readers": (78, "closed/k can't be", DENIED),
    f"{RUN} --set keys.secret=secret.key --set keys.readers=readers": (78, "secret.key can't be", DENIED),
    f"{RUN} --set keys.secret=~/k --set keys.readers=closed": (78, "closed can't be opened", DENIED),
    "listen ipc://p --secret closed/k --server closed/s": (78, "closed/k can't be opened", DENIED),
    "inspect closed/b.zip": (66, "closed/b.zip can't be opened", DENIED),
    "bench closed/b": (66, "closed/b can't be opened", DENIED),
    "export closed/c -o closed/b": (66, "closed", DENIED),
    "train closed/r.yaml --corpus closed -o closed/o": (66, "closed", DENIED),
    "evaluate bundle --corpus closed": (66, "closed", DENIED),
}


TOGETHER = """
import json, sys
from typer.testing import CliRunner
from edgecap.cli import app
for words, home in json.loads(sys.argv[1]):
    done = CliRunner(env={"HOME": home}).invoke(app, words.split())
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def called(calls: Sequence[tuple[str, str | None]], house: Path, by: list[str]) -> list[tuple[int, str, str]]:
    """(exit code, output, what was said) of each call: (its words, the HOME that it finds).

    One process after the other would take a minute; here one process of the stranger's makes all the calls.
    """
    done = subprocess.run(
        [*by, sys.executable, "-c", TOGETHER, json.dumps(calls)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=house, env=bare(), timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_no_home_and_no_right_to_one_are_no_reason_to_stop(house: Path, by: list[str]) -> None:
    calls = [(words, home and f"{house}/{home}") for words in WITH_ANY_HOME for home in HOMES]
    for (words, home), (code, printed, said) in zip(calls, called(calls, house, by), strict=True):
        assert code == 0, f"{home}: {words}: {said}"
        assert WITH_ANY_HOME[words] in printed
        assert ("config.yaml can't be opened" in said) == (home == f"{house}/closed"), said


def test_what_is_closed_is_told_by_its_name_and_the_others_go_on(house: Path, by: list[str]) -> None:
    calls = [(words, None) for words in REFUSED]
    for (words, _), (code, printed, said) in zip(calls, called(calls, house, by), strict=True):
        expected, *says = REFUSED[words]
        assert code == expected, f"{words}: {said}"
        assert "Traceback" not in said
        for part in says:
            assert part in said, f"{words}: {said}"
        assert ("A bell rings." in printed) == ("secret.wav ok.wav" in words)


def test_a_user_whom_no_file_knows_is_served(house: Path, by: list[str]) -> None:
    """As `env -i` and a container with any number for a user leave it: the command itself, once."""
    how = {"by": by, "cwd": house, "env": bare()}
    code, printed, said = edgecap("caption", "closed/a.wav", "ok.wav", "--bundle", "bundle", **how)
    assert code == 66
    assert b"A bell rings." in printed
    assert said.startswith("edgecap: closed/a.wav can't be opened: Permission denied. Let this user into")


def bare() -> dict[str, str]:
    """As `env -i` leaves it."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
