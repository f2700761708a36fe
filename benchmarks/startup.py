"""How soon a command answers: `edgecap --help`, which must import nothing heavy, and a model's first caption.

python benchmarks/startup.py
"""

import subprocess
import sys
import time
from pathlib import Path

CLIP = Path(__file__).parent.parent / "tests" / "data" / "clips" / "dog_bark.opus"
COMMANDS = {"--help": ["--help"], "caption a clip of 5 s": ["caption", str(CLIP)]}
ROUNDS = 5


def main() -> None:
    """Prints the best of five of each, for others use this machine too."""
    for name, arguments in COMMANDS.items():
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "edgecap", *arguments], capture_output=True, check=True)
            seconds.append(time.perf_counter() - start)
        print(f"{name:<24}{min(seconds):6.2f} s")


if __name__ == "__main__":
    main()
