//! Products of rows in the widest vectors that the CPU has, whatever the program was compiled for.

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

use crate::packed::Quants;

static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// The sum of `a_i b_i`.
///
/// # Panics
/// If one is longer than the other.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one length");
    ARCH.dispatch(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.a), S::as_simd_f32s(self.b));
        let ((a, a_few), (b, b_few)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
        // Sums of their own, so that none waits for another.
        let mut sums = [simd.splat_f32s(0.0); 4];
        for (a, b) in a.iter().zip(b) {
            sums[0] = simd.mul_add_f32s(a[0], b[0], sums[0]);
            sums[1] = simd.mul_add_f32s(a[1], b[1], sums[1]);
            sums[2] = simd.mul_add_f32s(a[2], b[2], sums[2]);
            sums[3] = simd.mul_add_f32s(a[3], b[3], sums[3]);
        }
        for (&a, &b) in a_few.iter().zip(b_few) {
            sums[0] = simd.mul_add_f32s(a, b, sums[0]);
        }
        // Zeros stand for what is missing.
        let rest = simd.mul_add_f32s(simd.partial_load_f32s(a_rest), simd.partial_load_f32s(b_rest), sums[1]);
        let sum = simd.add_f32s(simd.add_f32s(sums[0], rest), simd.add_f32s(sums[2], sums[3]));
        simd.reduce_sum_f32s(sum)
    }
}

/// A vector in the order in which the words of a quantized row hold its elements.
pub(super) struct Planes {
    /// `[values of a word, words]`.
    values: Vec<f32>,
    words: usize,
    quants: Quants,
}

impl Planes {
    /// `x` for rows of `quants`.
    pub fn new(x: &[f32], quants: Quants) -> Self {
        let per_word = quants.per_word();
        let words = x.len() / per_word;
        let mut values = vec![0.0; x.len()];
        for (place, plane) in values.chunks_exact_mut(words).enumerate() {
            let element = quants.element(place);
            plane.iter_mut().zip(x.chunks_exact(per_word)).for_each(|(value, x)| *value = x[element]);
        }
        Self { values, words, quants }
    }

    /// How rows hold their integers.
    pub fn quants(&self) -> Quants {
        self.quants
    }

    /// Words of a row.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Against the words of some rows, each with its scale. Several at once: the memory answers several requests at once.
    ///
    /// # Panics
    /// If they are not as many as those of the vector.
    pub fn dot<const ROWS: usize>(&self, words: [&[u32]; ROWS], scales: [&[f32]; ROWS]) -> [f32; ROWS] {
        let whole = words.iter().zip(scales).all(|(words, scales)| [words.len(), scales.len()] == [self.words; 2]);
        assert!(whole, "a scale for each word of a row");
        match self.quants {
            Quants::Q8 => ARCH.dispatch(QuantDot::<4, ROWS> { planes: self, words, scales }),
            Quants::Q4 => ARCH.dispatch(QuantDot::<8, ROWS> { planes: self, words, scales }),
        }
    }
}

/// A vector in as many planes against some rows.
struct QuantDot<'a, const PLANES: usize, const ROWS: usize> {
    planes: &'a Planes,
    words: [&'a [u32]; ROWS],
    scales: [&'a [f32]; ROWS],
}

impl<const PLANES: usize, const ROWS: usize> QuantDot<'_, PLANES, ROWS> {
    /// What some words of each row give, before their scales, with the part `x` of each plane.
    #[inline(always)]
    fn part<S: Simd>(&self, simd: S, words: [S::u32s; ROWS], x: impl Fn(usize) -> S::f32s) -> [S::f32s; ROWS] {
        // An integer in the lowest bits of 2^23 is itself, and 2^23.
        const WHOLE: f32 = 8_388_608.0;
        let bits = 32 / PLANES as u32;
        let (mask, flip) = (simd.splat_u32s((1 << bits) - 1), simd.splat_u32s(self.planes.quants.flipped()));
        let (whole, zero) = (simd.splat_u32s(WHOLE.to_bits()), simd.splat_f32s(WHOLE + self.planes.quants.zero()));
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for place in 0..PLANES {
            let (x, down) = (x(place), simd.splat_u32s(bits * place as u32));
            for row in 0..ROWS {
                let quant = simd.and_u32s(simd.wrapping_dyn_shr_u32s(words[row], down), mask);
                let value = simd.transmute_f32s_u32s(simd.or_u32s(simd.xor_u32s(quant, flip), whole));
                sums[row] = simd.mul_add_f32s(simd.sub_f32s(value, zero), x, sums[row]);
            }
        }
        sums
    }
}

impl<const PLANES: usize, const ROWS: usize> WithSimd for QuantDot<'_, PLANES, ROWS> {
    type Output = [f32; ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; ROWS] {
        let count = self.planes.words;
        let words = self.words.map(|words| S::as_simd_u32s(&words[..count]));
        let scales = self.scales.map(|scales| S::as_simd_f32s(&scales[..count]));
        let plane = |place: usize| S::as_simd_f32s(&self.planes.values[place * count..][..count]);
        let planes: [_; PLANES] = std::array::from_fn(plane);
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for index in 0..words[0].0.len() {
            let mut part = [simd.splat_u32s(0); ROWS];
            for row in 0..ROWS {
                part[row] = words[row].0[index];
            }
            let part = self.part(simd, part, |place| planes[place].0[index]);
            for row in 0..ROWS {
                sums[row] = simd.mul_add_f32s(part[row], scales[row].0[index], sums[row]);
            }
        }
        if !words[0].1.is_empty() {
            // The vector is zero where words are missing.
            let rest = words.map(|(_, rest)| simd.partial_load_u32s(rest));
            let part = self.part(simd, rest, |place| simd.partial_load_f32s(planes[place].1));
            for row in 0..ROWS {
                sums[row] = simd.mul_add_f32s(part[row], simd.partial_load_f32s(scales[row].1), sums[row]);
            }
        }
        sums.map(|sum| simd.reduce_sum_f32s(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn a_product_of_vectors_of_any_length() {
        for len in 0..200 {
            let (a, b) = (wave(len, 0.37), wave(len, 0.11));
            let right: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            assert!((f64::from(dot(&a, &b)) - right).abs() < 1e-5, "{len} elements");
        }
    }

    #[test]
    #[should_panic(expected = "vectors of one length")]
    fn vectors_of_two_lengths_are_a_slip() {
        dot(&[1.0], &[1.0, 2.0]);
    }
}
