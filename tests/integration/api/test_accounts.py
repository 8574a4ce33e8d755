"""Accounts, sessions, keys: who may do what, and what is refused."""

from tests.integration.api.world import World


def test_account_create_shows_an_empty_purse(world: World) -> None:
    body = {"name": "new tenant", "role": "tenant", "password": "correct horse"}
    answer = world.operator.client.post("/v1/accounts", json=body)
    assert answer.status_code == 201, answer.text
    account = answer.json()
    assert account["balance"] == {"posted_micros": 0, "held_micros": 0, "available_micros": 0}
    assert answer.headers["location"] == f"/v1/accounts/{account['id']}"
    assert account["created_at"].endswith("Z")


def test_account_create_refuses_a_taken_name(world: World) -> None:
    answer = world.operator.client.post("/v1/accounts", json={"name": "tenant", "role": "tenant"})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def test_deposit_and_withdrawal_move_the_balance(world: World) -> None:
    path = f"/v1/accounts/{world.tenant.id}"
    operator = world.operator.client
    assert operator.post(f"{path}/deposits", json={"amount_micros": 5_000_000}).status_code == 201
    assert (
        operator.post(f"{path}/withdrawals", json={"amount_micros": 2_000_000}).status_code == 201
    )
    balance = world.tenant.client.get("/v1/accounts/me").json()["balance"]
    assert balance["available_micros"] == 3_000_000  # 5 − 2 credits
    short = operator.post(f"{path}/withdrawals", json={"amount_micros": 4_000_000})
    assert (short.status_code, short.json()["code"]) == (402, "insufficient_funds")
    assert short.json()["missing_micros"] == 1_000_000  # 4 − 3 credits
    invariants = operator.get("/v1/ledger/invariants").json()
    assert invariants["ok"], invariants


def test_password_signs_a_browser_in_and_csrf_guards_changes(world: World) -> None:
    password = "a long enough password"
    changed = world.tenant.client.patch("/v1/accounts/me", json={"password": password})
    assert changed.status_code == 200, changed.text
    browser = world.anonymous
    wrong = browser.post("/v1/sessions", json={"name": "tenant", "password": "not the password"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
    signed_in = browser.post("/v1/sessions", json={"name": "tenant", "password": password})
    assert signed_in.status_code == 201
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get("/v1/sessions/current").json()["account"]["name"] == "tenant"
    refused = browser.post("/v1/keys", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    csrf = {"X-CSRF-Token": signed_in.json()["csrf_token"]}
    assert browser.post("/v1/keys", json={}, headers=csrf).status_code == 201
    assert browser.delete("/v1/sessions/current", headers=csrf).status_code == 204
    assert browser.get("/v1/sessions/current").status_code == 401


def test_api_key_signs_a_browser_in(world: World) -> None:
    answer = world.anonymous.post("/v1/sessions", json={"api_key": world.viewer.key})
    assert answer.status_code == 201
    assert answer.json()["account"]["role"] == "viewer"


def test_sign_in_is_slowed_down(world: World) -> None:
    body = {"name": "tenant", "password": "guess guess"}
    codes = [world.anonymous.post("/v1/sessions", json=body).status_code for _ in range(12)]
    assert codes[:10] == [401] * 10
    assert codes[-1] == 429


def test_key_is_shown_once_and_revoked_at_once(world: World) -> None:
    made = world.tenant.client.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})
    assert made.status_code == 201
    key = made.json()
    headers = {"Authorization": f"Bearer {key['key']}"}
    assert world.anonymous.get("/v1/jobs", headers=headers).status_code == 200
    refused = world.anonymous.post("/v1/keys", json={}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
    listed = world.tenant.client.get("/v1/keys").json()["items"]
    assert all("key" not in each for each in listed)
    assert world.tenant.client.delete(f"/v1/keys/{key['id']}").status_code == 204
    assert world.anonymous.get("/v1/jobs", headers=headers).status_code == 401


def test_key_of_another_account_is_not_there(world: World) -> None:
    key_id = world.tenant.client.post("/v1/keys", json={}).json()["id"]
    assert world.other_tenant.client.delete(f"/v1/keys/{key_id}").status_code == 404
    assert world.operator.client.delete(f"/v1/keys/{key_id}").status_code == 204


def test_key_cannot_make_a_mightier_one(world: World) -> None:
    weak = world.operator.client.post("/v1/keys", json={"scopes": ["read", "write"]}).json()["key"]
    headers = {"Authorization": f"Bearer {weak}"}
    answer = world.anonymous.post("/v1/keys", json={"scopes": ["admin"]}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/scopes")


def test_disabled_account_is_out_at_once(world: World) -> None:
    path = f"/v1/accounts/{world.tenant.id}"
    assert world.operator.client.patch(path, json={"disabled": True}).status_code == 200
    answer = world.tenant.client.get("/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (401, "account_disabled")


def test_if_match_of_a_gone_version_is_refused(world: World) -> None:
    path = f"/v1/accounts/{world.tenant.id}"
    tag = world.operator.client.get(path).headers["etag"]
    first = world.operator.client.patch(path, json={"fair_weight": 2.0}, headers={"If-Match": tag})
    assert first.status_code == 200
    second = world.operator.client.patch(path, json={"fair_weight": 3.0}, headers={"If-Match": tag})
    assert (second.status_code, second.json()["code"]) == (412, "stale_version")


def test_idempotency_key_gives_the_same_answer_and_one_effect(world: World) -> None:
    path, key = f"/v1/accounts/{world.tenant.id}/deposits", {"Idempotency-Key": "once"}
    operator = world.operator.client
    first = operator.post(path, json={"amount_micros": 7}, headers=key)
    again = operator.post(path, json={"amount_micros": 7}, headers=key)
    other = operator.post(path, json={"amount_micros": 8}, headers=key)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert world.tenant.client.get("/v1/accounts/me").json()["balance"]["posted_micros"] == 7


def test_idempotent_secret_is_given_again_but_not_kept_readable(world: World) -> None:
    key = {"Idempotency-Key": "a key"}
    first = world.tenant.client.post("/v1/keys", json={}, headers=key).json()["key"]
    assert world.tenant.client.post("/v1/keys", json={}, headers=key).json()["key"] == first
    with world.platform.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT body FROM idempotency_keys").scalar_one()
    assert first.encode() not in bytes(kept)
