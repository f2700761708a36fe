"""Joules, where this machine lets them be read: Intel's and AMD's packages, NVIDIA's GPUs."""

import contextlib
import ctypes
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Counts what the whole machine spends, not this process alone: measure where nothing else runs."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        """folder: where Linux shows its power zones. Zones within a package are left out: it holds them."""
        self._folder = folder
        self._zones = [zone for zone in sorted(folder.glob("*rapl:*")) if zone.name.count(":") == 1]
        self._zones = [zone for zone in self._zones if _read(zone / "energy_uj") is not None]
        self._gpus = _Gpus()
        self._last = self._count()

    @property
    def reads(self) -> tuple[str, ...]:
        """What it can see: "cpu", "gpu", both or nothing."""
        return (*(["cpu"] if self._zones else []), *(["gpu"] if self._gpus.handles else []))

    def joules(self) -> float | None:
        """Spent since it was last asked, or made; None where nothing can be read."""
        before, self._last = self._last, self._count()
        if not self.reads:
            return None
        spent = 0.0
        for name, now in self._last.items():
            delta = now - before[name]
            if delta < 0:  # the counter began anew
                delta += (_read(self._folder / name / "max_energy_range_uj") or 0) / 1e6
            spent += delta
        return spent

    def _count(self) -> dict[str, float]:
        counts = {zone.name: (_read(zone / "energy_uj") or 0) / 1e6 for zone in self._zones}
        return counts | self._gpus.joules()


def _read(file: Path) -> int | None:
    """The number in a file; None where there is none, or only root may see it."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class _Gpus:
    """NVIDIA's management library, as much of it as an energy counter needs."""

    def __init__(self) -> None:
        self.handles: list[ctypes.c_void_p] = []
        with contextlib.suppress(OSError):
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
            count = ctypes.c_uint()
            if self._library.nvmlInit_v2() or self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
                return
            for index in range(count.value):
                handle = ctypes.c_void_p()
                if not self._library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
                    self.handles.append(handle)

    def joules(self) -> dict[str, float]:
        """Since the driver was loaded, by GPU; those that don't count (before Volta) are left out."""
        counts = {}
        for index, handle in enumerate(self.handles):
            millijoules = ctypes.c_ulonglong()
            if not self._library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
                counts[f"gpu{index}"] = millijoules.value / 1e3
        return counts
