"""The application as beat sees it: ``celery -A broker.tasks.timetable beat``.

Beat sends tasks by their names, so it loads none of them, nor the market and the database behind.
"""

from broker.settings import get_settings
from broker.tasks.app import make_app

app = make_app(get_settings(), tasks=())
