"""`colonnade top`: the picture of the dashboard in a terminal, with keys to look into a part and to act.

What is so, and whether it is well, `dashboard/web/picture.py` says; here it becomes lines (`rows.py`, `detail.py`,
`frame.py`: pure) and a screen (`app.py`). What does not belong here: judging the system, or changing it other than by
asking the controller.
"""
