"""Devices: the CA to trust, enrolment by join token, renewal by the enrolled key."""

import time
from math import ceil

from fastapi import APIRouter, Request, Response

from api.answers import reply
from api.caller import address_of, platform_of
from api.platform import Platform
from api.routing import JsonRoute
from api.schemas.accounts import EnrolledView, EnrolRequest, RenewRequest
from broker.services import enrol
from broker.services.refusals import TooMany

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["enrol"])
PEM = "application/x-pem-file"


@router.get(
    "/ca",
    response_class=Response,
    responses={200: {"content": {PEM: {"schema": {"type": "string"}}}}},
)
def get_ca(request: Request) -> Response:
    """The CA that signs devices and servers, PEM. Compare its fingerprint with the token's."""
    return Response(platform_of(request).office.authority.pem, media_type=PEM)


@router.post("/enrol", status_code=201, response_model=EnrolledView)
def enrol_node(request: Request, body: EnrolRequest) -> Response:
    """Take a device in: a join token and a CSR in, a certificate and addresses out."""
    platform = platform_of(request)
    address = address_of(request)
    bucket = _slow_down(platform, f"enrol {address}")
    enrolled = platform.transaction(
        lambda session: enrol.enrol(
            session,
            platform.office,
            token=body.token,
            csr=body.csr,
            name=body.name,
            address=address,
            now=platform.now(),
        )
    )
    platform.sign_ins.forget(bucket)
    return reply(EnrolledView.model_validate(enrolled), status=201)


@router.post("/enrol/renew", status_code=200, response_model=EnrolledView)
def renew_node(request: Request, body: RenewRequest) -> Response:
    """A new certificate, also for one that has expired, within the grace time."""
    platform = platform_of(request)
    bucket = _slow_down(platform, f"renew {address_of(request)}")
    renewal = enrol.Renewal(
        certificate=body.certificate,
        csr=body.csr,
        signed_at=body.signed_at,
        signature=body.signature,
    )
    enrolled = platform.transaction(
        lambda session: enrol.renew(session, platform.office, renewal, now=platform.now())
    )
    platform.sign_ins.forget(bucket)
    return reply(EnrolledView.model_validate(enrolled))


def _slow_down(platform: Platform, bucket: str) -> str:
    """Guessing is slow; one who succeeds begins anew."""
    verdict = platform.sign_ins.take(bucket, now_s=time.monotonic())
    if not verdict.allowed:
        raise TooMany(
            "Too many refused attempts from this address.",
            retry_after_s=max(1, ceil(verdict.retry_after_s)),
        )
    return bucket
