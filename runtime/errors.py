"""Every error a user can meet: one sentence, its reason, its mend, and the exit code (sysexits)."""

from .names import visible


class EdgecapError(Exception):
    """A failure that the user can understand and mend.

    what: one sentence that says what is wrong and where. why: the cause, if known.
    fix: what to do about it. The command line prints all three and exits with `code`. The names in them may
    be any, and stand there as `visible` shows them.
    """

    code = 70

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = visible(what), visible(why), visible(fix)

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        fix = f" {self.fix[0].upper()}{self.fix[1:]}." if self.fix else ""
        return f"{self.what}{why}.{fix}"


class UsageError(EdgecapError):
    """The call itself is wrong: an unknown option, a missing argument."""

    code = 2


class DataError(EdgecapError):
    """Input that was found but can't be used: not audio, truncated, empty."""

    code = 65


class BundleError(DataError):
    """A bundle or checkpoint that is damaged, foreign or does not match its manifest."""


class WireError(DataError):
    """A message that is not wire version 1."""


class InputMissingError(EdgecapError):
    """No such file, folder or bundle, or none that may be opened."""

    code = 66


class MicrophoneError(InputMissingError):
    """No microphone of that name, or none at all."""


class UnavailableError(EdgecapError):
    """Something outside refuses: a taken port, a backend or library that is not installed."""

    code = 69


class OutputError(EdgecapError):
    """What was to be said or written does not get there: a full disk, a closed folder, no standard output."""

    code = 74


class ConfigError(EdgecapError):
    """A configuration key that is unknown, of the wrong type, out of range or unsafe."""

    code = 78
