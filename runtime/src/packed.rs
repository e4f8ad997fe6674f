//! Frozen weights that take less room than f32: their layout in memory, and the way there and back on the host.
//!
//! A matrix `[N, K]` is N rows of u32 words, each row for itself:
//! - f16: K / 2 words, two values each, the even element in the low half (WGSL's `unpack2x16float`);
//! - q8: K / 4 words of four signed bytes, then the scales of the row's blocks of 32 as pairs of f16; a value is
//!   `scale * byte`;
//! - q4: K / 8 words of eight nibbles, then the scales; a value is `scale * (nibble - 8)`. The low nibbles of a word's
//!   bytes are its elements 0 to 3, the high ones 4 to 7, so that a mask and `unpack4xU8` yield four neighbours.
//!
//! Rows of q8 and q4 are padded to 4 words, so that they can be read as `vec4<u32>`. `shared/weight.wgsl` is the other
//! side. Values and rounding are those of GGML's Q8_0 and Q4_0 (ggml-quants.c, quantize_row_q8_0_ref and
//! quantize_row_q4_0_ref). Files hold q8 and q4 as GGML's own blocks, in tensors of bytes.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Values that share a scale.
const BLOCK: usize = 32;

/// How a packed weight stores its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedFormat {
    /// 16 bits a value.
    F16,
    /// 8.5 bits a value: signed bytes, and an f16 scale for each block of 32 along the input dimension.
    Q8,
    /// 4.5 bits a value: nibbles, and an f16 scale for each block of 32 along the input dimension.
    Q4,
}

impl PackedFormat {
    /// Values of a word.
    pub(crate) fn per_word(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::Q8 => 4,
            Self::Q4 => 8,
        }
    }

    /// Which of a word's elements stands at `place`, from the lowest bits up.
    pub(crate) fn element(self, place: usize) -> usize {
        match self {
            Self::F16 | Self::Q8 => place,
            Self::Q4 => place / 2 + place % 2 * 4,
        }
    }
}

/// A format, and the length of the rows it is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedLayout {
    /// How values are stored.
    pub format: PackedFormat,
    /// K, the values of a row.
    pub in_features: usize,
}

impl PackedLayout {
    /// `format` for rows of `in_features` values; `None` where it has no form for them: f16 wants an even number, q8 and
    /// q4 a multiple of 32.
    pub fn new(format: PackedFormat, in_features: usize) -> Option<Self> {
        let unit = match format {
            PackedFormat::F16 => 2,
            PackedFormat::Q8 | PackedFormat::Q4 => BLOCK,
        };
        (in_features > 0 && in_features.is_multiple_of(unit)).then_some(Self { format, in_features })
    }

    /// Values that share a scale; for f16, which has none, one.
    pub fn block(&self) -> usize {
        if self.format == PackedFormat::F16 { 1 } else { BLOCK }
    }

