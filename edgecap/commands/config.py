"""config: the configuration in force, explained."""

from typing import TYPE_CHECKING

from ..streams import as_file
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config


@options.configured(*options.PANELS)
def config(settings: "Config") -> None:
    """The configuration in force, every key explained: YAML to save and edit.

    edgecap config > ~/.config/edgecap/config.yaml
    """
    from edgecap.runtime.config.file import render

    as_file()
    print(render(settings), end="")
