"""Load shapes as data: one TOML file each, read by `planning/load_shape.py`. Nothing else belongs here."""
