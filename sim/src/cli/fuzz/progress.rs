//! How a campaign shows that it goes on: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Progress on standard error.
pub(super) struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    began: Instant,
    last_line: Instant,
    ran: u64,
    failures: u64,
}

impl Progress {
    /// `finished` of `total` cases are done already.
    pub(super) fn new(total: Option<u64>, finished: u64, failures: u64, now: Instant) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let template = match total {
            Some(_) => "{elapsed_precise} [{wide_bar}] {pos}/{len} {msg}, {eta} left",
            None => "{elapsed_precise} {spinner} {pos} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        bar.set_position(finished);
        bar.reset_eta();
        Self { bar, total, began: now, last_line: now, ran: 0, failures }
    }

    /// A case is finished.
    pub(super) fn finished(&mut self, failed: bool) {
        self.ran += 1;
        self.failures += u64::from(failed);
        self.bar.inc(1);
    }

    /// Time has passed. Returns the line to be printed, if it is time for one and there is no terminal.
    pub(super) fn tick(&mut self, now: Instant) -> Option<String> {
        let rate = self.rate(now);
        let message = format!("{rate:.1} schedules/s, {} failed", self.failures);
        if !self.bar.is_hidden() {
            self.bar.set_message(message);
            self.bar.tick();
            return None;
        }
        if now - self.last_line < LINE_EVERY {
            return None;
        }
        self.last_line = now;
        let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
        Some(format!("{}{of} schedules, {message}", self.bar.position()))
    }

    /// Cases a second, of those that were run now.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let elapsed = (now - self.began).as_secs_f64();
        if elapsed > 0.0 { self.ran as f64 / elapsed } else { 0.0 }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
