-- The platform's own ledger accounts and the policy that is in force until an operator chooses.

INSERT INTO accounts (id, name, role, created_at) VALUES
    ('account_issuance', 'issuance', 'system', now()),
    ('account_escrow', 'escrow', 'system', now()),
    ('account_platform', 'platform', 'system', now());

-- Depth 0 is refused by the trigger, so the one account that may overdraw is marked without it.
ALTER TABLE balances DISABLE TRIGGER balances_follow_transfers;
UPDATE balances SET may_overdraw = true WHERE account_id = 'account_issuance';
ALTER TABLE balances ENABLE TRIGGER balances_follow_transfers;

INSERT INTO policies (id, name, body, created_by, created_at, activated_at) VALUES (
    'policy_default',
    'default',
    '{"mechanism": "greedy",
      "weight_cost": 0.3, "weight_qos": 0.3, "weight_energy": 0.2, "weight_fairness": 0.2,
      "payment": "uniform",
      "price_step": 0.1, "utilisation_target": 0.8,
      "price_floor_micros": 1, "price_cap_micros": 1000000000,
      "fairness_half_life_s": 3600, "parameters": {}}',
    'account_platform', now(), now()
);
