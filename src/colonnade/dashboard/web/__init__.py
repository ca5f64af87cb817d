"""The page: who may see and do what (`guard.py`), the system as one picture (`picture.py`), what is read
(`reading.py`), what can be asked for (`actions.py`), and the files that the browser gets (`assets/`).

What does not belong here: deciding anything about the system. The controller does, and the page asks it.
"""
