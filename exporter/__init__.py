"""ip-interface-exporter: counts every change of a computer's IP interfaces and publishes it.

A notification goes down this list, one package a step; imports go the other way only::

    bindings    the systems' own names: iphlpapi.dll, rtnetlink
    sources     notifications from Windows, Linux or a recording
    monitor     from notifications to exact counts
    metrics     every metric, declared once, and the snapshot it is read from
    exposition  the scrape page (or `otel`: what is pushed)
    site, web   the routes and the page for people; the HTTP server below them

`agent` puts the parts together. Beside the route: `notify`, the documented Windows API for
Python programs; `settings`, what people write. Glossary:

IP interface    one family (IPv4 or IPv6) on one link
link            a network device, with or without IP
LUID            the identity of an interface for its whole life (NET_LUID)
row             MIB_IPINTERFACE_ROW: the settings and the state of an IP interface
notification    what the system says: an interface was added, deleted, or its row changed
delta           the effect of one notification: which members of the row changed
transition      a change of the row's Connected
flap            two transitions: disconnected and connected again
unobserved      a flap that no notification showed; the kernel's carrier counters prove it
inferred        a difference found by reading everything again, not by a notification
overrun         the system's receive queue was full and notifications were lost
dropped         a notification that was lost, counted
episode         a burst of notifications, pushed as one trace
series set      all time series with the same device, family, index and LUID
snapshot        the whole state at one instant, as it is published
"""

from exporter.version import __version__

__all__ = ["__version__"]