    /// A packed row's words of values, and its blocks' scales, with others behind them that mean nothing; f16 has none.
    pub(crate) fn split_row<'a>(&self, words: &'a [u32]) -> (&'a [u32], &'a [f16]) {
        let (words, scales) = words.split_at(self.value_words());
        (words, bytemuck::cast_slice(scales))
    }

    /// Words of the row's values, without scales.
    fn value_words(&self) -> usize {
        self.in_features / self.format.per_word()
    }

    /// Words of a row.
    pub fn row_words(&self) -> usize {
        match self.format {
            PackedFormat::F16 => self.value_words(),
            PackedFormat::Q8 | PackedFormat::Q4 => {
                (self.value_words() + (self.in_features / BLOCK).div_ceil(2)).next_multiple_of(4)
            }
        }
    }

    /// The largest magnitude that has a form.
    pub fn largest(&self) -> f32 {
        let scale = f16::MAX.to_f32();
        match self.format {
            PackedFormat::F16 => scale,
            PackedFormat::Q8 => scale * 127.0,
            PackedFormat::Q4 => scale * 8.0,
        }
    }

    /// Packs whole rows of finite values.
    ///
    /// # Panics
    /// If `values` are not whole rows, or `into` is not as many.
    pub fn pack(&self, values: &[f32], into: &mut [u32]) {
        let whole = values.len().is_multiple_of(self.in_features)
            && into.len() == values.len() / self.in_features * self.row_words();
        assert!(whole, "whole rows, as many on both sides");
        for (row, words) in values.chunks_exact(self.in_features).zip(into.chunks_exact_mut(self.row_words())) {
            if self.format == PackedFormat::F16 {
                bytemuck::cast_slice_mut::<u32, f16>(words).convert_from_f32_slice(row);
                continue;
            }
            let (words, scales) = words.split_at_mut(self.value_words());
            scales.fill(0);
            let scales = bytemuck::cast_slice_mut::<u32, f16>(scales);
            let block_words = words.chunks_exact_mut(self.value_words() * BLOCK / self.in_features);
            for ((block, words), scale) in row.chunks_exact(BLOCK).zip(block_words).zip(scales) {
                *scale = match self.format {
                    PackedFormat::Q8 => pack_q8(block, words),
                    _ => pack_q4(block, words),
                };
            }
        }
    }

    /// The values of whole packed rows.
    ///
    /// # Panics
    /// If `words` are not whole rows.
    pub fn unpack(&self, words: &[u32]) -> Vec<f32> {
        let rows = words.chunks_exact(self.row_words());
        assert!(rows.remainder().is_empty(), "whole rows");
        let mut values = vec![0.0; rows.len() * self.in_features];
        for (words, row) in rows.zip(values.chunks_exact_mut(self.in_features)) {
            self.unpack_row(words, row);
        }
        values
    }

    /// The first scale that is not finite, among whole packed rows: which row, and the scale. f16 has none.
    pub fn bad_scale(&self, words: &[u32]) -> Option<(usize, f32)> {
        if self.format == PackedFormat::F16 {
            return None;
        }
        words.chunks_exact(self.row_words()).enumerate().find_map(|(row, words)| {
            let scales = bytemuck::cast_slice::<u32, f16>(&words[self.value_words()..]);
            scales.iter().find(|scale| !scale.is_finite()).map(|scale| (row, scale.to_f32()))
        })
    }

    /// Bytes of a block in a file: those of GGML, an f16 scale and the values; q4's low nibbles are a block's first half.
    pub fn block_bytes(&self) -> Option<usize> {
        match self.format {
            PackedFormat::F16 => None,
            PackedFormat::Q8 => Some(2 + BLOCK),
            PackedFormat::Q4 => Some(2 + BLOCK / 2),
        }
    }

    /// The layout of a tensor that a file holds as bytes `[rows, blocks, bytes of a block]`.
    pub fn of_blocks(blocks: usize, block_bytes: usize) -> Option<Self> {
        let layouts =
            [PackedFormat::Q8, PackedFormat::Q4].into_iter().filter_map(|format| Self::new(format, BLOCK * blocks));
        layouts.into_iter().find(|layout| layout.block_bytes() == Some(block_bytes))
    }

    /// A file's whole rows of blocks, as words.
    ///
    /// # Panics
    /// For f16, which files hold as f16, and if `bytes` and `into` are not as many whole rows.
    pub fn words_of_blocks(&self, bytes: &[u8], into: &mut [u32]) {
        let (row_bytes, block_bytes) = self.row_bytes();
        assert_eq!(bytes.len() / row_bytes * self.row_words(), into.len(), "whole rows, as many on both sides");
        for (blocks, words) in bytes.chunks_exact(row_bytes).zip(into.chunks_exact_mut(self.row_words())) {
            words.fill(0);
            let (values, scales) = words.split_at_mut(self.value_words());
            let scales = bytemuck::cast_slice_mut::<u32, u16>(scales);
            let values: &mut [u8] = bytemuck::cast_slice_mut(values);
            let blocks = blocks.chunks_exact(block_bytes).zip(values.chunks_exact_mut(block_bytes - 2)).zip(scales);
            for ((block, values), scale) in blocks {
                *scale = u16::from_le_bytes([block[0], block[1]]);
                match self.format {
                    PackedFormat::Q8 => values.copy_from_slice(&block[2..]),
                    _ => swap_nibbles(block[2..].try_into().expect("half a byte a value"), values, Nibbles::OfBlock),
                }
            }
        }
    }

    /// Whole rows of words as a file's blocks.
    ///
    /// # Panics
    /// As [`PackedLayout::words_of_blocks`].
    pub fn blocks_of_words(&self, words: &[u32]) -> Vec<u8> {
        let (row_bytes, block_bytes) = self.row_bytes();
        let mut bytes = Vec::with_capacity(words.len() / self.row_words() * row_bytes);
        for words in words.chunks_exact(self.row_words()) {
            let (values, scales) = words.split_at(self.value_words());
            let scales = bytemuck::cast_slice::<u32, u16>(scales);
            let values: &[u8] = bytemuck::cast_slice(values);
            for (values, scale) in values.chunks_exact(block_bytes - 2).zip(scales) {
                bytes.extend(scale.to_le_bytes());
                let start = bytes.len();
                bytes.extend(values);
                if self.format == PackedFormat::Q4 {
                    let ours = values.try_into().expect("half a byte a value");
                    swap_nibbles(ours, &mut bytes[start..], Nibbles::OfWords);
                }
            }
        }
        bytes
    }

    fn row_bytes(&self) -> (usize, usize) {
        let block_bytes = self.block_bytes().expect("a format of blocks");
        (self.in_features / BLOCK * block_bytes, block_bytes)
    }

    /// The values of one packed row.
    pub(crate) fn unpack_row(&self, words: &[u32], row: &mut [f32]) {
        let (words, scales) = self.split_row(words);
        if self.format == PackedFormat::F16 {
            bytemuck::cast_slice::<u32, f16>(words).convert_to_f32_slice(row);
            return;
        }
        let block_words = words.chunks_exact(self.value_words() * BLOCK / self.in_features);
        for ((block, words), scale) in row.chunks_exact_mut(BLOCK).zip(block_words).zip(scales) {
            let scale = scale.to_f32();
            match self.format {
                PackedFormat::Q8 => {
                    let bytes: &[i8] = bytemuck::cast_slice(words);
                    block.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = scale * f32::from(byte));
                }
                _ => {
                    for (eight, word) in block.chunks_exact_mut(8).zip(words) {
                        let (low, high) = eight.split_at_mut(4);
                        for ((low, high), byte) in low.iter_mut().zip(high).zip(word.to_le_bytes()) {
                            *low = scale * (f32::from(byte & 15) - 8.0);
                            *high = scale * (f32::from(byte >> 4) - 8.0);
                        }
                    }
                }
            }
        }
    }
}

