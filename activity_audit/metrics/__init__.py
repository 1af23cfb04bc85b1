"""Figures for monitoring: metrics as Prometheus reads them, and whether the product is alive and ready."""
