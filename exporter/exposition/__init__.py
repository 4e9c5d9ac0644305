"""The scrape page: text 0.0.4 or OpenMetrics 1.0.0, rendered from a cache.

Read `page` (the whole page, and what a cell, a block and a column are), then `blocks`,
`series_lines`, `agent_lines` (the metrics of the whole computer), `process_metrics` and
`text_format`. `compression` compresses, `negotiation` chooses the format. Internal.
"""
