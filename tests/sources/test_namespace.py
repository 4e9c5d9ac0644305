"""The name of the watched network namespace."""

from support.namespace import Namespace

from exporter.sources import namespace as current


def test_a_namespace_has_its_name_or_its_inode(namespace: Namespace) -> None:
    """A namespace of ``ip netns`` has that name; the namespace of the machine has none."""
    outside = current()
    assert outside is not None
    assert outside.startswith("net:[")
    with namespace.enter():
        assert current() == namespace.name
    assert current() == outside


def test_a_namespace_without_its_name_is_named_by_its_inode(namespace: Namespace) -> None:
    """A process can keep a namespace whose name is deleted."""
    with namespace.enter():
        namespace.remove()
        left = current()
    assert left is not None
    assert left.startswith("net:[")
