"""Devices: join tokens, enrolment with a real request, renewal by the enrolled key, revocation."""

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.services import pki
from db.tables import Node
from tests.integration.api.world import World


class Device:
    """Makes keys and requests as an agent does."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = ""

    def csr(self) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        signed = request.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def renewal(self, new: "Device", *, signed_at: int | None = None) -> dict[str, Any]:
        at = signed_at if signed_at is not None else int(time.time() * 1000)
        csr = new.csr()
        signature = self.key.sign(f"{at}\n{csr}".encode(), ec.ECDSA(hashes.SHA256()))
        return {
            "certificate": self.certificate,
            "csr": csr,
            "signed_at": at,
            "signature": base64.b64encode(signature).decode(),
        }


def token_of(world: World, **fields: Any) -> str:
    answer = world.owner.client.post("/v1/tokens", json={"cell": "home"} | fields)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


def enrol(world: World, device: Device, token: str, name: str = "box") -> httpx.Response:
    body = {"token": token, "csr": device.csr(), "name": name}
    answer = world.anonymous.post("/v1/enrol", json=body)
    if answer.status_code == 201:
        device.certificate = answer.json()["certificate"]
    return answer


@pytest.fixture
def enrolled(world: World) -> tuple[Device, str]:
    device = Device()
    return device, enrol(world, device, token_of(world)).json()["node_id"]


def test_enrol_gives_a_certificate_of_the_platforms_ca(world: World) -> None:
    token = token_of(world)
    ca = world.anonymous.get("/v1/ca").text
    authority = x509.load_pem_x509_certificate(ca.encode())
    assert token.endswith(f".{pki.fingerprint(authority)}")
    answer = enrol(world, device := Device(), token)
    assert answer.status_code == 201, answer.text
    certificate = x509.load_pem_x509_certificate(device.certificate.encode())
    certificate.verify_directly_issued_by(authority)
    node_id = answer.json()["node_id"]
    assert pki.common_name(certificate) == node_id
    node = world.owner.client.get(f"/v1/nodes/{node_id}").json()
    assert (node["state"], node["name"], node["cell_name"]) == ("enrolled", "box", "home")
    assert world.other_owner.client.get(f"/v1/nodes/{node_id}").status_code == 404


def test_enrol_token_is_used_up(world: World) -> None:
    token = token_of(world)
    assert enrol(world, Device(), token).status_code == 201
    again = enrol(world, Device(), token)
    assert (again.status_code, again.json()["code"]) == (401, "bad_token")


def test_enrol_refuses_wrong_and_revoked_tokens(world: World) -> None:
    made = world.owner.client.post("/v1/tokens", json={"cell": "home"}).json()
    wrong = made["token"].replace(made["token"][-80:-65], "0" * 15)
    assert enrol(world, Device(), wrong).json()["code"] == "bad_token"
    assert world.other_owner.client.delete(f"/v1/tokens/{made['id']}").status_code == 404
    assert world.owner.client.delete(f"/v1/tokens/{made['id']}").status_code == 204
    assert enrol(world, Device(), made["token"]).json()["code"] == "bad_token"


def test_enrol_refuses_a_bad_request_and_keeps_the_use(world: World) -> None:
    token = token_of(world)
    body = {"token": token, "csr": "not a request"}
    answer = world.anonymous.post("/v1/enrol", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_csr")
    assert enrol(world, Device(), token).status_code == 201


def test_enrol_again_with_the_same_key_is_the_same_node(
    world: World, enrolled: tuple[Device, str]
) -> None:
    device, node_id = enrolled
    assert enrol(world, device, token_of(world)).json()["node_id"] == node_id


def test_renew_moves_to_the_new_key(world: World, enrolled: tuple[Device, str]) -> None:
    device, node_id = enrolled
    new = Device()
    answer = world.anonymous.post("/v1/enrol/renew", json=device.renewal(new))
    assert answer.status_code == 200, answer.text
    assert answer.json()["node_id"] == node_id
    # The answer may be lost: the old key is good for one more renewal.
    third = Device()
    answer = world.anonymous.post("/v1/enrol/renew", json=device.renewal(third))
    assert answer.status_code == 200
    # By now the second key was never used and is none of the node's.
    new.certificate = device.certificate
    refused = world.anonymous.post("/v1/enrol/renew", json=new.renewal(Device()))
    assert (refused.status_code, refused.json()["code"]) == (401, "bad_renewal")


def test_renew_of_an_expired_certificate_within_the_grace_time(world: World) -> None:
    device, office = Device(), world.platform.office
    node_id = enrol(world, device, token_of(world)).json()["node_id"]
    for days_ago, status in [(8, 200), (60, 401)]:
        then = datetime.now(UTC) - timedelta(days=days_ago)
        device.certificate = pki.sign_csr(
            office.authority, device.csr(), node_id=node_id, now=then, ttl_s=office.ttl_s
        )
        answer = world.anonymous.post("/v1/enrol/renew", json=device.renewal(Device()))
        assert answer.status_code == status, answer.text


def test_renew_refuses_forged_requests(world: World, enrolled: tuple[Device, str]) -> None:
    device, _ = enrolled
    thief = Device()
    thief.certificate = device.certificate
    assert world.anonymous.post("/v1/enrol/renew", json=thief.renewal(thief)).status_code == 401
    old = device.renewal(Device(), signed_at=int(time.time() * 1000) - 3_600_000)
    assert world.anonymous.post("/v1/enrol/renew", json=old).status_code == 401
    foreign = pki.create_authority("somebody else", now=datetime.now(UTC))
    device.certificate = pki.sign_csr(
        foreign, device.csr(), node_id="node_x", now=datetime.now(UTC), ttl_s=600
    )
    assert world.anonymous.post("/v1/enrol/renew", json=device.renewal(Device())).status_code == 401


def test_revoked_node_is_out(world: World, enrolled: tuple[Device, str]) -> None:
    device, node_id = enrolled
    assert world.other_owner.client.post(f"/v1/nodes/{node_id}/revoke").status_code == 404
    revoked = world.owner.client.post(f"/v1/nodes/{node_id}/revoke")
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    again = world.owner.client.post(f"/v1/nodes/{node_id}/revoke")
    assert again.json()["version"] == revoked.json()["version"]
    renewal = world.anonymous.post("/v1/enrol/renew", json=device.renewal(Device()))
    assert (renewal.status_code, renewal.json()["code"]) == (403, "node_revoked")
    enrolment = enrol(world, device, token_of(world))
    assert (enrolment.status_code, enrolment.json()["code"]) == (403, "node_revoked")


def test_token_is_for_cells_and_owners(world: World) -> None:
    refused = world.owner.client.post("/v1/tokens", json={"cell": "root"})
    assert refused.json()["errors"][0]["pointer"] == "/cell"
    assert world.tenant.client.post("/v1/tokens", json={"cell": "home"}).status_code == 403
    other = {"cell": "home", "owner_id": world.other_owner.id}
    assert world.owner.client.post("/v1/tokens", json=other).status_code == 403
    made = world.operator.client.post("/v1/tokens", json=other)
    assert made.json()["owner_id"] == world.other_owner.id
    tenant = {"cell": "home", "owner_id": world.tenant.id}
    assert world.operator.client.post("/v1/tokens", json=tenant).status_code == 422


def test_guessing_tokens_is_slowed_down(world: World) -> None:
    body = {"token": "souk_join_aa_bb", "csr": Device().csr()}
    codes = [world.anonymous.post("/v1/enrol", json=body).status_code for _ in range(12)]
    assert codes[0] == 401
    assert codes[-1] == 429


def test_device_in_the_database_has_no_secret(world: World, enrolled: tuple[Device, str]) -> None:
    with world.platform.sessions() as session:
        node = session.get_one(Node, enrolled[1])
        assert len(node.public_key_sha256) == 64
        assert node.certificate_expires_at is not None
