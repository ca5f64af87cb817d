"""Take it elsewhere: the declaration, written in the files of other tools.

`files.py` puts what an export made on the disk without destroying anybody's work; each export is a package or a module
of its own that makes `ExportedFile`s from a declaration, purely.

Does not belong here: running what was exported, or anything that a running system needs of itself.
Read next: `files`.
"""
