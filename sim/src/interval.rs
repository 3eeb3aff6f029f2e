//! How sure a share is that was counted in a few trials.

/// The quantile of the normal distribution for 95 %, two-sided.
const Z: f64 = 1.959_964;

/// Wilson's 95 % interval of a probability of which `hits` of `trials` were seen. No trial tells nothing.
pub fn wilson(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (trials as f64, hits as f64 / trials as f64);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let middle = p + Z * Z / (2.0 * n);
    let scale = 1.0 + Z * Z / n;
    (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
}

#[test]
fn wilsons_interval_is_the_textbooks() {
    let close = |(low, high): (f64, f64), (l, h): (f64, f64)| (low - l).abs() < 5e-4 && (high - h).abs() < 5e-4;
    assert!(close(wilson(0, 10), (0.0, 0.2775)), "{:?}", wilson(0, 10));
    assert!(close(wilson(5, 10), (0.2366, 0.7634)), "{:?}", wilson(5, 10));
    assert!(close(wilson(50, 50), (0.9287, 1.0)), "{:?}", wilson(50, 50));
    assert_eq!(wilson(0, 0), (0.0, 1.0));
}
