"""What was seen, kept on disk for weeks within a stated bound, coarser the older it is.

`levels.py` says how long what is kept, `fold.py` how it becomes coarser, `schema.py` what the file looks like;
`writer.py` is the dashboard's, `reader.py` everybody's. Not here: what is worth keeping (`kept.py` is the one list),
and what follows from it (objectives, alerts).
"""
