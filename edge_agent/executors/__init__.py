"""Running tenants' code: child processes with limits, warm between tasks, metered."""
