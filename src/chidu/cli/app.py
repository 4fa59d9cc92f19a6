"""The application that the verbs join, one file a verb."""

from cyclopts import App, Parameter

from chidu import __version__

app = App(
    name="chidu",
    version=__version__,
    help="A scaling-law laboratory: know how good the big model will be, and what it costs, before you train it.",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
