"""The set-based statements of the control loops: rounds, placing, reports, fleet, reconciling.

Each module holds the SQL of one loop, in the order in which it locks: jobs, tasks, attempts,
leases, demands, nodes, each in id order, so that no two loops can wait for each other in a circle.
"""
