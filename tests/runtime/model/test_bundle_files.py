"""A damaged .zip is refused in a sentence, whatever its damage makes zipfile raise."""

import random
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from edgecap.runtime.errors import BundleError
from edgecap.runtime.model.bundle_files import ZipFiles

CONTENT = {"a.txt": bytes(range(256)) * 8, "b.txt": b"a door, a door, a bell" * 40}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_any_flipped_bit_is_refused_or_changes_nothing(method: int, tmp_path: Path) -> None:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)
    whole = path.read_bytes()
    refused = 0
    for bit in random.Random(7).sample(range(8 * len(whole)), 1_500):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        try:
            files = ZipFiles(path)
        except BundleError:
            refused += 1
            continue
        for name, content in CONTENT.items():
            with suppress(BundleError):
                files.size(name)
            try:
                assert files.read(name) == content
            except BundleError:
                refused += 1
    assert refused
