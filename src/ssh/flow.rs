//! What goes into a running command and what comes out of it.

use std::io::{self, Read};

use super::command::{Exit, Output};
use super::error::Kind;
use super::limit::Stall;

/// Which of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Takes what the command writes, piece by piece.
pub(super) type Sink<'a> = dyn FnMut(Stream, &[u8]) -> Result<(), Kind> + 'a;

/// Both directions of a running command.
pub(super) struct Flow<'a> {
    pub(super) input: Feed<'a>,
    pub(super) output: &'a mut Sink<'a>,
}

/// How much is passed on at once: what libssh2 puts into one packet at most.
const PIECE: usize = 32_000;

/// The command's standard input, read piece by piece.
pub(super) struct Feed<'a> {
    source: &'a mut dyn Read,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'a> Feed<'a> {
    pub(super) fn new(source: &'a mut dyn Read) -> Self {
        Self { source, piece: Vec::new(), at: 0, ended: false }
    }

    /// What is to be written next: the same bytes until [`Feed::wrote`] moves on
    /// (libssh2 must be given the same bytes again after it would block).
    /// `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Stall> {
        if self.at == self.piece.len() && !self.ended {
            self.piece.resize(PIECE, 0);
            let read = loop {
                match self.source.read(&mut self.piece) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            };
            let read = read.map_err(|e| {
                Stall::Own(Kind::LocalFile {
                    action: "read",
                    path: "the input".to_owned(),
                    cause: e.to_string(),
                })
            })?;
            self.piece.truncate(read);
            self.at = 0;
            self.ended = read == 0;
        }
        Ok((self.at < self.piece.len()).then(|| &self.piece[self.at..]))
    }

    /// This many bytes of the piece have been written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.piece.len());
    }

    /// The command reads no more: the rest is not wanted.
    pub(super) fn give_up(&mut self) {
        self.ended = true;
        self.piece.clear();
        self.at = 0;
    }
}

/// Keeps what a command writes, up to a limit.
#[derive(Debug)]
pub(super) struct Collect {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    limit: u64,
    command: String,
}

impl Collect {
    pub(super) const fn new(limit: u64, command: String) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), limit, command }
    }

    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Kind> {
        let total = (self.stdout.len() + self.stderr.len() + bytes.len()) as u64;
        if total > self.limit {
            return Err(Kind::OutputTooLarge { command: self.command.clone(), limit: self.limit });
        }
        match stream {
            Stream::Out => self.stdout.extend_from_slice(bytes),
            Stream::Err => self.stderr.extend_from_slice(bytes),
        }
        Ok(())
    }

    pub(super) fn output(self, exit: Exit) -> Output {
        Output { status: exit.status, signal: exit.signal, stdout: self.stdout, stderr: self.stderr }
    }
}
