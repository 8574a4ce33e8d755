"""``./souk demo``: a whole market on this machine, shown at work.

Starts the platform if it does not run, a fleet of six agents in two cells, two owners and three
tenants; submits a mixed workload; prints what happens and then a summary. It stays up until Ctrl-C
(with ``--exit`` it ends after the summary). A second run takes up the same accounts and devices.
"""

from stack.demo.main import main

__all__ = ["main"]
