"""From the ear's publishing to pixels: how long a caption takes to stand on a page in a real browser.

python -m benchmarks.page [--captions 300] [--tabs 3]

Each caption is told by the real wire to the real face and shown in Chromium; the clock is read when the frame
that shows it has been drawn.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.page.browser import Tab, launched, until
from tests.page.house import Ear, Face

WATCH = """() => {
  window.shown = {};
  const look = () => {
    document.querySelectorAll('.standing-text').forEach((each) => {
      const text = each.textContent;
      if (!text.startsWith('Sound ') || window.shown[text]) return;
      window.shown[text] = -1;
      // The frame that paints it ends before the next one begins.
      requestAnimationFrame(() => { window.shown[text] = Date.now(); });
    });
  };
  const all = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.querySelector('#now'), all);
}"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--captions", type=int, default=300)
    arguments.add_argument("--tabs", type=int, default=3)
    arguments.add_argument("--every", type=float, default=0.25, help="seconds between two captions")
    chosen = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Ear(["kitchen"]) as ear,
        launched() as browser,
        Face([ear], Path(folder)) as face,
    ):
        tabs = [Tab(browser, face.url + "/") for _ in range(chosen.tabs)]
        watched = tabs[-1].page  # the one in front
        until(watched, "document.querySelector('#state.well') !== null")
        watched.evaluate(WATCH)
        sent: dict[str, float] = {}
        before: tuple[str, int] | None = None
        for count in range(chosen.captions):
            text = f"Sound {count} is heard while something else goes on."
            if before is not None:
                ear.say(before[0], kind="end", number=before[1])
            sent[text] = time.time() * 1000
            before = text, ear.say(text)
            time.sleep(chosen.every)
        watched.wait_for_timeout(1000)
        shown: dict[str, float] = watched.evaluate("window.shown")
    late = np.array([shown[text] - at for text, at in sent.items() if shown.get(text, -1) > 0])
    print(
        f"{len(late)} of {len(sent)} captions, {chosen.tabs} tabs; from publishing to pixels, milliseconds:"
    )
    middle, p95, p99 = np.percentile(late, (50, 95, 99))
    print(f"median {middle:.0f}, p95 {p95:.0f}, p99 {p99:.0f}, most {late.max():.0f}")


if __name__ == "__main__":
    main()
