"""The scrape page: text 0.0.4 or OpenMetrics 1.0.0, rendered from a cache.

`page.Page` is the door. A *cell* holds the lines of one series set under one metric, a
*block* the cells of some dozens of series sets; `agent_lines` renders the metrics of the
whole computer, `negotiation` chooses the format. Internal.
"""
