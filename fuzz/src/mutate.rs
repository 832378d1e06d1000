//! Changes inputs at random: enough for a run of seconds, not for an hour.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Longest input that is made, in bytes.
const MOST: usize = 4096;

/// Bytes that parsers look out for.
const INTERESTING: &[u8] = b"\0\x01\x7f\x80\xff\r\n\"{}[]:,\\.*#/$~-+eE019 nulltruefalse";

/// A source of inputs. The same seed and seeds give the same inputs.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// Makes inputs from these.
    #[must_use]
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            seeds,
        }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..self.random.random_range(1..=8) {
            self.change(&mut input);
        }
        input.truncate(MOST);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() {
            return Vec::new();
        }
        let index = self.random.random_range(0..self.seeds.len());
        self.seeds[index].clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.random_range(0..=input.len());
        let end = (at + self.random.random_range(0..16)).min(input.len());
        match self.random.random_range(0..7) {
            0 => {
                input.drain(at..end);
            }
            1 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            2 => {
                let byte = self.random.random();
                input.insert(at, byte);
            }
            3 => {
                let byte = INTERESTING[self.random.random_range(0..INTERESTING.len())];
                input.insert(at, byte);
            }
            4 if at < input.len() => input[at] ^= 1 << self.random.random_range(0..8),
            5 if at < input.len() => {
                input[at] = INTERESTING[self.random.random_range(0..INTERESTING.len())]
            }
            _ => {
                let other = self.seed();
                let from = self.random.random_range(0..=other.len());
                let piece = other[from..(from + 32).min(other.len())].to_vec();
                input.splice(at..end, piece);
            }
        }
    }
}
