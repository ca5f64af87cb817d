"""What a Prometheus needs to watch a system: whom to scrape, when to alarm, and tests of the alarms. Data, and pure.

`config.py` the scrapes, `rules.py` the alerts from their declaration beside this package, `rule_tests.py` their tests
in the form of `promtool test rules`. Who writes them: `export prometheus` (`deploy/prometheus.py`), and the part that
runs a Prometheus (`system/prometheus_part.py`).
"""
