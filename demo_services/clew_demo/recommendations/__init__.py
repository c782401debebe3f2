"""Recommendations: a service of a team that uses OpenTelemetry as it comes, and nothing else."""
