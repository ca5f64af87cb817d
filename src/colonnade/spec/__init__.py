"""What the user declared, checked and typed: colonnade.toml and nothing else.

`model.py` is the vocabulary, `units.py` reads "250ms" and "10MB", `load.py` turns a file into a `Spec` or into
errors that name the file, the key, what was got and what was expected. Nothing here starts or asks anything.
"""

FILE_NAME = "colonnade.toml"
