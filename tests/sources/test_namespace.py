"""How the network namespace that is watched is called."""

from support.namespace import Namespace

from exporter.sources import namespace as current


def test_a_namespace_has_its_name_or_its_inode(namespace: Namespace) -> None:
    """What ``ip netns`` has named goes by that; the machine's own has no name."""
    outside = current()
    assert outside is not None
    assert outside.startswith("net:[")
    with namespace.enter():
        assert current() == namespace.name
    assert current() == outside


def test_a_namespace_that_lost_its_name_goes_by_its_inode(namespace: Namespace) -> None:
    """A process keeps a namespace alive whose name is deleted."""
    with namespace.enter():
        namespace.remove()
        left = current()
    assert left is not None
    assert left.startswith("net:[")
