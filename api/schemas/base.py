"""The types that the schemas share, with their bounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

INT64_MAX = 2**63 - 1
MICROS_MAX = 10**15  # a thousand million credits: far under what 64 bits hold in any sum
UNITS_MAX = 2**53  # what every JSON reader keeps exactly

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Label = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Key = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Text = Annotated[str, StringConstraints(max_length=2_000)]
Digest = Annotated[
    str,
    StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$"),
    Field(examples=["sha256:" + "0" * 64]),
]
Micros = Annotated[int, Field(strict=True, ge=0, le=MICROS_MAX)]
PositiveMicros = Annotated[int, Field(strict=True, ge=1, le=MICROS_MAX)]
Units = Annotated[int, Field(strict=True, ge=0, le=UNITS_MAX)]
Flag = Annotated[bool, Field(strict=True)]
Latitude = Annotated[float, Field(strict=True, ge=-90, le=90)]
Longitude = Annotated[float, Field(strict=True, ge=-180, le=180)]
Amounts = dict[str, int]
Document = dict[str, Any]


def _near(at: AwareDatetime) -> AwareDatetime:
    """Times that every reader and the database can hold."""
    if not 2000 <= at.year <= 2200:
        raise ValueError("the year must be between 2000 and 2200")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_near), Field(examples=["2026-11-20T12:00:00Z"])]


class Request(BaseModel):
    """What a client sends; a field that is not known is refused, so that a typo is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """What the API shows; made from values with attributes of the same names."""

    model_config = ConfigDict(from_attributes=True)
