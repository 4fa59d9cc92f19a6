"""Files and folders of other tools become a table of runs.

A reader a format turns what it finds into a `Sheet`: rows of text under a header. `columns.py` finds out which column
is what, in which unit; `table.py` makes a `RunTable` of it, and says what it took and what it left.
"""
