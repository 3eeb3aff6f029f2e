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
