"""Beat ends between two ticks, never within one."""

import os
import subprocess
import sys

# In a process of its own: signals and Celery's application belong to a whole process.
TOLD_IN_A_TICK = """
import os, signal
from celery.beat import Scheduler, Service
from broker.tasks.timetable import app

class Told(Scheduler):
    def __init__(self, *_, **__):
        self.max_interval = 1

    def tick(self):
        print("begun")
        os.kill(os.getpid(), signal.SIGTERM)
        print("ended")
        return 0.0

    def close(self):
        print("closed")

def closed_within(*_):
    raise SystemExit("the handler of Celery's command line is still there")

signal.signal(signal.SIGTERM, closed_within)
Service(app, scheduler_cls=Told).start()
"""
TIMEOUT_S = 60.0


def test_beat_told_to_end_in_a_tick_ends_after_it():
    env = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, "-c", TOLD_IN_A_TICK],
        env={**env, "CELERY_BROKER_URL": ""},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["begun", "ended", "closed"]
