//! Bounded queues to the threads that own the connections. A full queue refuses at once: memory stays bounded, and the
//! caller learns to come back.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::{DbError, DbResult};
use crate::base::error::Result;

/// The sending end; `None` on the other end means: stop.
pub(super) struct Queue<T>(Sender<Option<T>>);

impl<T> Queue<T> {
    pub(super) fn bounded(size: usize) -> (Self, Receiver<Option<T>>) {
        let (sender, receiver) = crossbeam_channel::bounded(size.max(1));
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, call: T) -> DbResult<()> {
        self.0.try_send(Some(call)).map_err(|error| {
            DbError::Busy(match error {
                TrySendError::Full(_) => "too many calls are waiting".into(),
                TrySendError::Disconnected(_) => "the store is closed".into(),
            })
        })
    }

    /// Lets `receivers` threads end after what is queued before.
    pub(super) fn end(&self, receivers: usize) {
        for _ in 0..receivers {
            let _ = self.0.send(None);
        }
    }
}

/// The threads behind a queue.
#[derive(Default)]
pub(super) struct Threads(Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    pub(super) fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).context("starting a database thread")?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}
