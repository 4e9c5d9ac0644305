"""The ways to what the agent pushes by OTLP: traces in Tempo, logs in Loki."""

from __future__ import annotations

import json
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from parts.frame import AGENT, choice

SERVICE = "ip-interface-exporter"
#: Attributes of the resource and of spans in TraceQL; as Loki names them.
_TRACES = (
    f'{{ resource.service.name = "{SERVICE}" && resource.host.name =~ "${{host}}(\\\\..*)?" }}'
)
_LOGS = f'{{service_name="{SERVICE}"}} | host_name=~"${{host}}(\\\\..*)?"'


def otel_links(board: dashboard.Dashboard) -> None:
    """Add the links, and the hidden variables that they need: the data sources, and the host."""
    # The agent's host.name, where Prometheus has it as the instance.
    host = choice("host", "Host", f'label_values({AGENT}{{instance="$instance"}}, instance)')
    host.regex(r"/^([^:]+)/").hide(models.VariableHide.HIDE_VARIABLE)
    board.with_variable(host)
    for name, title, kind, query in (
        ("traces", "Traces", "tempo", {"queryType": "traceql", "query": _TRACES}),
        ("logs", "Logs", "loki", {"expr": _LOGS}),
    ):
        source = dashboard.DatasourceVariable(name).label(title).type(kind)
        board.with_variable(source.hide(models.VariableHide.HIDE_VARIABLE))
        pane = {
            "datasource": f"${{{name}}}",
            "queries": [
                {"refId": "A", "datasource": {"type": kind, "uid": f"${{{name}}}"}, **query}
            ],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
        panes = quote(json.dumps({"a": pane}), safe="${}")
        board.link(
            dashboard.DashboardLink(title)
            .type(models.DashboardLinkType.LINK)
            .icon("external link")
            .tooltip(f"What the agent pushed of this host by OTLP, in {kind.title()}")
            .url(f"/explore?schemaVersion=1&panes={panes}")
        )
