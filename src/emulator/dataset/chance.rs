//! Numbers that look like chance and are the same every time.

/// Where the next number comes from (PCG-XSH-RR: O'Neill, 2014).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to before `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let state = self.0;
        self.0 = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = (((state >> 18) ^ state) >> 27) as u32;
        let number = mixed.rotate_right((state >> 59) as u32);
        ((u64::from(number) * bound as u64) >> 32) as usize
    }
}
