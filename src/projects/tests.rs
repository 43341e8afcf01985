//! Tests of the capability.