/// Whose order a block's nibbles are in.
#[derive(Clone, Copy, PartialEq)]
enum Nibbles {
    /// GGML's: byte i holds elements i and i + 16.
    OfBlock,
    /// Ours: byte i of word w holds elements 8 w + i and 8 w + 4 + i.
    OfWords,
}

/// Brings a block's nibbles from one order to the other.
fn swap_nibbles(from: [u8; BLOCK / 2], into: &mut [u8], order: Nibbles) {
    // Where element i is: byte, and bits to shift.
    let place = |order, i: usize| match order {
        Nibbles::OfBlock => (i % 16, 4 * (i / 16)),
        Nibbles::OfWords => (i / 8 * 4 + i % 4, i & 4),
    };
    let other = if order == Nibbles::OfBlock { Nibbles::OfWords } else { Nibbles::OfBlock };
    into.fill(0);
    for i in 0..BLOCK {
        let ((byte, shift), (to, to_shift)) = (place(order, i), place(other, i));
        into[to] |= (from[byte] >> shift & 15) << to_shift;
    }
}

/// A block's bytes; returns its scale.
fn pack_q8(block: &[f32], words: &mut [u32]) -> f16 {
    let [least, most] = extremes(block);
    let scale = most.max(-least) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut bytes = [0; BLOCK];
    bytes.iter_mut().zip(block).for_each(|(byte, value)| *byte = rounded(value * inverse) as i8);
    bytemuck::cast_slice_mut::<u32, i8>(words).copy_from_slice(&bytes);
    f16::from_f32(scale)
}

