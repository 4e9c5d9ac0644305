"""What both dashboards are built of."""
