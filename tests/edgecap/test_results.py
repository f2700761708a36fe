"""What is captioned is kept: files whole, links and modes as they were, nothing over anything else."""

import errno
import json
import os
import re
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecap.results import Written, append_whole, plan, write_whole
from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import EdgecapError, OutputError, UsageError
from tests.command import edgecap, environment, finish, start
from tests.handmade import bell, dog, silence


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    path = tmp_path / "rec.wav"
    soundfile.write(path, np.concatenate([silence(0.5), bell(1), silence(1)]), RATE)
    return path


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ("n" * 251 + ".srt")  # as long as a name may be
    write_whole(path, "first")
    write_whole(path, "second")
    assert path.read_text() == "second"
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="can't be written") as refused:
        write_whole(path, "third")
    assert "No space left on device. Make room" in str(refused.value)
    assert path.read_text() == "second"
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(OutputError, match=r"nowhere/out\.srt can't be written: No such file"):
        write_whole(tmp_path / "nowhere" / "out.srt", "x")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    real, link, dangling = tmp_path / "deep" / "real.srt", tmp_path / "link.srt", tmp_path / "dangling.srt"
    real.write_text("mine")
    real.chmod(0o640)
    link.symlink_to("via")
    (tmp_path / "via").symlink_to("deep/real.srt")
    dangling.symlink_to("deep/new.srt")
    for path in (link, dangling):
        write_whole(path, "ours")
        assert path.is_symlink()
        assert path.read_text() == "ours"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["new.srt", "real.srt"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_a_user_asks_for(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "head\n")
    append_whole(pipe, "more\n")
    assert os.read(reader, 100) == b"head\nmore\n"
    os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(OutputError, match="No space left"):
        write_whole(Path("/dev/full"), "x")


def test_what_cannot_be_added_whole_is_not_added(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "all.csv"
    write_whole(path, "head\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))  # a disk with room for twenty bytes
    try:
        append_whole(path, "one\n")
        with pytest.raises(OutputError, match="File too large"):
            append_whole(path, "more than there is room for\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "head\none\n"


# --- what would be lost is refused before anything is begun ----------------------------------------


def test_two_of_one_name_are_refused_with_both_names(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    one, other = Path("a/rec.wav"), Path("b/rec.flac")
    with pytest.raises(UsageError) as refused:
        plan([one, Path("x.wav"), other], out, ".srt")
    assert f"a/rec.wav and b/rec.flac would both be written to {out}/rec.srt" in str(refused.value)
    assert plan([one, Path("x.wav")], out, ".srt") == [out / "rec.srt", out / "x.srt"]


@pytest.mark.parametrize("link", ["soft", "hard", "dangling"])
def test_two_that_are_one_file_by_links_are_refused(tmp_path: Path, link: str) -> None:
    one, other = tmp_path / "one.srt", tmp_path / "other.srt"
    if link != "dangling":
        one.write_text("mine")
    if link == "hard":
        other.hardlink_to(one)
    else:
        other.symlink_to("one.srt")
    with pytest.raises(UsageError, match=r"one\.wav and other\.wav would both be written"):
        plan([Path("one.wav"), Path("other.wav")], tmp_path, ".srt")


def test_no_recording_is_written_over(tmp_path: Path, sounds: Path) -> None:
    (tmp_path / "soft.srt").symlink_to(sounds)
    (tmp_path / "hard.srt").hardlink_to(sounds)
    (tmp_path / "rec.srt").symlink_to("rec.wav")
    for output in (sounds, tmp_path / "soft.srt", tmp_path / "hard.srt", tmp_path):
        with pytest.raises(UsageError, match=r"is the recording .*rec\.wav itself"):
            plan([sounds], output, ".srt")


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for output, suffix, says in [
        (tmp_path / "none" / "x.srt", ".srt", "the folder"),
        (tmp_path / "loop", ".srt", "Too many levels of symbolic links"),
        (tmp_path / ("n" * 300), ".srt", "File name too long"),
    ]:
        with pytest.raises(EdgecapError, match=says):
            plan([Path("rec.wav")], output, suffix)
    for output in ("/dev/null", "/dev/full"):
        assert plan([Path("a.wav")] * 2, Path(output), ".csv") == [Path(output)] * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.text(max_size=9), max_size=3), st.booleans())))
def test_every_recording_that_is_done_is_kept_and_no_other(
    tmp_path: Path, recordings: list[tuple[str, list[str], bool]]
) -> None:
    """In a file that several share, in their order; at every moment all that is done so far."""
    for file in tmp_path.iterdir():
        file.unlink()
    results = Written([tmp_path / name for name, _, _ in recordings], head="head\n")
    expected: dict[str, str] = {}
    for name, texts, is_good in recordings:
        results.begin()
        for text in texts:
            results.put(text)
        if is_good:
            results.done()
            expected[name] = expected.get(name, "head\n") + "".join(texts)
        kept = {file.name: file.read_bytes().decode(errors="surrogatepass") for file in tmp_path.iterdir()}
        assert kept == expected


def test_what_turns_out_to_be_one_file_is_not_written_over(tmp_path: Path) -> None:
    """As rec.srt and REC.srt are on some file systems; here by a link that is made meanwhile."""
    one, other = tmp_path / "rec.srt", tmp_path / "REC.srt"
    results = Written([one, other, one])
    results.begin()
    results.put("one")
    results.done()
    other.symlink_to(one)
    with pytest.raises(OutputError, match=r"REC\.srt can't be written: it is .*rec\.srt, which holds"):
        results.begin()
    results.begin()
    results.put(" more")
    results.done()
    assert one.read_text() == "one more"


# --- through the command ----------------------------------------------------------------------------


def test_one_bad_recording_stops_no_other(bundle: Path, sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "taken.srt").mkdir(parents=True)
    (tmp_path / "text.wav").write_text("this is not audio")
    soundfile.write(tmp_path / "dog.wav", dog(1), RATE)
    soundfile.write(tmp_path / "quiet.wav", silence(1), RATE)
    soundfile.write(tmp_path / "taken.wav", silence(1), RATE)
    files = "none.wav", "text.wav", "rec.wav", "taken.wav", "x" * 300, "quiet.wav", "dog.wav"
    how = {"cwd": tmp_path, "env": environment(tmp_path)}
    code, _, said = edgecap("caption", *files, "--bundle", bundle, "--format", "srt", "-o", out, **how)
    assert code == 66  # the first one's
    assert sorted(path.name for path in out.iterdir()) == ["dog.srt", "quiet.srt", "rec.srt", "taken.srt"]
    assert "A bell rings." in (out / "rec.srt").read_text()
    assert said.splitlines()[0].startswith("edgecap: none.wav does not exist")
    assert said.splitlines()[1].startswith("edgecap: text.wav is not a recording")
    assert said.splitlines()[2].startswith(f"edgecap: {out}/taken.srt can't be written: it is a folder")
    assert "File name too long" in said.splitlines()[3]
    assert said.splitlines()[4] == "edgecap: quiet.wav: nothing was heard that it knows"
    for style in (["--json"], ["--format", "csv"], []):
        code, printed, _ = edgecap("caption", *files, "--bundle", bundle, *style, **how)
        assert code == 66
        assert b"A bell rings." in printed
        assert b"A dog barks." in printed
        code, nothing, _ = edgecap("caption", *files, "--bundle", bundle, *style, "-o", "all", **how)
        assert (code, nothing) == (66, b"")
        assert (tmp_path / "all").read_bytes() == printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_done_before_it_was_ended_is_kept(
    bundle: Path, sounds: Path, tmp_path: Path, number: int
) -> None:
    """That the quiet one is done is said, so those before it are."""
    for name in "abcde":
        (tmp_path / f"{name}.wav").write_bytes(sounds.read_bytes())
    soundfile.write(tmp_path / "quiet.wav", silence(1), RATE)
    files = ["a.wav", "b.wav", "c.wav", "d.wav", "quiet.wav", *["e.wav"] * 5000]
    how = {"cwd": tmp_path, "env": environment(tmp_path), "preexec_fn": _interruptible}
    process = start("caption", *files, "--bundle", bundle, "--json", "-o", "all.jsonl", **how)
    assert process.stderr is not None
    while b"quiet.wav: nothing was heard" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    code, _, said = finish(process)
    assert code == (130 if number == signal.SIGINT else -number)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines][:8] == [f"{name}.wav" for name in "aabbccdd"]
    assert [line["event"] for line in lines] == ["new", "end"] * (len(lines) // 2)
    if number == signal.SIGINT:
        told = re.search(r"interrupted; (\d+) of 5005 recordings are captioned", said)
        assert told
        assert 0 <= len(lines) // 2 + 1 - int(told[1]) <= 1  # it may come between keeping and counting


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it


def test_minus_and_dev_stdout_are_standard_output(bundle: Path, sounds: Path, tmp_path: Path) -> None:
    how = {"cwd": tmp_path, "env": environment(tmp_path)}
    for output in ("-", "/dev/stdout"):
        _, printed, _ = edgecap("caption", sounds, "--bundle", bundle, "--format", "srt", "-o", output, **how)
        assert b"A bell rings." in printed
    assert Path("/dev/stdout").is_symlink()
