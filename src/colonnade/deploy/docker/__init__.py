"""Container images: a Dockerfile for the application, the gateway and the database, and what is put into them.

`look.py` reads the directory, `pins.py` says which version of each library, `services.py` how each service is started,
`dockerfile.py` writes the text, `files.py` puts them together; `inside/` has the programs that run in a container.

Does not belong here: how containers find each other (`deploy/compose`), and starting any of them.
"""
