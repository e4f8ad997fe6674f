//! Products for few rows, which is what a decode step is: every row of the weight is read once, by the core that needs it,
//! and a packed one never stands in memory as f32.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::simd::{Planes, dot};
use super::{Floats, Ints, slice, tensor};
use crate::packed::{PackedLayout, Quants};

/// Up to this many rows of x; beyond, a product of blocks wins.
const FEW: usize = 4;

/// The same for a packed weight, which would have to be unpacked whole.
const FEW_PACKED: usize = 16;

/// Rows of the weight that a core takes at a time.
const ROWS: usize = 32;

/// Fewer multiplications than these are done at once: other cores would take longer to wake.
const SMALL: usize = 1 << 16;

/// `x W^T`, or `None` where there are many rows.
pub(super) fn linear(x: &Floats, weight: &Floats) -> Option<Floats> {
    let ([rows, in_features], [out_features, columns]) = (x.shape().dims(), weight.shape().dims());
    if rows > FEW {
        return None;
    }
    assert_eq!(in_features, columns, "linear: x and weight disagree");
    let weight = weight.to_contiguous();
    Some(products(x, out_features, &Rows::Plain(slice(&weight))))
}

/// The same with a packed weight.
pub(super) fn linear_packed(x: &Floats, words: &Ints, layout: PackedLayout) -> Option<Floats> {
    let [rows, in_features] = x.shape().dims();
    if rows > FEW_PACKED {
        return None;
    }
    assert_eq!(in_features, layout.in_features, "linear: x and weight disagree");
    let words = words.to_contiguous();
    let words: &[u32] = words.as_slice().expect("packed weights are u32");
    Some(products(x, words.len() / layout.row_words(), &Rows::Packed(words, layout)))
}

/// A packed weight in f32, for many rows.
pub(super) fn unpack(words: &Ints, layout: PackedLayout) -> Floats {
    let words = words.to_contiguous();
    let words: &[u32] = words.as_slice().expect("packed weights are u32");
    let rows = words.len() / layout.row_words();
    let mut values = vec![0.0; rows * layout.in_features];
    parts(&mut values, ROWS * layout.in_features, |part, into| {
        let words = words[part * ROWS * layout.row_words()..].chunks_exact(layout.row_words());
        into.chunks_exact_mut(layout.in_features).zip(words).for_each(|(row, words)| layout.unpack_row(words, row));
    });
    tensor(values, Shape::new([rows, layout.in_features]))
}

/// The rows of a weight.
enum Rows<'a> {
    Plain(&'a [f32]),
    Packed(&'a [u32], PackedLayout),
}

impl Rows<'_> {
    /// One row, which a packed one is unpacked to.
    fn get<'b>(&'b self, row: usize, unpacked: &'b mut [f32]) -> &'b [f32] {
        match self {
            Self::Plain(values) => &values[row * unpacked.len()..][..unpacked.len()],
            Self::Packed(words, layout) => {
                layout.unpack_row(&words[row * layout.row_words()..][..layout.row_words()], unpacked);
                unpacked
            }
        }
    }
}

/// Every row of x against every row of the weight.
fn products(x: &Floats, out_features: usize, weight: &Rows<'_>) -> Floats {
    let [rows, in_features] = x.shape().dims();
    let x = x.to_contiguous();
    let x = slice(&x);
    // [out_features, rows] while it is computed, so that each core writes a part of its own.
    let mut columns = vec![0.0; out_features * rows];
    let part_rows = if out_features * in_features < SMALL { out_features.max(1) } else { ROWS };
    if let (1, Rows::Packed(words, layout)) = (rows, weight)
        && let Some(quants) = layout.quants()
    {
        let planes = Planes::new(x, quants);
        parts(&mut columns, part_rows, |part, into| {
            quantized_rows(&planes, &words[part * part_rows * layout.row_words()..], *layout, into);
        });
        return tensor(columns, Shape::new([1, out_features]));
    }
    parts(&mut columns, part_rows * rows, |part, into| {
        let mut memory = vec![0.0; in_features];
        for (row, sums) in (part * part_rows..).zip(into.chunks_exact_mut(rows)) {
            let weight = weight.get(row, &mut memory);
            sums.iter_mut().zip(x.chunks_exact(in_features)).for_each(|(sum, x)| *sum = dot(x, weight));
        }
    });
    if rows == 1 {
        return tensor(columns, Shape::new([1, out_features]));
    }
    let y = (0..rows).flat_map(|row| columns.iter().skip(row).step_by(rows).copied()).collect();
    tensor(y, Shape::new([rows, out_features]))
}

/// A vector against rows of q8 or q4, whose values are never made.
fn quantized_rows(planes: &Planes, rows: &[u32], layout: PackedLayout, into: &mut [f32]) {
    const TOGETHER: usize = 4;
    let blocks = layout.in_features / layout.block();
    let mut of_blocks = vec![0.0; blocks];
    let mut of_words = vec![0.0; TOGETHER * planes.words()];
    let mut scaled = |scales: &[f16], of_words: &mut [f32]| {
        scales[..blocks].convert_to_f32_slice(&mut of_blocks);
        match planes.quants() {
            Quants::Q8 => repeat::<8>(&of_blocks, of_words),
            Quants::Q4 => repeat::<4>(&of_blocks, of_words),
        }
    };
    let row = |index: usize| layout.split_row(&rows[index * layout.row_words()..][..layout.row_words()]);
    let (fours, rest) = into.as_chunks_mut::<TOGETHER>();
    let first_of_rest = TOGETHER * fours.len();
    for (four, y) in fours.iter_mut().enumerate() {
        let rows: [_; TOGETHER] = std::array::from_fn(|index| row(TOGETHER * four + index));
        let of_rows = of_words.chunks_exact_mut(planes.words());
        of_rows.zip(rows).for_each(|(of_words, (_, scales))| scaled(scales, of_words));
        let scales = std::array::from_fn(|index| &of_words[index * planes.words()..][..planes.words()]);
        *y = planes.dot(rows.map(|(words, _)| words), scales);
    }
    for (index, y) in rest.iter_mut().enumerate() {
        let (words, scales) = row(first_of_rest + index);
        let of_words = &mut of_words[..planes.words()];
        scaled(scales, of_words);
        [*y] = planes.dot([words], [of_words]);
    }
}

