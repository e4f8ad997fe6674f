//! Rows of a packed weight: a vector against them, and as f32, always in the order of their planes.

use half::f16;

use super::parts::parts;
use super::simd::Planes;
use crate::packed::PackedLayout;

/// Whole rows of a packed weight.
#[derive(Clone, Copy)]
pub(super) struct PackedRows<'a> {
    words: &'a [u32],
    layout: PackedLayout,
}

impl<'a> PackedRows<'a> {
    pub fn new(words: &'a [u32], layout: PackedLayout) -> Self {
        Self { words, layout }
    }

    /// How many.
    pub fn len(self) -> usize {
        self.words.len() / self.layout.row_words()
    }

    /// The order in which a vector meets them.
    pub fn planes(self) -> Planes {
        Planes::of(self.layout)
    }

    /// `count` at a time, and the rest.
    pub fn blocks(self, count: usize) -> impl Iterator<Item = Self> {
        self.words.chunks(count * self.layout.row_words()).map(move |words| Self { words, ..self })
    }

    /// Those from `first` on.
    pub fn from(self, first: usize) -> Self {
        Self { words: &self.words[first * self.layout.row_words()..], ..self }
    }

    /// A vector against as many of them as there are sums; their values are never made.
    pub fn dot(self, x: &[f32], sums: &mut [f32]) {
        const TOGETHER: usize = 4;
        let planes = self.planes();
        let mut scales = vec![0.0; TOGETHER * planes.words()];
        let (fours, rest) = sums.as_chunks_mut::<TOGETHER>();
        let first_of_rest = TOGETHER * fours.len();
        for (four, sums) in fours.iter_mut().enumerate() {
            let rows: [_; TOGETHER] = std::array::from_fn(|index| TOGETHER * four + index);
            let words = rows.map(|row| self.words_of(row));
            scales.chunks_exact_mut(planes.words()).zip(rows).for_each(|(scales, row)| self.scales_of(row, scales));
            let scales = std::array::from_fn(|index| &scales[index * planes.words()..][..planes.words()]);
            *sums = planes.dot(x, words, scales, TOGETHER * self.layout.row_words());
        }
        for (row, sum) in (first_of_rest..).zip(rest) {
            let scales = &mut scales[..planes.words()];
            self.scales_of(row, scales);
            [*sum] = planes.dot(x, [self.words_of(row)], [scales], self.layout.row_words());
        }
    }

    /// The values of as many of them as there is room for.
    pub fn unpack(self, into: &mut [f32]) {
        /// Rows that a core takes at a time.
        const ROWS: usize = 32;
        let planes = self.planes();
        parts(into, ROWS * self.layout.in_features, |part, into| {
            let mut scales = vec![0.0; planes.words()];
            for (row, into) in (part * ROWS..).zip(into.chunks_exact_mut(self.layout.in_features)) {
                self.scales_of(row, &mut scales);
                planes.unpack(self.words_of(row), &scales, into);
            }
        });
    }

    fn row(self, index: usize) -> (&'a [u32], &'a [f16]) {
        self.layout.split_row(&self.words[index * self.layout.row_words()..][..self.layout.row_words()])
    }

    fn words_of(self, row: usize) -> &'a [u32] {
        self.row(row).0
    }

    /// The scale of each word of a row.
    fn scales_of(self, row: usize, into: &mut [f32]) {
        self.planes().scales(self.row(row).1, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::PackedFormat;

    #[test]
    fn rows_unpack_to_what_the_layout_makes_of_them() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            for (rows, in_features) in [(1, 32), (65, 96), (3, 2208)] {
                let layout = PackedLayout::new(format, in_features).unwrap();
                let values: Vec<f32> = (0..rows * in_features).map(|i| (i as f32 * 0.37).sin()).collect();
                let mut words = vec![0; rows * layout.row_words()];
                layout.pack(&values, &mut words);
                let packed = PackedRows::new(&words, layout);
                let mut unpacked = vec![f32::NAN; values.len()];
                packed.unpack(&mut unpacked);
                assert_eq!(packed.planes().restore(&unpacked), layout.unpack(&words), "{format:?}");
            }
        }
    }
}
