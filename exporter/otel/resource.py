"""The resource of every signal: the attributes that identify this agent and its host.

Source: https://opentelemetry.io/docs/specs/semconv/resource/
"""

from __future__ import annotations

import platform
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from exporter import __version__
from exporter.version import NAME

#: OpenTelemetry's namespace for ``service.instance.id`` as a UUID version 5.
_INSTANCES = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def resource(listen_addresses: Sequence[str], netns: str | None) -> Resource:
    """Return the resource. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override it.

    The instance id stays the same after a restart, so that series continue. It differs between
    agents of a host, which have different network namespaces or listen addresses.
    """
    host_id = _host_id()
    instance = " ".join((host_id or platform.node(), netns or "", *listen_addresses))
    attributes = {
        "service.name": NAME,
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid5(_INSTANCES, instance)),
        "host.name": platform.node(),
        "os.type": platform.system().lower(),
    }
    if host_id:
        attributes["host.id"] = host_id
    if netns:
        attributes["ip_interface.netns"] = netns
    return Resource.create(attributes).merge(OTELResourceDetector().detect())


def _host_id() -> str:
    if sys.platform == "win32":
        import winreg

        with (
            suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key,
        ):
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    else:
        for path in _MACHINE_IDS:
            with suppress(OSError, UnicodeDecodeError):
                if text := Path(path).read_text().strip():
                    return text
    return ""
