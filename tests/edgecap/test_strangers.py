"""On a machine that is somebody else's, without a home, before closed doors: a sentence, or the defaults."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgecap.runtime.audio import RATE
from tests.command import ROOT, finish_all, start
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
HOMES = {"none": "", "another's": "closed", "a file": "ok.wav"}
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


def test_no_home_and_no_right_to_one_are_no_reason_to_stop(house: Path, by: list[str]) -> None:
    for arguments, says in WITH_ANY_HOME.items():
        started = [
            start(
                *arguments.replace("ipc://", f"ipc://{name[-2:]}").split(),
                by=by,
                cwd=house,
                env=bare(**({"HOME": f"{house}/{home}"} if home else {})),
            )
            for name, home in HOMES.items()
        ]
        for name, (code, printed, said) in zip(HOMES, finish_all(started), strict=True):
            assert code == 0, f"{name}: {arguments}: {said}"
            assert says in printed.decode(), name
            assert ("config.yaml can't be opened" in said) == (name == "another's"), said


def test_what_is_closed_is_told_by_its_name_and_the_others_go_on(house: Path, by: list[str]) -> None:
    items = [*REFUSED.items()]
    for batch in (items[at : at + 6] for at in range(0, len(items), 6)):  # not all at once: each is a process
        started = [start(*arguments.split(), by=by, cwd=house, env=bare()) for arguments, _ in batch]
        for (arguments, (code, *says)), (found, printed, said) in zip(
            batch, finish_all(started), strict=True
        ):
            assert found == code, f"{arguments}: {said}"
            for words in says:
                assert words in said, f"{arguments}: {said}"
            assert (b"A bell rings." in printed) == ("secret.wav ok.wav" in arguments)


def bare(**more: str) -> dict[str, str]:
    """As `env -i` leaves it."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | more
