//! How many inputs those tests take that make them by chance.

/// The number of the variable `LIFEBOAT_FUZZ_CASES`, if it is set.
///
/// # Panics
/// If it is no number: a test must not take it for another.
pub fn fuzz_cases(unless_told: u32) -> u32 {
    std::env::var("LIFEBOAT_FUZZ_CASES")
        .map_or(unless_told, |text| text.parse().unwrap_or_else(|e| panic!("LIFEBOAT_FUZZ_CASES={text}: {e}")))
}
