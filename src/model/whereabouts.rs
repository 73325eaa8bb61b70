//! Where a guest is after a move, as both daemons say, and what that comes to.

use super::DomainState;

/// What one daemon says of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It could not be asked.
    Silent,
    /// It does not know the guest.
    Absent,
    /// The guest is there, in this state.
    There(DomainState),
}

/// Both answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// The source's.
    pub source: Answer,
    /// The target's.
    pub target: Answer,
    /// Whether a running guest was moved; its definition otherwise.
    pub live: bool,
    /// Whether the guest was paused before the move.
    pub was_paused: bool,
}

/// What the answers come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is at the target and not at the source.
    Moved,
    /// It is at the source and, as far as the target can be asked, not there.
    Stayed,
    /// It is at both.
    Both,
    /// It is at neither.
    Nowhere,
    /// Too little is known.
    Unknown,
}

impl Verdict {
    /// The word for it in scripts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Stayed => "stayed",
            Self::Both => "both",
            Self::Nowhere => "nowhere",
            Self::Unknown => "unknown",
        }
    }
}

impl Whereabouts {
    /// Whether the guest is there; `None` where that cannot be known. A live
    /// move is about the running guest, else about the definition.
    const fn is_at(&self, answer: Answer) -> Option<bool> {
        match answer {
            Answer::Silent => None,
            Answer::Absent => Some(false),
            Answer::There(state) => Some(!self.live || state.is_active()),
        }
    }

    /// What it comes to.
    pub const fn verdict(&self) -> Verdict {
        match (self.is_at(self.source), self.is_at(self.target)) {
            (Some(true), Some(true)) => Verdict::Both,
            (Some(true), _) => Verdict::Stayed,
            (Some(false), Some(true)) => Verdict::Moved,
            (Some(false), Some(false)) => Verdict::Nowhere,
            (None, _) | (Some(false), None) => Verdict::Unknown,
        }
    }

    /// Whether it arrived but stands still there, though it ran before.
    pub const fn stands_still(&self) -> bool {
        self.live && !self.was_paused && matches!(self.target, Answer::There(DomainState::Paused))
    }

    /// A sentence about `guest`. Never advice to stop one of two copies: which
    /// one is good cannot be told from here.
    pub fn sentence(&self, guest: &str, source: &str, target: &str) -> String {
        let subject = if self.live { guest.to_owned() } else { format!("the definition of {guest}") };
        let is = |answer: Answer| match answer {
            Answer::There(_) if !self.live => "is".to_owned(),
            Answer::There(state) if state.is_running() => "runs".to_owned(),
            Answer::There(state) => format!("is {state}"),
            Answer::Absent | Answer::Silent => String::new(),
        };
        let is_not = if self.live { "does not run" } else { "is not" };
        let silent = |host: &str| format!("{host} could not be asked");
        let (here, there) = (self.is_at(self.source), self.is_at(self.target));
        let before = match self.source {
            Answer::There(DomainState::Paused) if self.live && !self.was_paused => "though it ran before",
            _ => "as before",
        };
        match (here, there) {
            (Some(true), Some(true)) => format!(
                "{subject} {} on {source} and {} on {target}: look at both before you stop either",
                is(self.source),
                is(self.target)
            ),
            (Some(true), Some(false)) => format!("{subject} {} on {source}, {before}", is(self.source)),
            (Some(true), None) => {
                format!("{subject} {} on {source}, {before}; {}", is(self.source), silent(target))
            }
            (Some(false), Some(true)) => format!("{subject} {} on {target}", is(self.target)),
            (None, Some(true)) => format!("{subject} {} on {target}; {}", is(self.target), silent(source)),
            (Some(false), Some(false)) => format!("{subject} {is_not} on {source}, nor on {target}"),
            (Some(false), None) => format!("{subject} {is_not} on {source}, and {}", silent(target)),
            (None, Some(false)) => format!("{subject} {is_not} on {target}, and {}", silent(source)),
            (None, None) => {
                format!("it is not known where {subject} is: neither {source} nor {target} could be asked")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DomainState::{Paused, Running, ShutOff};

    fn at(source: Answer, target: Answer) -> Whereabouts {
        Whereabouts { source, target, live: true, was_paused: false }
    }

    #[test]
    fn the_verdict_follows_from_what_both_daemons_say() {
        let on = Answer::There;
        let cases = [
            (Answer::Absent, on(Running), Verdict::Moved),
            (on(ShutOff), on(Running), Verdict::Moved),
            (on(Running), Answer::Absent, Verdict::Stayed),
            (on(Running), Answer::Silent, Verdict::Stayed),
            (on(Running), on(Paused), Verdict::Both),
            (Answer::Absent, Answer::Absent, Verdict::Nowhere),
            (Answer::Absent, Answer::Silent, Verdict::Unknown),
            (Answer::Silent, on(Running), Verdict::Unknown),
            (Answer::Silent, Answer::Silent, Verdict::Unknown),
        ];
        for (source, target, verdict) in cases {
            assert_eq!(at(source, target).verdict(), verdict, "{source:?} {target:?}");
        }
        let definition = Whereabouts { live: false, ..at(on(ShutOff), Answer::Absent) };
        assert_eq!(definition.verdict(), Verdict::Stayed);
        assert_eq!(definition.sentence("old1", "a", "b"), "the definition of old1 is on a, as before");
    }

    #[test]
    fn nobody_is_ever_told_to_stop_a_copy() {
        let both = at(Answer::There(Paused), Answer::There(Paused));
        assert_eq!(
            both.sentence("web1", "a", "b"),
            "web1 is paused on a and is paused on b: look at both before you stop either"
        );
        let stuck = at(Answer::There(Paused), Answer::Absent);
        assert_eq!(stuck.sentence("web1", "a", "b"), "web1 is paused on a, though it ran before");
        assert!(at(Answer::Absent, Answer::There(Paused)).stands_still());
    }
}
