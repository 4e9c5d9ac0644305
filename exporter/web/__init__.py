"""An HTTP/1.1 server on h11 that knows no metric, and its web configuration file.

From the wire inward: `server` accepts, `tls_stream` decrypts, `connection` speaks HTTP,
`admission` keeps the limits, `gate` checks every request against the web configuration.

The web configuration: `configuration_reader` reads the file, `configuration` is its content,
`tls` makes certificates of it, and `live_configuration` follows the file while it changes.

uvicorn and hypercorn neither evict the slowest client nor reload TLS for each connection;
both are promised here. Internal.
"""
