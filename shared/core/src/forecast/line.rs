//! A line through measured points that one odd point cannot bend (Theil and Sen): medians, not means.

/// `y = intercept + slope * x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Line {
    /// Through the points: the median of the slopes between any two, then the median of what is left. `None` where all
    /// points have one `x`.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let pairs = points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)));
        let slopes = pairs.filter(|(a, b)| a.0 < b.0 || b.0 < a.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0));
        let slope = median(slopes)?;
        let intercept = median(points.iter().map(|(x, y)| y - slope * x))?;
        Some(Self { slope, intercept })
    }

    pub(super) fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// How far the points usually lie from it.
    pub(super) fn usually_off(&self, points: &[(f64, f64)]) -> f64 {
        median(points.iter().map(|(x, y)| (y - self.at(*x)).abs())).unwrap_or(f64::INFINITY)
    }
}

/// The middle value, or the mean of the two middle ones; `None` of no values.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn points_above_each_other_make_no_line() {
        assert_eq!(Line::through(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Line::through(&[]), None);
    }

    proptest! {
        #[test]
        fn one_odd_point_among_five_does_not_bend_the_line(
            slope in -50.0..50.0_f64, intercept in -1000.0..1000.0_f64, odd in -1.0e6..1.0e6_f64, which in 0_usize..5
        ) {
            let mut points: Vec<(f64, f64)> =
                (1..=5).map(|n| (f64::from(n) * 10.0, intercept + slope * f64::from(n) * 10.0)).collect();
            points[which].1 = odd;
            let line = Line::through(&points).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-6, "{line:?}");
            prop_assert!((line.at(70.0) - (intercept + slope * 70.0)).abs() < 1e-3, "{line:?}");
        }
    }
}
