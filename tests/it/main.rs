//! Black-box tests: every one of them starts the built binary and knows of it what a user knows.
//!
//! `process` runs the program, `http` speaks to it, `server` puts the two together; the other modules are the tests.
//! `OMNISTACK_BIN` names another binary to test, `OMNISTACK_CRASH_ROUNDS` how often the crash test kills it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at what it did not expect, and the doors are those of the product"
)]

mod auth;
mod bad_input;
mod cli;
mod crash;
mod first_run;
mod http;
mod idempotency;
mod process;
mod server;
mod shutdown;
