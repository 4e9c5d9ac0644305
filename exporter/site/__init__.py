"""The routes, and the page for people.

Read `application` (which path answers what), then `landing_data` and `landing`. Internal.
"""
