"""A landing page whose data stays as it is."""

from exporter.site.landing_data import LandingData


class FixedLanding:
    """See `routes.Landing`."""

    def __init__(self, data: LandingData) -> None:
        self._data = data
        #: How often something has changed, and how often the data was read.
        self.changes = self.reads = 0

    def version(self, range_seconds: float) -> str:
        """The same for a range until something changes."""
        return f"v{range_seconds:g}-{self.changes}"

    def data(self, range_seconds: float, *, everything: bool) -> LandingData:
        """The data it was made with."""
        self.reads += 1
        return self._data
