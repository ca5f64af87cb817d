"""Colonnade runs a web application as a scalable, fault-tolerant system.

The packages form layers; imports point down only (`tests/tidy/test_layers.py` holds the list).
ARCHITECTURE.md maps concepts to files. Nothing lives at this level but the version.
"""

__version__ = "0.1.0"
