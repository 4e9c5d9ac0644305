"""A landing page whose data stays as it is."""

from exporter.site.landing_data import LandingData


class FixedLanding:
    """See `routes.Landing`."""

    def __init__(self, data: LandingData) -> None:
        self._data = data

    def version(self, range_seconds: float) -> str:
        """Always the same for a range."""
        return f"v{range_seconds:g}"

    def data(self, range_seconds: float, *, everything: bool) -> LandingData:
        """The data it was made with."""
        return self._data
