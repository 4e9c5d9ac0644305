"""Every metric, declared once in `catalogue`, and the `snapshot` it is read from.

`collector.CatalogueCollector` gives them to a prometheus_client registry.
"""