/// As `value.round()` of a magnitude up to 127, halves away from zero, but in steps that are computed for many at once.
fn rounded(value: f32) -> i32 {
    // Added to a number far below 2^23, it leaves the nearest whole one in the lowest bits, halves even.
    const WHOLE: f32 = 8_388_608.0;
    let magnitude = value.abs();
    let even = (magnitude + WHOLE) - WHOLE;
    let whole = if magnitude - even >= 0.5 { even + 1.0 } else { even };
    let bits = (whole + WHOLE).to_bits() as i32 & 0xFF;
    if value < 0.0 { -bits } else { bits }
}

/// A block's nibbles; returns its scale. The value of the largest magnitude becomes -8, which has no positive twin, so
/// the scale carries its sign.
fn pack_q4(block: &[f32], words: &mut [u32]) -> f16 {
    let [least, most] = extremes(block);
    let largest = match most + least {
        // Of equal magnitudes the first.
        0.0 => block.iter().fold(0.0f32, |largest, &value| if value.abs() > largest.abs() { value } else { largest }),
        sum if sum > 0.0 => most,
        _ => least,
    };
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut nibbles = [0; BLOCK];
    let nibble = |value: f32| ((value * inverse + 8.5) as i32).clamp(0, 15) as u8;
    nibbles.iter_mut().zip(block).for_each(|(into, &value)| *into = nibble(value));
    for (eight, word) in nibbles.chunks_exact(8).zip(words) {
        *word = u32::from_le_bytes(std::array::from_fn(|i| eight[i] | eight[4 + i] << 4));
    }
    f16::from_f32(scale)
}

