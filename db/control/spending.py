"""What a job has spent so far, as its settlement would count it now: one expression for all.

Attempts that wait for one slot may each claim the whole time since they were assigned. A settlement
charges a lease at most its slots times its life, so whoever asks what is left of a hold must count
so too: else a job is told that its money is gone, and is then given most of it back.
"""

# Slot time that lease ``l`` has sold by ``:now``.
SOLD_MS = """l.slots * greatest(0, floor(extract(epoch FROM coalesce(l.ended_at, :now)
    - l.starts_at) * 1000))::bigint"""

# Micros that job ``j`` owes at ``:now``; rounded up once a lease, as in market.money.
SPENT = f"""
    coalesce((SELECT sum(ceil(u.rate * least(u.ms, u.sold_ms) / 3600000.0)) FROM (
        SELECT l.rate_micros_per_hour AS rate, sum(a.chargeable_ms) AS ms, {SOLD_MS} AS sold_ms
        FROM attempts a JOIN leases l ON l.id = a.lease_id
        WHERE a.job_id = j.id AND a.chargeable_ms > 0 GROUP BY l.id) u), 0)::bigint
"""  # noqa: S608 - the only name put into it is the text above
