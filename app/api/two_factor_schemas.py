"""Schemas of two-factor sign-in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.api.account_schemas import Code, Password


class PasswordAgain(BaseModel):
    """The caller's password."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"password": "correct horse battery"}]},
    )

    password: Password


class OneTimeCode(BaseModel):
    """A code of the caller's authenticator app."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"one_time_code": "123456"}]},
    )

    one_time_code: Code


class PasswordAndCode(PasswordAgain):
    """The caller's password, and a code."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"password": "correct horse battery", "one_time_code": "123456"}]
        }
    )

    one_time_code: Code


class TwoFactorReply(BaseModel):
    """Whether the caller's sign-ins need a code."""

    enabled: bool
    recovery_codes_left: int


class TwoFactorSecret(BaseModel):
    """A secret for an authenticator app; shown only here."""

    secret: str = Field(description="In base32, to be typed.")
    otpauth_url: str = Field(description="To be opened on the phone, or shown as a QR code.")


class RecoveryCodes(BaseModel):
    """Codes for when the app is lost, each usable once; shown only here."""

    recovery_codes: list[str]
