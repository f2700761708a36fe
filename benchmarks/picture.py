"""Draw docs/demo.svg: what `edgecap demo` says, as it said it.

python benchmarks/picture.py
"""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"


def main() -> None:
    """Run the demo as fast as it goes, and draw its lines."""
    command = [sys.executable, "-m", "edgecap", "demo", "--fast"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    console = Console(record=True, width=78, file=sys.stderr)
    console.print(Text("$ edgecap demo --fast", style="bold green"))
    for line in said.splitlines():
        console.print(Text(line))
    # Without the fonts that rich would fetch: a picture must not reach for a network.
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="edgecap"), flags=re.DOTALL)
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
