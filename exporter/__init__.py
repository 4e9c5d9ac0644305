"""ip-interface-exporter: counts every change of a computer's IP interfaces and publishes it.

The route of a notification::

    Linux, Windows → bindings → sources → monitor → metrics → exposition → site → web → a scrape
                                             │         └────→ otel → an OTLP receiver
                                             └─ observers: otel (events), a recording

    bindings    the systems' own names: iphlpapi.dll, rtnetlink
    sources     notifications from Windows, Linux or a recording
    monitor     from notifications to exact counts
    metrics     every metric, declared once, and the snapshot it is read from
    exposition  the scrape page
    site        the routes, and the landing page
    web         an HTTP server that knows no metric
    otel        what is pushed: notifications as events, and the metrics

Beside the route: `agent` assembles these parts and runs them, `cli` has the commands, `settings`
the flags and files. `notify` is the documented Windows API for Python programs; it has sources of
its own. Imports go against the arrows, but for those of `web`, which `site` imports: pyproject.toml
has the layers.

Public are `watch`, `exporter.notify` (with the types of `exporter.model`) and the command line;
everything else is internal. Glossary:

IP interface    one family (IPv4 or IPv6) on one link
link            a network device, with or without IP
LUID            the identity of an interface for its whole life (NET_LUID)
row             MIB_IPINTERFACE_ROW: the settings and the state of an IP interface
notification    a message of the system: an interface was added, deleted, or its row changed
delta           the effect of one notification: which members of the row changed
transition      a change of the row's Connected
flap            two transitions: disconnected and connected again
unobserved      a transition that no notification showed; counters or a comparison prove it
inferred        a difference found by reading everything again, not by a notification
overrun         the system's receive queue was full and notifications were lost
dropped         a notification that was lost, counted
episode         a burst of notifications, pushed as one trace
series set      all time series with the same device, family, index and LUID
snapshot        the whole state at one instant, as it is published
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from exporter.version import __version__

if TYPE_CHECKING:
    from exporter.metrics.watch import Watch

__all__ = ["__version__", "watch"]


def watch(
    *,
    include: str | None = None,
    exclude: str | None = None,
    exclude_kinds: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    max_interfaces: int | None = None,
    retention_seconds: float | None = None,
    all_parameters: bool = False,
) -> Watch:
    """Count every change of this computer's IP interfaces, for a registry of your own.

    ::

        with exporter.watch(exclude="veth.*") as watch:
            prometheus_client.REGISTRY.register(watch.collector)

    The result is a context manager: on entry it opens the source and starts a thread, on exit it
    ends both. `collector` is a prometheus_client collector of all metrics.

    The arguments are the flags ``--collector.*``, with the same defaults: `include` and
    `exclude` are regular expressions (RE2) of whole device names, `exclude_kinds` are link kinds
    (Linux), `groups` has a regular expression for each name of a group, `max_interfaces` limits
    the IP interfaces with their own series, the counters of a deleted interface stay for
    `retention_seconds`, and `all_parameters` adds a metric for each member of the row.

    Raises ValueError for an invalid argument, and OSError where there is no source. The entry
    raises OSError if the system refuses.
    """
    from exporter.metrics.watch import Watch, settings_of  # keeps the import of exporter cheap

    return Watch(
        settings_of(
            include,
            exclude,
            exclude_kinds,
            groups or {},
            max_interfaces,
            retention_seconds,
            all_parameters=all_parameters,
        )
    )
