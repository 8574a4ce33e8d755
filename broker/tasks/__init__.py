"""Celery tasks: rounds and housekeeping. ``celery -A broker.tasks worker`` and ``… beat``."""

from broker.tasks.app import app

__all__ = ["app"]
