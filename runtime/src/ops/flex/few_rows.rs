//! Products for few rows, which is what a decode step is: every row of the weight is read once, by the core that needs it,
//! and a packed one never stands in memory as f32.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;

use super::packed_rows::PackedRows;
use super::parts::parts;
use super::simd::dot;
use super::{Floats, slice, tensor};

/// Up to this many rows of x; beyond, a product of blocks wins.
const FEW: usize = 4;

/// The same for a packed weight, whose tiles are as wide as a vector however few rows there are.
const FEW_PACKED: usize = 16;

/// Rows of the weight that a core takes at a time.
const ROWS: usize = 32;

/// Fewer multiplications than these are done at once: other cores would take longer to wake.
const SMALL: usize = 1 << 19;

/// `x W^T`, or `None` where there are many rows.
pub(super) fn linear(x: &Floats, weight: &Floats) -> Option<Floats> {
    let ([rows, in_features], [out_features, columns]) = (x.shape().dims(), weight.shape().dims());
    if rows > FEW {
        return None;
    }
    assert_eq!(in_features, columns, "linear: x and weight disagree");
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let (x, weight) = (slice(&x), slice(&weight));
    Some(products(rows, out_features, in_features, |first, columns| {
        let weight = weight[first * in_features..].chunks_exact(in_features);
        for (weight, sums) in weight.zip(columns.chunks_exact_mut(rows)) {
            sums.iter_mut().zip(x.chunks_exact(in_features)).for_each(|(sum, x)| *sum = dot(x, weight));
        }
    }))
}

/// The same with a packed weight.
pub(super) fn linear_packed(x: &Floats, weight: PackedRows<'_>) -> Option<Floats> {
    let [rows, in_features] = x.shape().dims();
    if rows > FEW_PACKED {
        return None;
    }
    let x = weight.planes().order(slice(&x.to_contiguous()));
    Some(products(rows, weight.len(), in_features, |first, columns| {
        let weight = weight.from(first);
        if rows == 1 {
            return weight.dot(&x, columns);
        }
        let mut row = vec![0.0; in_features];
        for (index, sums) in columns.chunks_exact_mut(rows).enumerate() {
            weight.from(index).unpack(&mut row);
            sums.iter_mut().zip(x.chunks_exact(in_features)).for_each(|(sum, x)| *sum = dot(x, &row));
        }
    }))
}

/// What `work` writes into columns of some rows of the weight each, from the `first` on, as `[rows, out_features]`.
fn products(rows: usize, out_features: usize, in_features: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Floats {
    // [out_features, rows] while it is computed, so that each core writes a part of its own.
    let mut columns = vec![0.0; out_features * rows];
    let part_rows = if out_features * in_features < SMALL { out_features.max(1) } else { ROWS };
    parts(&mut columns, part_rows * rows, |part, into| work(part * part_rows, into));
    if rows == 1 {
        return tensor(columns, Shape::new([1, out_features]));
    }
    let y = (0..rows).flat_map(|row| columns.iter().skip(row).step_by(rows).copied()).collect();
    tensor(y, Shape::new([rows, out_features]))
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

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;
    use crate::ops::linear;
    use crate::packed::{PackedFormat, PackedLayout};

    fn wave(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn few_rows_agree_with_the_product_of_blocks() {
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
    fn few_rows_agree_with_the_unpacked_product() {
        for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
            for (rows, out_features, in_features) in
                [(1, 1, 32), (1, 33, 64), (1, 70, 1056), (3, 65, 96), (16, 70, 352)]
            {
                let layout = PackedLayout::new(format, in_features).unwrap();
                let mut words = vec![0; out_features * layout.row_words()];
                layout.pack(&wave(out_features * in_features), &mut words);
                let x = tensor(wave(rows * in_features), Shape::new([rows, in_features]));
                let actual = super::linear_packed(&x, PackedRows::new(&words, layout)).expect("few");
                let weight = tensor(layout.unpack(&words), Shape::new([out_features, in_features]));
                let expected = linear::composed::<Flex>(x, weight, None);
                assert_eq!(actual.shape(), expected.shape());
                for (a, b) in slice(&actual).iter().zip(slice(&expected)) {
                    assert!((a - b).abs() <= 1e-5 * in_features as f32, "{format:?}: {a} and {b}");
                }
            }
        }
    }
}
