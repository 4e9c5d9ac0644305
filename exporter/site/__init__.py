"""The routes of the agent, and its landing page.

Read `routes`, then `landing_data` (the data of the page) and `landing` (its
HTML). Internal.
"""
