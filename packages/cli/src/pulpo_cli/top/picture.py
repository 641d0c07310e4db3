"""A picture of `pulpo top`, without a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from textual import work

from .app import Top, run

#: Columns and lines of the terminal that is not there.
SIZE: Final = (160, 36)

#: Looks before the picture is taken: enough for rates and a line of bars.
LOOKS: Final = 8


class _Model(Top):
    """Sits still for its picture."""

    picture = ""

    def on_ready(self) -> None:
        """The screen is there."""
        self.sit()

    @work
    async def sit(self) -> None:
        """Wait until there is something to be seen, or time is up, and leave."""
        for _ in range(LOOKS):
            await self._clock.sleep(self._interval)
        self.show()
        await self._clock.sleep(0.2)  # for the screen to follow
        self.picture = self.export_screenshot(title="pulpo top")
        self.exit()


def take(urls: Sequence[str], path: Path, *, interval: float) -> None:
    """Watch *urls* for a few looks, and write what the screen shows to *path* as SVG."""
    model = _Model(urls, interval=interval)
    run(model, headless=True, size=SIZE)
    path.write_text(model.picture, encoding="utf-8")
