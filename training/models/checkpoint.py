"""A model in files: tensors, read without running anything that is in them and fitted name by name; sizes.

Ours are safetensors. Public ones may be .pth, opened with torch's weights_only reader; their
tensors may lie under a wrapper key such as `model`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...runtime.errors import BundleError, InputMissingError

C = TypeVar("C", bound=msgspec.Struct)
NAMED_AT_MOST = 5


def write_json(content: object, path: Path) -> None:
    """Whatever msgspec can encode, a key a line."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content)))


def read_config(path: Path, kind: type[C], what: str, missing: str) -> C:
    """A model's configuration. what: "a room captioner"; missing: what is said of its folder without one.

    Raises InputMissingError without the file, BundleError where it says something else.
    """
    if not path.is_file():
        raise InputMissingError(missing, why=f"it has no {path.name}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise BundleError(f"{path} does not describe {what}", why=str(error)) from error


def write_tensors(module: nn.Module, path: Path) -> None:
    """Every tensor of the module's state dict, written beside the target and then renamed over it.

    One that the module has under several names is written under the first.
    """
    partial = path.with_name(path.name + ".partial")
    again = _other_names(module)
    state = {name: tensor for name, tensor in module.state_dict().items() if name not in again}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial)
    partial.replace(path)


def read_tensors(path: Path, wrapper: str = "model") -> dict[str, Tensor]:
    """Name -> tensor, from .safetensors or a torch file, with or without the wrapper key.

    Raises InputMissingError if there is no such file, BundleError if it holds anything but tensors.
    """
    if not path.is_file():
        raise InputMissingError(
            f"no checkpoint at {path}", fix="give the path of a .safetensors or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers let through whatever garbage made them stumble over
        why = str(error).split("\n")[0] or type(error).__name__
        raise BundleError(f"{path} can't be read as a checkpoint", why=why) from error
    if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
        content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BundleError(f"{path} holds no tensors by name", why=f"neither at the top nor under {wrapper!r}")
    return dict(content)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load `tensors` into the module; each name and shape must be the module's own.

    A module on the meta device, which has shapes and no memory, takes them over as they are.
    Raises BundleError that names what is missing, extra or misshapen.
    """
    own = module.state_dict()
    again = {name: first for name, first in _other_names(module).items() if name not in tensors}
    tensors = {**tensors, **{name: tensors[first] for name, first in again.items() if first in tensors}}
    missing = [f"{name} is missing" for name in own if name not in tensors]
    extra = [f"{name} is not part of this model" for name in tensors if name not in own]
    misshapen = [
        f"{name} is {_shape(tensors[name])}, expected {_shape(tensor)}"
        for name, tensor in own.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    wrong = [*_first(missing), *_first(extra), *_first(misshapen)]
    if wrong:
        raise BundleError(
            f"{source} does not fit the model",
            why="; ".join(wrong),
            fix="use the checkpoint with the configuration it was trained with",
        )
    is_empty = any(tensor.is_meta for tensor in own.values())
    fitting = {name: tensors[name].to(tensor.dtype) for name, tensor in own.items()}
    module.load_state_dict(fitting, assign=is_empty)


def _other_names(module: nn.Module) -> dict[str, str]:
    """Further names of parameters that the module has under several -> the first."""
    first: dict[int, str] = {}
    named = module.named_parameters(remove_duplicate=False)
    return {name: seen for name, each in named if (seen := first.setdefault(id(each), name)) != name}


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _first(faults: Sequence[str]) -> list[str]:
    rest = len(faults) - NAMED_AT_MOST
    return [*faults[:NAMED_AT_MOST], *([f"and {rest} more like it"] if rest > 0 else [])]
