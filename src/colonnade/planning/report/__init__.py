"""The page of a plan: one HTML file that opens offline, without a script, in a light and a dark room.

`html.py` the page, `plot.py` its pictures. Text comes from declarations, so the template engine escapes all of it.
What does not belong here: reckoning anything that the answer does not have.
"""

from __future__ import annotations

from colonnade.planning.report.html import Pictured as Pictured
from colonnade.planning.report.html import to_html as to_html
