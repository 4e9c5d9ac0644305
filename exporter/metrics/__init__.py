"""Every metric, declared once in `catalog`, and the `snapshot` it is read from.

`collector` gives them to a prometheus_client registry, and `watch` to that of another program.
Public is `watch.Watch`, which `exporter.watch` returns; the rest is internal.
"""
