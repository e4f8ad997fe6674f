//! Products with a packed weight for few rows, which is what a decode step is: every row of the weight is unpacked once, by
//! the core that needs it, and never stands in memory as f32.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;

use super::{Floats, Ints, dot, slice, tensor};
use crate::packed::PackedLayout;

/// Up to this many rows of x; beyond, a product of unpacked weights wins.
const FEW: usize = 16;

/// Rows of the weight that a core takes at a time.
const ROWS: usize = 32;

/// `x W^T`, or `None` where there are many rows.
pub(super) fn linear(x: &Floats, words: &Ints, layout: PackedLayout) -> Option<Floats> {
    let [rows, in_features] = x.shape().dims();
    if rows > FEW {
        return None;
    }
    assert_eq!(in_features, layout.in_features, "linear: x and weight disagree");
    let (x, words) = (x.to_contiguous(), words.to_contiguous());
    let (x, words): (&[f32], &[u32]) = (slice(&x), words.as_slice().expect("packed weights are u32"));
    let out_features = words.len() / layout.row_words();
    // [out_features, rows] while it is computed, so that each core writes a part of its own.
    let mut columns = vec![0.0; out_features * rows];
    parts(&mut columns, ROWS * rows, |part, into| {
        let mut weight = vec![0.0; in_features];
        let words = words[part * ROWS * layout.row_words()..].chunks_exact(layout.row_words());
        for (sums, words) in into.chunks_exact_mut(rows).zip(words) {
            layout.unpack_row(words, &mut weight);
            sums.iter_mut().zip(x.chunks_exact(in_features)).for_each(|(sum, x)| *sum = dot(x, &weight));
        }
    });
    let y = (0..rows).flat_map(|row| columns.iter().skip(row).step_by(rows).copied()).collect();
    Some(tensor(y, Shape::new([rows, out_features])))
}

#[cfg(not(target_arch = "wasm32"))]
fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    use rayon::prelude::*;
    values.par_chunks_mut(len).enumerate().for_each(|(part, into)| work(part, into));
}

#[cfg(target_arch = "wasm32")]
fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32])) {
    values.chunks_mut(len).enumerate().for_each(|(part, into)| work(part, into));
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::backend::ops::IntTensorOps;
    use burn::tensor::TensorData;

    use super::*;
    use crate::ops::{host, linear};
    use crate::packed::PackedFormat;

    #[test]
    fn few_rows_agree_with_the_unpacked_product() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            for (rows, out_features, in_features) in [(1, 1, 32), (1, 33, 64), (3, 65, 96), (16, 70, 352)] {
                let layout = PackedLayout::new(format, in_features).unwrap();
                let wave = |len: usize| (0..len).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
                let mut words = vec![0; out_features * layout.row_words()];
                layout.pack(&wave(out_features * in_features), &mut words);
                let words = TensorData::new(words, [out_features, layout.row_words()]);
                let words = Flex::int_from_data(words, &Default::default());
                let x = tensor(wave(rows * in_features), Shape::new([rows, in_features]));
                let actual = super::linear(&x, &words, layout).expect("few");
                let expected = linear::composed::<Flex>(x, host::unpack::<Flex>(words, layout), None);
                assert_eq!(actual.shape(), expected.shape());
                for (a, b) in slice(&actual).iter().zip(slice(&expected)) {
                    assert!((a - b).abs() <= 1e-5 * in_features as f32, "{format:?}: {a} and {b}");
                }
            }
        }
    }
}
