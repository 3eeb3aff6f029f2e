//! How a campaign shows that it goes on: a bar on a terminal, a line now and then elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Progress on standard error.
pub(super) struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    last_line: Duration,
    ran: u64,
    failures: u64,
}

impl Progress {
    /// `finished` of `total` cases are done already.
    pub(super) fn new(total: Option<u64>, finished: u64, failures: u64) -> Self {
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
        Self { bar, total, last_line: Duration::ZERO, ran: 0, failures }
    }

    /// A case is finished.
    pub(super) fn finished(&mut self, failed: bool) {
        self.ran += 1;
        self.failures += u64::from(failed);
        self.bar.inc(1);
    }

    /// So much time has passed since the beginning. Returns the line to be printed, if it is time for one and there is no terminal.
    pub(super) fn tick(&mut self, elapsed: Duration) -> Option<String> {
        let rate = self.rate(elapsed);
        let message = format!("{rate:.1} schedules/s, {} failed", self.failures);
        if !self.bar.is_hidden() {
            self.bar.set_message(message);
            self.bar.tick();
            return None;
        }
        if elapsed - self.last_line < LINE_EVERY {
            return None;
        }
        self.last_line = elapsed;
        let of = self.total.map_or_else(String::new, |total| format!(" of {total}"));
        Some(format!("{}{of} schedules, {message}", self.bar.position()))
    }

    /// Cases a second, of those that were run now.
    fn rate(&self, elapsed: Duration) -> f64 {
        let seconds = elapsed.as_secs_f64();
        if seconds > 0.0 { self.ran as f64 / seconds } else { 0.0 }
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
