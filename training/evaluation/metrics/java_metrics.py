"""METEOR 1.5 and SPICE, whose only implementations are Java programs, run as their authors wrote them.

METEOR's jar and tables come with the package pycocoevalcap (the extra `metrics`). SPICE comes with it too,
but for the parser's models, which Stanford hands out; it runs on Java 8 to 11 only.
"""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....runtime.errors import UnavailableError
from .text import Words

METEOR_JAR = Path("meteor") / "meteor-1.5.jar"
SPICE_JAR = "spice-1.0.jar"
SPICE_MODELS = Path("lib") / "stanford-corenlp-3.6.0-models.jar"


def meteor(
    candidates: Sequence[Words], references: Sequence[Sequence[Words]]
) -> tuple[float, NDArray[np.float64]]:
    """METEOR 1.5 of the set (from summed counts, not a mean), and of each clip.

    English, -norm, all four matchers. Raises UnavailableError without Java or the package.
    """
    jar = _package_folder() / METEOR_JAR
    command = [_java(), "-jar", "-Xmx2G", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command, cwd=jar.parent, text=True, encoding="utf-8",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as program:  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None

        def ask(line: str) -> str:
            try:
                print(line, file=program.stdin, flush=True)
            except BrokenPipeError:
                return ""
            return program.stdout.readline().strip()  # type: ignore[union-attr]  # it is a pipe

        counts = [
            ask(f"SCORE ||| {' ||| '.join(' '.join(one) for one in some)} ||| {' '.join(candidate)}")
            for candidate, some in zip(candidates, references, strict=True)
        ]
        each = [ask(f"EVAL ||| {' ||| '.join(counts)}")]
        each += [program.stdout.readline().strip() for _ in candidates]
        program.stdin.close()
    if not all(each):
        raise UnavailableError("METEOR stopped in the middle", fix=f"try it by hand: {' '.join(command)}")
    *scores, whole = (float(score) for score in each)
    return whole, np.array(scores)


def spice(
    candidates: Sequence[Words], references: Sequence[Sequence[Words]], folder: Path
) -> NDArray[np.float64]:
    """SPICE's F of each clip; NaN, as it gives itself, where neither side holds a tuple.

    folder: pycocoevalcap's `spice`, with the parser's models in its lib.
    Raises UnavailableError where a part is missing or the program fails.
    """
    for part in (SPICE_JAR, SPICE_MODELS):
        if not (folder / part).is_file():
            raise UnavailableError(f"SPICE needs {folder / part}", why="it is not there")
    clips = [
        {"image_id": i, "test": " ".join(candidate), "refs": [" ".join(one) for one in some]}
        for i, (candidate, some) in enumerate(zip(candidates, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered, cache = (Path(scratch) / name for name in ("in.json", "out.json", "cache"))
        asked.write_text(json.dumps(clips), encoding="utf-8")
        cache.mkdir()
        command = [
            _java(), "-jar", "-Xmx8G", SPICE_JAR, str(asked), "-cache", str(cache),
            "-out", str(answered), "-subset", "-silent",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not answered.is_file():
            raise UnavailableError(
                "SPICE failed",
                why=next(iter(done.stderr.strip().splitlines()), "it said nothing"),
                fix="it wants Java 8 to 11: point JAVA_HOME to one",
            )
        rows = json.loads(answered.read_text(encoding="utf-8"))
    scores = np.full(len(candidates), math.nan)
    for row in rows:
        scores[row["image_id"]] = float(row["scores"]["All"]["f"])
    return scores


def _java() -> str:
    """The java of JAVA_HOME, or of the path."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).is_file():
        raise UnavailableError(
            "there is no java",
            why=f"looked for {java or 'it on the path'}",
            fix="install a Java runtime, version 8 or later",
        )
    return java


def _package_folder() -> Path:
    found = importlib.util.find_spec("pycocoevalcap")
    if found is None or not found.submodule_search_locations:
        raise UnavailableError("pycocoevalcap is not installed", fix="pip install 'edgecap[metrics]'")
    return Path(next(iter(found.submodule_search_locations)))