/// Each scale for the N words of its block.
fn repeat<const N: usize>(scales: &[f32], of_words: &mut [f32]) {
    let (blocks, _) = of_words.as_chunks_mut::<N>();
    blocks.iter_mut().zip(scales).for_each(|(block, &scale)| *block = [scale; N]);
}

/// `y_t = base_t + scale g_t B_e A_e x_t`, with the expert and the factor that `of_token` gives; `None` where there are many
/// tokens.
///
/// `a: [.., rank, in]`, `b: [.., out, rank]`, with experts in front or without.
pub(super) fn low_rank(
    [base, x, a, b]: [&Floats; 4],
    scale: f32,
    of_token: impl Fn(usize) -> (usize, f32),
) -> Option<Floats> {
    let ([tokens, in_features], [_, out_features]) = (x.shape().dims(), base.shape().dims());
    if tokens > FEW {
        return None;
    }
    let [base, x, a, b] = [base, x, a, b].map(|tensor| tensor.to_contiguous());
    let rank = *b.shape().as_slice().last().expect("a matrix or more");
    let (a, b) = (slice(&a), slice(&b));
    let mut y = slice(&base).to_vec();
    for (token, (x, y)) in slice(&x).chunks_exact(in_features).zip(y.chunks_exact_mut(out_features)).enumerate() {
        let (expert, factor) = of_token(token);
        let a = a[expert * rank * in_features..].chunks_exact(in_features).take(rank);
        let h: Vec<f32> = a.map(|row| scale * factor * dot(row, x)).collect();
        let b = b[expert * out_features * rank..].chunks_exact(rank);
        y.iter_mut().zip(b).for_each(|(y, row)| *y += dot(row, &h));
    }
    Some(tensor(y, base.shape()))
}

#[cfg(not(target_arch = "wasm32"))]
fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    use rayon::prelude::*;
    match values.len() <= len {
        true => work(0, values),
        false => values.par_chunks_mut(len).enumerate().for_each(|(part, into)| work(part, into)),
    }
}

#[cfg(target_arch = "wasm32")]
fn parts(values: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32])) {
    values.chunks_mut(len.max(1)).enumerate().for_each(|(part, into)| work(part, into));
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
    fn few_rows_agree_with_the_product_of_blocks() {
        let wave = |len: usize| (0..len).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
        for (rows, out_features, in_features) in [(1, 1, 1), (1, 700, 130), (3, 65, 96), (4, 33, 17)] {
            let x = tensor(wave(rows * in_features), Shape::new([rows, in_features]));
            // Also where the weight lies transposed in memory.
            let straight = tensor(wave(out_features * in_features), Shape::new([out_features, in_features]));
            let turned =
                tensor(wave(out_features * in_features), Shape::new([in_features, out_features])).transpose(0, 1);
            for weight in [straight, turned] {
                let actual = super::linear(&x, &weight).expect("few");
                let expected = linear::composed::<Flex>(x.clone(), weight, None);
                assert_eq!(actual.shape(), expected.shape());
                let expected = expected.to_contiguous();
                for (a, b) in slice(&actual).iter().zip(slice(&expected)) {
                    assert!((a - b).abs() <= 1e-5 * in_features as f32, "{a} and {b}");
                }
            }
        }
    }

    #[test]
    fn a_weight_unpacks_to_what_the_host_makes_of_it() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            let layout = PackedLayout::new(format, 96).unwrap();
            let mut words = vec![0; 2 * ROWS * layout.row_words() + layout.row_words()];
            let values: Vec<f32> = (0..(2 * ROWS + 1) * 96).map(|i| (i as f32 * 0.37).sin()).collect();
            layout.pack(&values, &mut words);
            let words = TensorData::new(words, [2 * ROWS + 1, layout.row_words()]);
            let words = Flex::int_from_data(words, &Default::default());
            let ours = super::unpack(&words, layout);
            assert_eq!(slice(&ours), slice(&host::unpack::<Flex>(words, layout)), "{format:?}");
        }
    }

    #[test]
    fn few_rows_agree_with_the_unpacked_product() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            for (rows, out_features, in_features) in
                [(1, 1, 32), (1, 33, 64), (1, 70, 1056), (3, 65, 96), (16, 70, 352)]
            {
                let layout = PackedLayout::new(format, in_features).unwrap();
                let wave = |len: usize| (0..len).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
                let mut words = vec![0; out_features * layout.row_words()];
                layout.pack(&wave(out_features * in_features), &mut words);
                let words = TensorData::new(words, [out_features, layout.row_words()]);
                let words = Flex::int_from_data(words, &Default::default());
                let x = tensor(wave(rows * in_features), Shape::new([rows, in_features]));
                let actual = super::linear_packed(&x, &words, layout).expect("few");
                let expected = linear::composed::<Flex>(x, host::unpack::<Flex>(words, layout), None);
                assert_eq!(actual.shape(), expected.shape());
                for (a, b) in slice(&actual).iter().zip(slice(&expected)) {
                    assert!((a - b).abs() <= 1e-5 * in_features as f32, "{format:?}: {a} and {b}");
                }
            }
        }
    }
}
