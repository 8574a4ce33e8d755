"""The reconciler: makes true what time has changed, whichever process died at whatever moment.

Each look is one short transaction that finds its work again from the database alone, so it may be
stopped anywhere and run anywhere; of several processes one does it at a time.
"""

from broker.reconcile.looks import Reconciler

__all__ = ["Reconciler"]
