"""The scrape page: text 0.0.4 or OpenMetrics 1.0.0, rendered from a cache.

Read `page` (the whole page), then `blocks` and `series_lines` (a *cell* holds the lines of one
series set under one metric, a *block* the cells of some dozens of series sets), `agent_lines` (the
metrics of the whole computer), `process_metrics` and `text_format`. `compression` compresses,
`negotiation` chooses the format. Internal.
"""
