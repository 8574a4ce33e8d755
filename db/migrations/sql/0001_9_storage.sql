-- Rows that change often: room on their pages for the next version, and vacuum before they bloat.
-- Without it a table of six nodes, updated with each heartbeat, grows to thousands of pages.

ALTER TABLE jobs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE tasks SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE attempts SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE leases SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE demands SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE outbox SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE nodes SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE balances SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE standing_prices SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
