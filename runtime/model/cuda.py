"""The CUDA driver, as much of it as an engine needs: memory, copies, one stream. By ctypes, no package.

Not run on a GPU here: it is written to NVIDIA's driver API reference, and its refusals are tested.
"""

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnavailableError

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


class Device:
    """The first GPU: allocates on it, copies to and from it, in the order of one stream."""

    def __init__(self) -> None:
        """Raises UnavailableError if there is no driver, or no GPU that it would use."""
        try:
            self._driver = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise UnavailableError(
                "there is no NVIDIA driver", why=str(error), fix="install it, or use a bundle for the CPU"
            ) from error
        self._call("cuInit", 0)
        number, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(number), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), number)
        self._context = context
        self.enter()
        self._call("cuStreamCreate", ctypes.byref(stream), 1)  # non-blocking
        self.stream = int(stream.value or 0)
        self.capability = f"{self._attribute(_MAJOR, number)}.{self._attribute(_MINOR, number)}"
        """Compute capability: "8.6"."""
        self._free: dict[int, list[int]] = {}

    def enter(self) -> None:
        """Make this GPU the calling thread's; every use of it from another thread begins so."""
        self._call("cuCtxSetCurrent", self._context)

    def empty(self, shape: tuple[int, ...], dtype: str) -> "DeviceArray":
        """Memory on the GPU; taken from what was given back where the size fits."""
        size = max(1, int(np.prod(shape))) * np.dtype(dtype).itemsize
        kept = self._free.setdefault(size, [])
        if kept:
            address = kept.pop()
        else:
            pointer = ctypes.c_uint64()
            self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
            address = pointer.value
        array = DeviceArray(self, address, shape, dtype)
        weakref.finalize(array, kept.append, address)
        return array

    def upload(self, values: NDArray[Any]) -> "DeviceArray":
        """A copy on the GPU. It has arrived when this returns: the source may be changed."""
        values = np.ascontiguousarray(values)
        array = self.empty(values.shape, str(values.dtype))
        source = ctypes.c_void_p(values.ctypes.data)
        self._call(
            "cuMemcpyHtoDAsync_v2", ctypes.c_uint64(array.address), source,
            ctypes.c_size_t(values.nbytes), ctypes.c_void_p(self.stream),
        )  # fmt: skip
        self.wait()
        return array

    def download(self, array: "DeviceArray") -> NDArray[Any]:
        """A copy in the CPU's memory, after all that was asked of the stream."""
        values = np.empty(array.shape, array.dtype)
        target = ctypes.c_void_p(values.ctypes.data)
        self._call(
            "cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(array.address),
            ctypes.c_size_t(values.nbytes), ctypes.c_void_p(self.stream),
        )  # fmt: skip
        self.wait()
        return values

    def wait(self) -> None:
        """Until the stream has done all that was asked of it."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def _attribute(self, which: int, number: ctypes.c_int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), which, number)
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            why = text.value.decode() if text.value else f"error {status}"
            raise UnavailableError(f"the GPU refuses {name}", why=why, fix="see what nvidia-smi says of it")


class DeviceArray:
    """A tensor on the GPU. State between steps is such: it comes to the CPU only if somebody looks."""

    def __init__(self, device: Device, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.device, self.address, self.shape, self.dtype = device, address, shape, dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self.device.download(self)
        return values if dtype is None else values.astype(dtype)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """A part of it, on the CPU: how the beam search reorders its caches."""
        chosen: NDArray[Any] = np.asarray(self)[index]
        return chosen
