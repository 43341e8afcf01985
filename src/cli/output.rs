//! Printing: results on stdout, messages on stderr, colour only where somebody sees it.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::{Common, Failure};

/// When to use colour.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// Where a command prints.
pub(super) struct Output {
    json: bool,
    quiet: bool,
    colored: bool,
}

impl Output {
    pub(super) fn new(common: &Common) -> Self {
        let colored = match common.color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org
            Color::Auto => std::io::stderr().is_terminal() && !crate::base::config::no_color(),
        };
        Self { json: common.json, quiet: common.quiet, colored }
    }

    /// Prints a result: as JSON if that was asked for, else as `text` says.
    pub(super) fn value<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if !self.json {
            return self.raw(&text(value));
        }
        let json = serde_json::to_string(value).map_err(|error| Failure::other(format!("writing JSON: {error}")))?;
        self.raw(&(json + "\n"))
    }

    /// Prints text as it is. A reader that has gone away is no failure.
    pub(super) fn raw(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::other(format!("writing to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Says something beside the result.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Says what went wrong and what to do.
    pub(super) fn failure(&self, failure: &Failure) {
        if self.json {
            let error =
                serde_json::json!({ "code": failure.name, "message": failure.message, "remedy": failure.remedy });
            let _ = self.raw(&(serde_json::json!({ "error": error }).to_string() + "\n"));
        }
        let (red, plain) = if self.colored { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let mut text = format!("{red}error{plain}: {}\n", failure.message);
        if !failure.remedy.is_empty() {
            text += &format!("{}\n", failure.remedy);
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Columns padded to their widest cell.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).chain([head[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(head.to_vec());
    rows.iter().for_each(|row| out += &line(row.iter().map(String::as_str).collect()));
    out
}
