"""The scrape endpoint: a small HTTP/1.1 server and what it serves.

From the wire inward: `server` accepts, `tls_stream` decrypts, `connection` speaks HTTP,
`service` keeps the limits, `gate` holds every request against the web configuration,
`application` answers.

The web configuration: `configuration_reader` reads the file, `configuration` is what it says,
`tls` makes certificates of it, and `policy` follows the file while it changes.
"""
