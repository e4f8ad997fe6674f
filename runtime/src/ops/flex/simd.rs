//! Products of rows in the widest vectors that the CPU has, whatever the program was compiled for.

use std::sync::LazyLock;

use half::f16;
use pulp::{Arch, Simd, WithSimd};

use crate::packed::{PackedFormat, PackedLayout};

/// What the CPU can do.
pub(super) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

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

/// The order in which the words of a packed row hold its elements: first those in the lowest bits of all words, then those
/// in the next ones.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    format: PackedFormat,
    words: usize,
}

impl Planes {
    /// Of rows of a layout.
    pub fn of(layout: PackedLayout) -> Self {
        Self { format: layout.format, words: layout.in_features / layout.format.per_word() }
    }

    /// Words of a row.
    pub fn words(self) -> usize {
        self.words
    }

    fn len(self) -> usize {
        self.words * self.format.per_word()
    }

    /// Whole rows in this order.
    pub fn order(self, rows: &[f32]) -> Vec<f32> {
        let mut ordered = vec![0.0; rows.len()];
        for (row, ordered) in rows.chunks_exact(self.len()).zip(ordered.chunks_exact_mut(self.len())) {
            for (place, plane) in ordered.chunks_exact_mut(self.words).enumerate() {
                let element = self.format.element(place);
                let words = row.chunks_exact(self.format.per_word());
                plane.iter_mut().zip(words).for_each(|(value, word)| *value = word[element]);
            }
        }
        ordered
    }

    /// Whole rows in their own order again.
    pub fn restore(self, ordered: &[f32]) -> Vec<f32> {
        let mut rows = vec![0.0; ordered.len()];
        for (row, ordered) in rows.chunks_exact_mut(self.len()).zip(ordered.chunks_exact(self.len())) {
            for (place, plane) in ordered.chunks_exact(self.words).enumerate() {
                let element = self.format.element(place);
                let words = row.chunks_exact_mut(self.format.per_word());
                words.zip(plane).for_each(|(word, value)| word[element] = *value);
            }
        }
        rows
    }

    /// `x`, in this order, against the words of some rows, with a scale for each word. The memory is asked at the same time
    /// for the rows that stand `ahead` words behind these.
    ///
    /// # Panics
    /// If something is not as long as a row.
    pub fn dot<const ROWS: usize>(
        self,
        x: &[f32],
        words: [&[u32]; ROWS],
        scales: [&[f32]; ROWS],
        ahead: usize,
    ) -> [f32; ROWS] {
        let whole = words.iter().zip(scales).all(|(words, scales)| [words.len(), scales.len()] == [self.words; 2]);
        assert!(whole && x.len() == self.len(), "a scale for each word of a row");
        match self.format {
            PackedFormat::F16 => ARCH.dispatch(PackedDot::<2, ROWS> { x, words, scales, ahead }),
            PackedFormat::Q8 => ARCH.dispatch(PackedDot::<4, ROWS> { x, words, scales, ahead }),
            PackedFormat::Q4 => ARCH.dispatch(PackedDot::<8, ROWS> { x, words, scales, ahead }),
        }
    }

    /// The scale of each word, from those of a row's blocks; 1 for f16, which has none.
    pub fn scales(self, of_blocks: &[f16], of_words: &mut [f32]) {
        match self.format {
            PackedFormat::F16 => of_words.fill(1.0),
            PackedFormat::Q8 => ARCH.dispatch(Scales::<8> { of_blocks, of_words }),
            PackedFormat::Q4 => ARCH.dispatch(Scales::<4> { of_blocks, of_words }),
        }
    }

    /// A row's values in this order, from its words and a scale for each.
    ///
    /// # Panics
    /// If something is not as long as a row.
    pub fn unpack(self, words: &[u32], scales: &[f32], row: &mut [f32]) {
        let whole = [words.len(), scales.len()] == [self.words; 2] && row.len() == self.len();
        assert!(whole, "a scale for each word of a row");
        match self.format {
            PackedFormat::F16 => ARCH.dispatch(Unpack::<2> { words, scales, row }),
            PackedFormat::Q8 => ARCH.dispatch(Unpack::<4> { words, scales, row }),
            PackedFormat::Q4 => ARCH.dispatch(Unpack::<8> { words, scales, row }),
        }
    }
}

