"""The scrape endpoint: a small HTTP/1.1 server and what it serves.

From the wire inward: `server` accepts, `connection` speaks HTTP, `service` keeps the limits,
`application` answers.
"""
