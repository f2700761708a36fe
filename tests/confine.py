"""Run Python code as a systemd unit would confine it: python confine.py UNIT CODE, without systemd running.

Loads the unit's SystemCallFilter and RestrictAddressFamilies by libseccomp, MemoryDenyWriteExecute by prctl.
"""

import ctypes
import errno
import socket
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EQUAL = 4
PR_SET_MDWE = 65
PR_MDWE_REFUSE_EXEC_GAIN = 1
FAMILIES = 46


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def values(unit: Path, key: str) -> list[str]:
    """What stands behind the key, a word each, all its lines together."""
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [word for name, _, value in lines if name == key for word in value.split()]


def calls(unit: Path) -> set[str]:
    """The system calls that the unit's filter lets through, its groups resolved by systemd itself."""
    allowed: set[str] = set()
    takes_away = False
    for line in unit.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "SystemCallFilter":
            takes_away = value.startswith("~")
            for word in value.lstrip("~").split():
                allowed = allowed - _group(word) if takes_away else allowed | _group(word)
    # systemd always lets these through, else it could not even start the program.
    return allowed | _group("@default") | {"execve", "exit", "exit_group", "rt_sigreturn", "sigreturn"}


def _group(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if not line.strip().startswith("#")]
    return {call for word in words if word for call in _group(word)}


def confine(unit: Path) -> None:
    """From here on this process is confined as the unit says."""
    allowed = calls(unit)
    families = {getattr(socket, family) for family in values(unit, "RestrictAddressFamilies")}
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    ]
    call_filter = library.seccomp_init(ERRNO | errno.EPERM)
    for call in sorted(allowed):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number != -1:  # of another architecture
            library.seccomp_rule_add_array(call_filter, ALLOW, number, 0, None)
    family_filter = library.seccomp_init(ALLOW)
    for family in set(range(FAMILIES)) - families:
        library.seccomp_rule_add_array(
            family_filter,
            ERRNO | errno.EAFNOSUPPORT,
            library.seccomp_syscall_resolve_name(b"socket"),
            1,
            (Comparison * 1)(Comparison(0, EQUAL, family, 0)),
        )
    libc = ctypes.CDLL(None, use_errno=True)
    if "yes" in values(unit, "MemoryDenyWriteExecute"):
        libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # an older kernel doesn't know it
    for loaded in (family_filter, call_filter):  # the last may forbid loading another
        if library.seccomp_load(loaded):
            raise OSError("the filter was refused")


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    exec(sys.argv[2])
