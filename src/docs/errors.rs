//! What each error code means to a caller. The codes themselves are `base::error`'s; a new one does not compile
//! until it is explained here.

use super::prose::{self, Prose};
use super::sample::{self, Token};
use crate::base::error::{Code, Faults};

/// A row of the table of codes.
pub(super) struct Explained {
    pub(super) code: Code,
    pub(super) meaning: Prose,
    pub(super) remedy: Prose,
}

/// Every code, in order of status.
pub(super) fn table() -> Vec<Explained> {
    let explained = |code: &Code| {
        let (meaning, remedy) = explain(*code);
        Explained { code: *code, meaning: prose::parse(meaning), remedy: prose::parse(remedy) }
    };
    Code::ALL.iter().map(explained).collect()
}

/// A body as it really is sent.
pub(super) fn example() -> Vec<Token> {
    let error = Faults::only("name", "length", "must be 1 to 255 characters long");
    let problem = error.problem("/api/v1/app/projects", "0199a3f2-6c41-7d0e-9b52-3f8e1c7a4d60");
    sample::tokens(&serde_json::to_string_pretty(&problem).unwrap_or_default())
}

fn explain(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::BadRequest => {
            ("The request cannot be read, or makes no sense in this state.", "Correct the request as the message says.")
        }
        Code::Authentication => {
            ("Nobody is signed in, or not any more.", "Sign in or refresh the access token, then repeat the request.")
        }
        Code::PaymentRequired => (
            "The plan does not include this, or its limit is reached.",
            "Change the plan, or wait for the next period.",
        ),
        Code::Authorization => ("The caller is known but may not do this.", "Ask someone whose role allows it."),
        Code::NotFound => {
            ("It is not there, or not the caller's: the two cannot be told apart.", "Check the address and the id.")
        }
        Code::MethodNotAllowed => {
            ("The address exists but does not answer to this method.", "Use one of the methods in the `Allow` header.")
        }
        Code::Conflict => {
            ("What is asked collides with what is already there.", "Read the current state, then decide.")
        }
        Code::PreconditionFailed => (
            "The resource has changed since it was read.",
            "Read it again, then repeat the change with the new `ETag` in `If-Match`.",
        ),
        Code::PayloadTooLarge => ("The body is larger than allowed here.", "Send less; the message tells the limit."),
        Code::UnsupportedMediaType => {
            ("The body is of a kind not understood here.", "Send the `Content-Type` that the operation lists.")
        }
        Code::Validation => {
            ("One or more fields are wrong; `details` lists them all.", "Correct every field listed, then send again.")
        }
        Code::PreconditionRequired => {
            ("The change must say which version it is for.", "Send the `ETag` of what was read in `If-Match`.")
        }
        Code::RateLimitExceeded => {
            ("Too many requests in too short a time.", "Wait as many seconds as `Retry-After` says.")
        }
        Code::Internal => {
            ("Something went wrong on the server.", "Report the `request_id`: it leads to the log entry.")
        }
        Code::ExternalService => ("A service this one depends on failed.", "Try again later."),
        Code::ServiceUnavailable => (
            "The server is busy, or a provider is not configured.",
            "Wait as `Retry-After` says; the message names a missing setting.",
        ),
        Code::GatewayTimeout => (
            "It took too long and was given up; it may still take effect.",
            "Read the state before trying again, or use an `Idempotency-Key`.",
        ),
    }
}
