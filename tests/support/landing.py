"""A landing page whose data stays as it is."""

from exporter.site.landing_data import LandingData


class FixedLanding:
    """See `routes.Landing`."""

    def __init__(self, data: LandingData) -> None:
        self._data = data
        #: How often something has changed, and how often the data was read.
        self.changes = self.reads = 0

    def version(self, range_seconds: float) -> str:
        """Return a version that changes with the data."""
        return f"v{range_seconds:g}-{self.changes}"

    def data(self, range_seconds: float, *, everything: bool) -> LandingData:
        """Return the fixed data."""
        self.reads += 1
        return self._data
