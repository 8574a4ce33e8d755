"""Dispatch: sets off rounds, places tasks, sends orders and commands, and reconciles.

It acts on hints (NOTIFY), and looks for itself once in a while in case one was lost.
"""
