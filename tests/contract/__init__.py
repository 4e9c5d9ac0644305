"""One suite for the documented contract, over everything that keeps it; see ../README.md."""
