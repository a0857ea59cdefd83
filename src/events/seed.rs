//! The seed of a run's random choices.

/// The largest seed. Programs that keep numbers as IEEE 754 doubles (jq 1.6, JavaScript) read this one
/// and all below it from a report as they stand there, and change larger ones.
pub const LARGEST: u64 = (1 << 53) - 1;

/// A seed for a run that was given none.
pub fn random() -> u64 {
    rand::random::<u64>() & LARGEST
}

/// The seed of a repetition, counted from 1, of a run with this seed. After the largest seed comes 0.
pub fn of_repetition(seed: u64, repetition: u32) -> u64 {
    seed.wrapping_add(u64::from(repetition)).wrapping_sub(1) & LARGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_read_by_others_as_it_was_written() {
        let seeds = std::iter::repeat_with(random).take(100);
        let of_repetitions = (1..=4).map(|repetition| of_repetition(LARGEST - 1, repetition));
        for seed in seeds.chain(of_repetitions) {
            assert!(seed <= LARGEST, "{seed}");
            let read = seed as f64 as u64;
            assert_eq!(read, seed);
        }
        assert_eq!(of_repetition(41, 1), 41);
        assert_eq!(of_repetition(LARGEST, 2), 0);
    }
}
