"""Celery tasks: rounds and housekeeping. ``celery -A broker.tasks worker`` runs them."""

from broker.tasks.app import app

__all__ = ["app"]
