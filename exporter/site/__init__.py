"""The routes of the agent, and its landing page.

Read `routes`, then `landing_cache` (which keeps the page for a moment), `landing_data` (the data of
the page), `landing` (its HTML), `timeline` (with `timeline_svg`) and `tables` (its parts), and
landing.js, which updates it. `formatting` writes text, numbers and times. Internal.
"""