/// The element at a place of each word, before its scale.
#[inline(always)]
fn elements<S: Simd, const PLANES: usize>(simd: S, words: S::u32s, place: usize) -> S::f32s {
    match PLANES {
        2 => halves(simd, simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(16 * place as u32))),
        4 => integers(simd, simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(8 * place as u32)), 0xFF, 128),
        _ => integers(simd, simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(4 * place as u32)), 0xF, 8),
    }
}

/// The integers in the bits of `mask`; those of bytes are signed.
#[inline(always)]
fn integers<S: Simd>(simd: S, words: S::u32s, mask: u32, zero: u32) -> S::f32s {
    // An integer in the lowest bits of 2^23 is itself, and 2^23.
    const WHOLE: f32 = 8_388_608.0;
    // A byte's sign flipped, it counts from its least value.
    let flip = if mask == 0xFF { WHOLE.to_bits() ^ zero } else { WHOLE.to_bits() };
    let bits = simd.xor_u32s(simd.and_u32s(words, simd.splat_u32s(mask)), simd.splat_u32s(flip));
    simd.sub_f32s(simd.transmute_f32s_u32s(bits), simd.splat_f32s(WHOLE + zero as f32))
}

/// What is added to f16's exponent: f32's counts from 127 and not from 15.
const REBIAS: u32 = (127 - 15) << 23;

/// The bits, in f32, of f16's least normal number.
const LEAST: u32 = REBIAS + (1 << 23);

/// The f16 in the lower halves, which are finite.
#[inline(always)]
fn halves<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
    let shifted =
        |bits, mask, by| simd.wrapping_dyn_shl_u32s(simd.and_u32s(bits, simd.splat_u32s(mask)), simd.splat_u32s(by));
    let (magnitude, sign) = (shifted(words, 0x7FFF, 13), shifted(words, 0x8000, 16));
    // Below the least normal number there is no leading one to be implied: it is put there and taken away.
    let tiny = simd.transmute_f32s_u32s(simd.add_u32s(magnitude, simd.splat_u32s(LEAST)));
    let tiny = simd.transmute_u32s_f32s(simd.sub_f32s(tiny, simd.splat_f32s(f32::from_bits(LEAST))));
    let normal = simd.add_u32s(magnitude, simd.splat_u32s(REBIAS));
    let is_tiny = simd.less_than_u32s(magnitude, simd.splat_u32s(1 << 23));
    simd.transmute_f32s_u32s(simd.or_u32s(simd.select_u32s(is_tiny, tiny, normal), sign))
}

/// Asks the memory for what stands `words` behind this, or for nothing.
#[inline(always)]
fn fetch<V>(vector: &V, words: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = std::ptr::from_ref(vector).cast::<i8>().wrapping_add(4 * words);
        // SAFETY: a hint reads nothing, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (vector, words);
}

/// A vector in as many planes against some rows.
struct PackedDot<'a, const PLANES: usize, const ROWS: usize> {
    x: &'a [f32],
    words: [&'a [u32]; ROWS],
    scales: [&'a [f32]; ROWS],
    ahead: usize,
}

/// What some words of each row give, before their scales, with the part `x` of each plane.
#[inline(always)]
fn part<S: Simd, const PLANES: usize, const ROWS: usize>(
    simd: S,
    words: [S::u32s; ROWS],
    x: impl Fn(usize) -> S::f32s,
) -> [S::f32s; ROWS] {
    let mut sums = [simd.splat_f32s(0.0); ROWS];
    for place in 0..PLANES {
        let x = x(place);
        for row in 0..ROWS {
            sums[row] = simd.mul_add_f32s(elements::<S, PLANES>(simd, words[row], place), x, sums[row]);
        }
    }
    sums
}

impl<const PLANES: usize, const ROWS: usize> WithSimd for PackedDot<'_, PLANES, ROWS> {
    type Output = [f32; ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; ROWS] {
        let count = self.x.len() / PLANES;
        let words = self.words.map(|words| S::as_simd_u32s(&words[..count]));
        let scales = self.scales.map(|scales| S::as_simd_f32s(&scales[..count]));
        let planes: [_; PLANES] = std::array::from_fn(|place| S::as_simd_f32s(&self.x[place * count..][..count]));
        let mut sums = [simd.splat_f32s(0.0); ROWS];
        for index in 0..words[0].0.len() {
            let mut some = [simd.splat_u32s(0); ROWS];
            for row in 0..ROWS {
                some[row] = words[row].0[index];
                fetch(&words[row].0[index], self.ahead);
            }
            let part = part::<S, PLANES, ROWS>(simd, some, |place| planes[place].0[index]);
            for row in 0..ROWS {
                sums[row] = simd.mul_add_f32s(part[row], scales[row].0[index], sums[row]);
            }
        }
        if !words[0].1.is_empty() {
            // The vector is zero where words are missing.
            let rest = words.map(|(_, rest)| simd.partial_load_u32s(rest));
            let part = part::<S, PLANES, ROWS>(simd, rest, |place| simd.partial_load_f32s(planes[place].1));
            for row in 0..ROWS {
                sums[row] = simd.mul_add_f32s(part[row], simd.partial_load_f32s(scales[row].1), sums[row]);
            }
        }
        // A closure given to `map` would not be compiled for these vectors.
        let mut totals = [0.0; ROWS];
        for row in 0..ROWS {
            totals[row] = simd.reduce_sum_f32s(sums[row]);
        }
        totals
    }
}

