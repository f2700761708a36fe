"""The manifest: read from before its newer keys, and documented to the last."""

from pathlib import Path

import msgspec
import pytest

from edgecap.runtime.model import manifest
from edgecap.runtime.model.manifest import Manifest, Tensor, Thresholds


def test_a_manifest_of_before_the_groups_of_thresholds_has_the_usual_ones() -> None:
    before = b'{"level_db":-60.0,"novelty":0.25,"confidence":0.57,"hedge":0.52,"calibration":{"bias":0.3}}'
    thresholds = msgspec.json.decode(before, type=Thresholds)
    assert thresholds.policy == manifest.PolicyThresholds()
    assert thresholds.segments == manifest.SegmentThresholds()
    assert thresholds.alarms == manifest.AlarmThresholds()
    own = msgspec.json.decode(b'{"policy":{"arrival":0.9},"alarms":{"likely_t4":0.5}}', type=Thresholds)
    assert own.policy == manifest.PolicyThresholds(arrival=0.9)
    assert (own.alarms.likely("T3"), own.alarms.likely("T4")) == (0.74, 0.5)


@pytest.mark.parametrize(
    "struct",
    [
        Manifest,
        manifest.GraphFile,
        manifest.Build,
        manifest.AudioContract,
        manifest.Thresholds,
        manifest.Calibration,
        manifest.PolicyThresholds,
        manifest.SegmentThresholds,
        manifest.AlarmThresholds,
        Tensor,
    ],
)
def test_every_key_of_the_manifest_is_documented(struct: type[msgspec.Struct]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "bundle.md").read_text(encoding="utf-8")
    assert [key for key in struct.__struct_fields__ if f"`{key}`" not in page] == []
