"""What a person at a terminal sees while work goes on: sentences and bars, on stderr, never on stdout."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from chidu.forecast.cost import price_seconds
from chidu.ladder.launcher import Progress as Work

LINE_SECONDS = 30.0
"""Where stderr is no terminal, a line of progress comes this often instead of a bar."""
UNKNOWN_SECONDS = 1e7
"""Time left beyond which there is no pace yet: in the first moments hardly anything is done."""


class Terminal:
    """Draws on stderr; a bar becomes a line now and then where stderr is a file. Use as a context manager."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Open on stderr; `quiet` shows nothing."""
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal and not quiet
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.live,
        )

    def __enter__(self) -> "Terminal":
        """Start drawing."""
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop drawing and wipe the bars."""
        self.bars.stop()

    def say(self, text: str) -> None:
        """Show a text as it stands."""
        self.console.print(text, markup=False)

    def share(self, what: str) -> Callable[[str, float], None]:
        """Open a bar; the function returned is told what is being done and which part of it, 0 to 1."""
        task = self.bars.add_task(what, total=1.0, note="", visible=False)

        def tell(doing: str, part: float) -> None:
            self._draw(task, doing, part, "")

        return tell

    def work(self, what: str) -> Callable[[Work], None]:
        """Open a bar for runs, with the number done, time left and cost so far."""
        task = self.bars.add_task(what, total=1.0, note="", visible=False)
        spoken = -LINE_SECONDS
        dollars_per_second = price_seconds(1.0).dollars

        def tell(work: Work) -> None:
            nonlocal spoken
            cost = work.device_seconds * dollars_per_second
            left = (
                f"about {work.seconds_left / 60:.0f} min"
                if work.seconds_left > 90
                else f"about {work.seconds_left:.0f} s"
            )
            if work.seconds_left > UNKNOWN_SECONDS:
                left = "unknown time"
            note = f"{work.done} of {work.total} runs, {left} left, ${cost:.3f} so far"
            self._draw(task, what, work.part, note)
            if not self.live and work.seconds - spoken >= LINE_SECONDS:
                spoken = work.seconds
                self.say(f"{what}: {work.part:.0%}, {note}")

        return tell

    def _draw(self, task: TaskID, what: str, part: float, note: str) -> None:
        self.bars.update(task, description=what, completed=part, note=note, visible=part < 1)
