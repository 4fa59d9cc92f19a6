"""Take the README's figure, docs/demo.png, from the report of a demo: the ladder, the law with its band, the outcome.

    python docs/make_figure.py LAB

Needs the `test` extra and Debian's chromium. The page is drawn as the report draws it, one figure is cut out.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path(__file__).with_name("demo.png")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def main(lab: Path) -> None:
    """Open the report and write the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.goto((lab / "report.html").resolve().as_uri(), timeout=120_000)
        page.add_style_tag(content=".modebar { display: none }")
        page.locator("#figure-law").screenshot(path=OUT)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
