"""An HTTP/1.1 server on h11 that knows no metric, and the web configuration file.

The server, from the socket to the handler: `listening` opens the sockets, `server` accepts
connections, `tls_stream` decrypts, `connection` speaks HTTP and ends with a `linger`, `admission`
enforces the limits, `middleware` enforces the web configuration (`authentication`, `rate_limit`).
An `http_message` is a request or a response. `log_limit` keeps clients from flooding the log.

The web configuration: `configuration_reader` reads the file, `configuration` is its content,
`tls` (with `tls_names`) makes TLS contexts of it, and `live_configuration` reloads it when it
changes. What blocks runs in a `daemon_thread`; `addresses` parses IP addresses.

Why not uvicorn or hypercorn: they neither evict the slowest client nor reload TLS for each
connection. Internal.
"""