/// Each block's scale for its `WORDS` words.
struct Scales<'a, const WORDS: usize> {
    of_blocks: &'a [f16],
    of_words: &'a mut [f32],
}

impl<const WORDS: usize> WithSimd for Scales<'_, WORDS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut some = [0.0; 64];
        let (blocks, _) = self.of_words.as_chunks_mut::<WORDS>();
        for (blocks, scales) in blocks.chunks_mut(some.len()).zip(self.of_blocks.chunks(some.len())) {
            // By itself, so that the compiler does it for many at once.
            some.iter_mut().zip(scales).for_each(|(some, scale)| *some = half(*scale));
            blocks.iter_mut().zip(some).for_each(|(block, scale)| *block = [scale; WORDS]);
        }
    }
}

/// As [`halves`].
#[inline(always)]
fn half(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    let (magnitude, sign) = ((bits & 0x7FFF) << 13, (bits & 0x8000) << 16);
    let tiny = (f32::from_bits(magnitude + LEAST) - f32::from_bits(LEAST)).to_bits();
    f32::from_bits(sign | if magnitude < 1 << 23 { tiny } else { magnitude + REBIAS })
}

/// A row's values, plane by plane.
struct Unpack<'a, const PLANES: usize> {
    words: &'a [u32],
    scales: &'a [f32],
    row: &'a mut [f32],
}

impl<const PLANES: usize> WithSimd for Unpack<'_, PLANES> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((words, words_rest), (scales, scales_rest)) = (S::as_simd_u32s(self.words), S::as_simd_f32s(self.scales));
        for (place, plane) in self.row.chunks_exact_mut(self.words.len()).enumerate() {
            let (values, values_rest) = S::as_mut_simd_f32s(plane);
            for ((value, &words), &scale) in values.iter_mut().zip(words).zip(scales) {
                *value = simd.mul_f32s(elements::<S, PLANES>(simd, words, place), scale);
            }
            let rest = elements::<S, PLANES>(simd, simd.partial_load_u32s(words_rest), place);
            simd.partial_store_f32s(values_rest, simd.mul_f32s(rest, simd.partial_load_f32s(scales_rest)));
        }
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

    #[test]
    fn every_finite_f16_is_read_as_it_is() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|value| value.is_finite()).collect();
        let layout = PackedLayout::new(PackedFormat::F16, all.len()).expect("even");
        let planes = Planes::of(layout);
        let mut row = vec![f32::NAN; all.len()];
        planes.unpack(bytemuck::cast_slice(&all), &vec![1.0; planes.words()], &mut row);
        for (value, right) in planes.restore(&row).iter().zip(&all) {
            assert_eq!(value.to_bits(), right.to_f32().to_bits(), "{right}");
            assert_eq!(half(*right).to_bits(), right.to_f32().to_bits(), "{right}");
        }
    }

    #[test]
    fn planes_are_an_order_of_the_elements() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            let planes = Planes::of(PackedLayout::new(format, 96).expect("has a form"));
            let rows = wave(2 * 96, 0.37);
            assert_ne!(planes.order(&rows), rows);
            assert_eq!(planes.restore(&planes.order(&rows)), rows, "{format:?}");
        }
    }
}
