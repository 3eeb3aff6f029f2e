//! Panics of a run as values: a defect of a model is a finding, not the end of a campaign.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use models::time::Instant;
use replay::record::{BrokenLaw, Checkpoint, Outcome};

/// What stands in place of a law's name where a run panicked.
pub const PANIC: &str = "PANIC";

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The message.
    pub message: String,
    /// File, line and column.
    pub place: String,
}

impl Panicked {
    /// How a run ended that panicked after `last`. The same whenever the run is repeated.
    pub fn outcome(&self, last: Option<Checkpoint>) -> Outcome {
        let last = last.unwrap_or(Checkpoint { at: Instant::ZERO, events: 0, fingerprint: 0 });
        let violation = BrokenLaw { law: PANIC.to_owned(), at: last.at, what: self.to_string() };
        Outcome { ended: last.at, events: last.events, fingerprint: last.fingerprint, violation: Some(violation) }
    }
}

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "panicked at {}: {}", self.place, self.message)
    }
}

thread_local! {
    /// Whether panics of this thread are caught here, and the last one.
    static CAUGHT: RefCell<(bool, Option<Panicked>)> = const { RefCell::new((false, None)) };
}

/// Calls `task`; a panic within is returned and not printed.
///
/// # Errors
/// The task panicked.
pub fn guard<T>(task: impl FnOnce() -> T) -> Result<T, Panicked> {
    install();
    let before = CAUGHT.with_borrow_mut(|caught| std::mem::replace(&mut caught.0, true));
    // What the task was about to change is dropped with it, or is a list of checkpoints, to which it only adds.
    let result = panic::catch_unwind(AssertUnwindSafe(task));
    let caught = CAUGHT.with_borrow_mut(|caught| {
        caught.0 = before;
        caught.1.take()
    });
    result.map_err(|_| {
        caught.unwrap_or_else(|| Panicked { message: "no message".to_owned(), place: "an unknown place".to_owned() })
    })
}

/// A panic hook that keeps what it is told on guarded threads, and is as it was on others.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_guarded = CAUGHT.with_borrow_mut(|(guarded, caught)| {
                if *guarded {
                    let payload = info.payload();
                    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    let message = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
                    let place = info.location().map(ToString::to_string).unwrap_or_default();
                    *caught = Some(Panicked { message, place });
                }
                *guarded
            });
            if !is_guarded {
                others(info);
            }
        }));
    });
}

#[test]
fn a_panic_becomes_a_value_with_its_place() {
    assert_eq!(guard(|| 7), Ok(7));
    let panicked = guard(|| panic!("planted {}", 1)).unwrap_err();
    assert_eq!(panicked.message, "planted 1");
    assert!(panicked.place.starts_with("sim/src/guard.rs:"), "{}", panicked.place);
    assert_eq!(guard(|| guard(|| panic!("inner")).unwrap_err().message), Ok("inner".to_owned()));
}
