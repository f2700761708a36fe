"""Where a publisher may listen: ports that are taken, other machines, files of sockets."""

import os
import socket
import stat
from pathlib import Path

import pytest
import zmq

from edgecap.runtime.errors import ConfigError, UnavailableError
from edgecap.runtime.telling.endpoint import bind, is_local
from tests.readers import RUN, Readers, replayed, say
from tests.station import ANY, Station


def test_a_taken_port_is_one_clear_sentence(publisher: Station) -> None:
    taken = publisher.publish_endpoint
    with pytest.raises(UnavailableError) as refused:
        Station(taken, ANY, "kitchen", "m", RUN)
    assert refused.value.code == 69
    assert str(refused.value) == (
        f"--publish {taken} is taken: another edgecap may be running on it."
        " Stop that one, or choose another address with --publish."
    )
    with pytest.raises(UnavailableError, match=f"--replay {taken} is taken"):
        Station(ANY, taken, "kitchen", "m", RUN)


def test_a_refused_publisher_leaves_its_other_port_free(publisher: Station) -> None:
    with Station(ANY, ANY, "kitchen", "m", RUN) as short:
        free = short.publish_endpoint
    with pytest.raises(UnavailableError):
        Station(free, publisher.replay_endpoint, "kitchen", "m", RUN)
    Station(free, ANY, "kitchen", "m", RUN).close()


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp://127.0.0.1:7310", True),
        ("tcp://127.0.0.2:7310", True),
        ("tcp://[::1]:7310", True),
        ("tcp://localhost:7310", True),
        ("ipc:///run/edgecap/captions", True),
        ("tcp://*:7310", False),
        ("tcp://0.0.0.0:7310", False),
        ("tcp://[::]:7310", False),
        ("tcp://192.168.1.5:7310", False),
        ("tcp://localhost.example:7310", False),
        ("tcp://eth0:7310", False),
    ],
)
def test_what_only_this_machine_reaches(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.1:7310"])
def test_other_machines_are_kept_out_unless_let_in_aloud(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="can be reached by other machines") as refused:
        Station(endpoint, ANY, "kitchen", "m", RUN)
    assert refused.value.code == 78
    with pytest.raises(ConfigError, match=r"^--replay"):
        Station(ANY, endpoint, "kitchen", "m", RUN)


def test_insecure_lets_other_machines_in() -> None:
    with Station("tcp://0.0.0.0:*", ANY, "kitchen", "m", RUN, insecure=True) as publisher:
        assert publisher.publish_endpoint.startswith("tcp://0.0.0.0:")


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("tcp://192.0.2.1:7310", "Cannot assign requested address"),
        ("tcp://127.0.0.1", "Invalid argument"),
        ("ipc:///nowhere/at/all", "No such file or directory"),
        ("ipc:///tmp/" + "x" * 200, "longer than 107"),
    ],
    ids=["not here", "no port", "no folder", "long path"],
)
def test_an_address_that_can_never_be_is_configuration(endpoint: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        Station(endpoint, ANY, "kitchen", "m", RUN, insecure=True)
    assert "--publish" in refused.value.fix


def test_an_ipc_socket_is_for_its_owner_and_group(tmp_path: Path, readers: Readers) -> None:
    path = tmp_path / "captions"
    with Station(f"ipc://{path}", f"ipc://{path}-replay", "kitchen", "m", RUN) as publisher:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        say(publisher, 1)
        assert replayed(readers, publisher, 0) == ([1], 1)
    assert not path.exists()
    assert not path.with_name("captions-replay").exists()


def test_an_ipc_path_in_use_is_not_stolen(tmp_path: Path, readers: Readers) -> None:
    endpoint, second = f"ipc://{tmp_path}/captions", f"ipc://{tmp_path}/second"
    with Station(endpoint, ANY, "kitchen", "m", RUN) as publisher:
        with pytest.raises(UnavailableError, match=f"--publish {endpoint} is taken"):
            Station(endpoint, second, "kitchen", "m", RUN)
        say(publisher, 1)
        assert replayed(readers, publisher, 0) == ([1], 1)
        assert (tmp_path / "captions").exists()
    Station(endpoint, ANY, "kitchen", "m", RUN).close()


def test_a_socket_file_left_by_a_crash_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(os.fspath(tmp_path / "captions"))
    Station(f"ipc://{tmp_path}/captions", ANY, "kitchen", "m", RUN).close()


def test_a_file_on_the_ipc_path_is_not_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(ConfigError, match="binding would delete it"):
        Station(f"ipc://{precious}", ANY, "kitchen", "m", RUN)
    assert precious.read_text() == "years of work"


def test_a_link_at_the_lock_is_refused_and_its_target_is_not_made(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "s.lock").symlink_to(target)
    with (
        zmq.Context() as context,
        context.socket(zmq.PUB) as socket,
        pytest.raises(ConfigError, match=r"s.lock is a link"),
    ):
        bind(socket, f"ipc://{tmp_path}/s", "--bind")
    assert not target.exists()
