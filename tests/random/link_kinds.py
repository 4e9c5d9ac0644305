"""Which kinds of links this kernel can make, found by making one of each."""

import platform
from pathlib import Path

from support.namespace import Namespace

#: How to make a link of a kind; ``{lower}`` is a link to put it on.
RECIPES = {
    "veth": "link add {name} {more} type veth peer name {peer}",
    "dummy": "link add {name} {more} type dummy",
    "ifb": "link add {name} {more} type ifb",
    "bridge": "link add {name} {more} type bridge",
    "tap": "tuntap add mode tap name {name}",
    "tun": "tuntap add mode tun name {name}",
    "bond": "link add {name} {more} type bond",
    "team": "link add {name} {more} type team",
    "vrf": "link add {name} {more} type vrf table {number}",
    "vlan": "link add link {lower} name {name} {more} type vlan id {number}",
    "macvlan": "link add link {lower} name {name} {more} type macvlan mode bridge",
    "macvtap": "link add link {lower} name {name} {more} type macvtap mode bridge",
    "ipvlan": "link add link {lower} name {name} {more} type ipvlan",
    "macsec": "link add link {lower} name {name} {more} type macsec port {number}",
    "vxlan": "link add {name} {more} type vxlan id {number} dstport 4789",
    "geneve": "link add {name} {more} type geneve id {number} remote 192.0.2.1",
    "gretap": "link add {name} {more} type gretap local 192.0.2.9 remote 192.0.2.{number}",
    "wireguard": "link add {name} {more} type wireguard",
    "netkit": "link add {name} {more} type netkit peer name {peer}",
    "nlmon": "link add {name} {more} type nlmon",
    "vcan": "link add {name} {more} type vcan",
}

#: Kinds that need ports, and those that need a link below them.
MASTERS = ("bridge", "bond", "team", "vrf")
UPPER = tuple(kind for kind, recipe in RECIPES.items() if "{lower}" in recipe)

_MODULES = {
    "tap": "tun",
    "bond": "bonding",
    "vlan": "8021q",
    "gretap": "ip_gre",
    "macvtap": "macvtap",
}


def available(namespace: Namespace) -> tuple[str, ...]:
    """The kinds of which a link can be made; uses up the namespace.

    No module is loaded for that: some make devices in every network namespace.
    """
    found = []
    for number, (kind, recipe) in enumerate(RECIPES.items(), start=2):
        lower = next((f"probe{k}" for k in ("dummy", "veth") if k in found), "lo")
        name = f"probe{kind}"
        line = recipe.format(name=name, more="", peer=f"p{kind}", lower=lower, number=number)
        if _is_loaded(_MODULES.get(kind, kind)):
            try:
                namespace.ip(line)
            except RuntimeError:
                continue
            found.append(kind)
            if kind in UPPER:
                namespace.ip(f"link delete {name}")  # some tolerate no other on their lower link
    return tuple(found)


def _is_loaded(module: str) -> bool:
    modules = Path("/proc/modules")
    built_in = Path("/lib/modules", platform.release(), "modules.builtin")
    if not (modules.exists() and built_in.exists()):
        return True  # nothing can be loaded
    names = [line.split()[0] for line in modules.read_text().splitlines()]
    names += [Path(line).stem for line in built_in.read_text().split()]
    return module.replace("-", "_") in {name.replace("-", "_") for name in names}
