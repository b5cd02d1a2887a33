//! Numbers in the words that people read, the same in reports, tables and messages.

/// A count as `1,234,567`.
pub fn count(count: u64) -> String {
    crate::markdown::grouped(count)
}

/// A count of things: `1 table`, `2 tables`. The noun is given in the singular.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Seconds as `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let pair = |large: f64, unit: &str, small: f64, small_unit: &str| {
        if small > 0.0 { format!("{large} {unit} {small} {small_unit}") } else { format!("{large} {unit}") }
    };
    let whole = seconds.round();
    let of = |unit: f64| (whole / unit).floor();
    if seconds < 0.9995 {
        format!("{:.0} ms", (seconds * 1000.0).max(0.0))
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else if whole < 3600.0 {
        pair(of(60.0), "min", whole % 60.0, "s")
    } else if whole < 86_400.0 {
        pair(of(3600.0), "h", ((whole % 3600.0) / 60.0).floor(), "min")
    } else {
        pair(of(86_400.0), "d", ((whole % 86_400.0) / 3600.0).floor(), "h")
    }
}

/// Bytes as `512 B`, `3.4 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths of a unit, so that no float is needed.
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_told_in_the_singular() {
        let told = [0, 1, 2000].map(|n| counted(n, "large object"));
        assert_eq!(told, ["0 large objects", "1 large object", "2,000 large objects"]);
    }

    #[test]
    fn durations_are_told_in_their_two_largest_units() {
        for (seconds, words) in [
            (0.0, "0 ms"),
            (0.25, "250 ms"),
            (4.23, "4.2 s"),
            (59.97, "1 min"),
            (200.4, "3 min 20 s"),
            (7500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }

    #[test]
    fn sizes_are_told_in_binary_units() {
        for (size, words) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3_565_158, "3.3 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(bytes(size), words);
        }
    }
}
