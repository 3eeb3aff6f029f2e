//! Fisher's exact test of two samples over several categories (Freeman and Halton).

/// The probability of a table at least as unlikely as this one if both rows are samples of the same distribution.
///
/// Sums over all tables with the same margins: fit for a few categories and some hundred observations.
///
/// # Panics
/// If the rows have different lengths.
pub fn p_value(first: &[u64], second: &[u64]) -> f64 {
    assert_eq!(first.len(), second.len(), "both rows count the same categories");
    let columns: Vec<u64> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let total: u64 = columns.iter().sum();
    let row: u64 = first.iter().sum();
    let factorials = log_factorials(total);
    let choose = |n: u64, k: u64| factorials[n as usize] - factorials[k as usize] - factorials[(n - k) as usize];
    let whole = choose(total, row);
    let likelihood = |cells: &[u64]| columns.iter().zip(cells).map(|(n, k)| choose(*n, *k)).sum::<f64>() - whole;
    let observed = likelihood(first);
    let mut sum = 0.0;
    each_row(&columns, row, &mut Vec::new(), &mut |cells| {
        let other = likelihood(cells);
        if other <= observed + TIE {
            sum += other.exp();
        }
    });
    sum.min(1.0)
}

/// The probability that the median of `runs` draws from `sample` lies at least as far out, on either side, as `median`: whether
/// so few runs alone explain where their median lies.
///
/// # Panics
/// If the sample is empty.
pub fn median_p_value(sample: &[f64], runs: usize, median: f64) -> f64 {
    assert!(!sample.is_empty(), "nothing to draw from");
    let share =
        |is: &dyn Fn(f64) -> bool| sample.iter().filter(|value| is(**value)).count() as f64 / sample.len() as f64;
    // The median is below a value if more than half of the draws are.
    let majority = |p: f64| -> f64 {
        let factorials = log_factorials(runs as u64);
        let choose = |k: usize| (factorials[runs] - factorials[k] - factorials[runs - k]).exp();
        (runs.div_ceil(2)..=runs).map(|k| choose(k) * p.powi(k as i32) * (1.0 - p).powi((runs - k) as i32)).sum()
    };
    let (below, above) = (majority(share(&|value| value <= median)), majority(share(&|value| value >= median)));
    (2.0 * below.min(above)).min(1.0)
}

/// Likelihoods that differ by rounding only count as equal.
const TIE: f64 = 1e-9;

/// Every first row with these margins.
fn each_row(columns: &[u64], left: u64, cells: &mut Vec<u64>, visit: &mut impl FnMut(&[u64])) {
    let Some((column, rest)) = columns.split_first() else {
        if left == 0 {
            visit(cells);
        }
        return;
    };
    let room: u64 = rest.iter().sum();
    for cell in left.saturating_sub(room)..=left.min(*column) {
        cells.push(cell);
        each_row(rest, left - cell, cells, visit);
        cells.pop();
    }
}

fn log_factorials(up_to: u64) -> Vec<f64> {
    let mut sums = vec![0.0];
    for n in 1..=up_to {
        sums.push(sums[n as usize - 1] + (n as f64).ln());
    }
    sums
}

#[test]
fn a_median_far_out_is_less_likely_the_more_runs_it_is_of() {
    let sample: Vec<f64> = (1..=100).map(f64::from).collect();
    let check = |runs: usize, median: f64, expected: f64| {
        let p = median_p_value(&sample, runs, median);
        assert!((p - expected).abs() < 5e-4, "{runs} runs, median {median}: {p}, expected {expected}");
    };
    check(1, 50.0, 1.0);
    check(1, 5.0, 0.1);
    // Two or three of three draws among the lowest tenth: 3 x 0.01 x 0.9 + 0.001, on either side.
    check(3, 10.0, 0.056);
    check(3, 91.0, 0.056);
    check(15, 10.0, 0.000_1);
}

#[test]
fn known_tables_have_their_known_probabilities() {
    let check = |first: &[u64], second: &[u64], expected: f64| {
        let p = p_value(first, second);
        assert!((p - expected).abs() < 5e-5, "{first:?} {second:?}: {p}, expected {expected}");
    };
    // Fisher's tea tasting, two-sided.
    check(&[3, 1], &[1, 3], 0.4857);
    check(&[1, 9], &[11, 3], 0.002_76);
    check(&[5, 0], &[0, 5], 0.007_94);
    check(&[2, 2, 2], &[2, 2, 2], 1.0);
    // Of the twenty ways to place three of six in three pairs of places, only the eight with one in each are likelier.
    check(&[2, 1, 0], &[0, 1, 2], 0.6);
}
