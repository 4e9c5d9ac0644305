"""The routes of the agent, and its landing page.

Read `routes`, then `landing_data` (the data of the page), `landing` (its HTML) and `timeline` (its
bars). `landing_script`, `landing_style` and `visible` serve the page. Internal.
"""