/// The least and the largest of a block's values and 0.
fn extremes(block: &[f32]) -> [f32; 2] {
    let (mut least, mut most) = ([0.0f32; 8], [0.0f32; 8]);
    for eight in block.as_chunks::<8>().0 {
        for i in 0..8 {
            least[i] = if eight[i] < least[i] { eight[i] } else { least[i] };
            most[i] = if eight[i] > most[i] { eight[i] } else { most[i] };
        }
    }
    [least.into_iter().fold(0.0, f32::min), most.into_iter().fold(0.0, f32::max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.7).sin() * (1.0 + i as f32 / 50.0)).collect()
    }

    fn round_trip(format: PackedFormat, values: &[f32], in_features: usize) -> Vec<f32> {
        let layout = PackedLayout::new(format, in_features).expect("has a form");
        let mut words = vec![u32::MAX; values.len() / in_features * layout.row_words()];
        layout.pack(values, &mut words);
        layout.unpack(&words)
    }

    #[test]
    fn bytes_are_rounded_as_round_does() {
        let halves = (-254..=254).map(|half| half as f32 / 2.0);
        for value in halves.flat_map(|half| [half.next_down(), half, half.next_up()]) {
            assert_eq!(rounded(value), value.round() as i32, "{value:e}");
        }
    }

    #[test]
    fn of_equal_magnitudes_the_first_gives_a_block_its_sign() {
        for first in [-3.0, 3.0] {
            let mut block = [0.5; BLOCK];
            (block[7], block[20]) = (first, -first);
            let scale = pack_q4(&block, &mut [0; 4]);
            assert_eq!(scale.to_f32(), first / -8.0);
        }
    }

    #[test]
    fn a_value_comes_back_within_half_a_step_of_its_block() {
        for in_features in [32, 64, 96, 352] {
            let values = wave(3 * in_features);
            for (format, steps) in [(PackedFormat::Q8, 127.0), (PackedFormat::Q4, 8.0)] {
                let back = round_trip(format, &values, in_features);
                for (block, back) in values.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                    // Half a step; q4's other end has a whole one. The scale is rounded to f16.
                    let step = largest / steps * if format == PackedFormat::Q4 { 1.0 } else { 0.5 };
                    for (value, back) in block.iter().zip(back) {
                        assert!((value - back).abs() <= step + largest * 1e-3, "{format:?}: {value} became {back}");
                    }
                }
            }
        }
    }

    #[test]
    fn known_blocks_have_ggmls_values() {
        // -8 .. 7 times 0.5: every nibble once, twice over.
        let exact: Vec<f32> = (0..32).map(|i| ((i % 16) as f32 - 8.0) * 0.5).collect();
        assert_eq!(round_trip(PackedFormat::Q4, &exact, 32), exact);
        // The largest magnitude is positive: the scale is negative.
        let mirrored: Vec<f32> = exact.iter().map(|value| -value).collect();
        assert_eq!(round_trip(PackedFormat::Q4, &mirrored, 32), mirrored);
        let bytes: Vec<f32> = (0..32).map(|i| (i * 8 - 127) as f32 * 0.25).collect();
        assert_eq!(round_trip(PackedFormat::Q8, &bytes, 32), bytes);
    }

    #[test]
    fn zeros_stay_zeros() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            assert_eq!(round_trip(format, &[0.0; 64], 64), [0.0; 64], "{format:?}");
        }
    }

    #[test]
    fn rows_that_do_not_fit_have_no_layout() {
        assert!(PackedLayout::new(PackedFormat::F16, 3).is_none());
        assert!(PackedLayout::new(PackedFormat::Q8, 48).is_none());
        assert!(PackedLayout::new(PackedFormat::Q4, 0).is_none());
    }

    #[test]
    fn a_files_blocks_come_back_as_they_were() {
        for format in [PackedFormat::Q8, PackedFormat::Q4] {
            let layout = PackedLayout::new(format, 96).expect("has a form");
            let mut words = vec![0; 3 * layout.row_words()];
            layout.pack(&wave(3 * 96), &mut words);
            let blocks = layout.blocks_of_words(&words);
            let block_bytes = layout.block_bytes().expect("has blocks");
            assert_eq!(blocks.len(), 9 * block_bytes);
            assert_eq!(PackedLayout::of_blocks(3, block_bytes), Some(layout));
            let mut back = vec![u32::MAX; words.len()];
            layout.words_of_blocks(&blocks, &mut back);
            assert_eq!(back, words);
        }
        assert_eq!(PackedLayout::of_blocks(3, 33), None);
    }

    #[test]
    fn a_block_of_q4_is_ggmls() {
        // Elements 0 .. 15 are the low nibbles of its bytes, 16 .. 31 the high ones.
        let values: Vec<f32> = (0..32).map(|i| ((i % 16) as f32 - 8.0) * if i < 16 { 1.0 } else { 0.5 }).collect();
        let layout = PackedLayout::new(PackedFormat::Q4, 32).expect("has a form");
        let mut words = vec![0; layout.row_words()];
        layout.pack(&values, &mut words);
        let block = layout.blocks_of_words(&words);
        assert_eq!(f16::from_le_bytes([block[0], block[1]]).to_f32(), 1.0);
        assert!((0..16).all(|i| block[2 + i] & 15 == i as u8), "{block:?}");
    }

    #[test]
    fn a_scale_that_is_no_number_is_found() {
        let layout = PackedLayout::new(PackedFormat::Q4, 64).expect("has a form");
        let mut words = vec![0; 3 * layout.row_words()];
        layout.pack(&wave(192), &mut words);
        assert_eq!(layout.bad_scale(&words), None);
        words[2 * layout.row_words() + 8] = 0x7c00_0000;
        assert_eq!(layout.bad_scale(&words), Some((2, f32::INFINITY)));
    }

    #[test]
    fn the_bytes_are_those_promised() {
        let bits = |format| {
            let layout = PackedLayout::new(format, 4096).expect("has a form");
            layout.row_words() as f64 * 32.0 / 4096.0
        };
        assert_eq!([PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4].map(bits), [16.0, 8.5, 4.5]);
    }
}
