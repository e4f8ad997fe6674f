//! Products for many rows. A packed weight never stands in memory whole as f32: only as much as the cores' caches hold.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::packed_rows::PackedRows;
use super::parts::parts;
use super::tiles::Panels;
use super::{Floats, slice, tensor};

/// Values of a block of an unpacked weight: 4 MiB.
const BLOCK: usize = 1 << 20;

/// Rows of the weight that a core takes at a time: whole tiles.
const ROWS: usize = 48;

/// `x W^T`, as `(W x^T)^T`: gemm puts what stands on the left into its own order first, which is x then.
pub(super) fn linear(x: Floats, weight: Floats) -> Floats {
    let ([rows, _], [out_features, _]) = (x.shape().dims(), weight.shape().dims());
    let columns = Flex::float_matmul(weight, x.transpose(0, 1));
    transposed(slice(&columns), [out_features, rows])
}

/// The same with a packed weight, whose rows are unpacked by the core that multiplies them.
pub(super) fn linear_packed(x: &Floats, weight: PackedRows<'_>) -> Floats {
    let [rows, in_features] = x.shape().dims();
    let ordered = weight.planes().order(slice(&x.to_contiguous()));
    if cfg!(target_arch = "wasm32") {
        // The page is compiled for size, by which a tile does not come into registers; gemm is compiled for speed.
        return linear(tensor(ordered, x.shape()), unpacked(weight, in_features));
    }
    let panels = Panels::new(&ordered, in_features);
    let mut columns = vec![0.0; weight.len() * rows];
    parts(&mut columns, ROWS * rows, |part, sums| {
        let mut values = vec![0.0; sums.len() / rows * in_features];
        weight.from(part * ROWS).unpack(&mut values);
        panels.add_products(&values, sums);
    });
    transposed(&columns, [weight.len(), rows])
}

/// `dy W` with a packed weight.
pub(super) fn backward_input_packed(dy: &Floats, weight: PackedRows<'_>, in_features: usize) -> Floats {
    let [rows, _] = dy.shape().dims();
    let mut first = 0;
    let parts = blocks(weight, in_features).map(|block| {
        let columns = [Slice::new(0, None, 1), Slice::new(first as isize, Some((first + block.len()) as isize), 1)];
        first += block.len();
        Flex::float_matmul(Flex::float_slice(dy.clone(), &columns), unpacked(block, in_features))
    });
    let dx = parts.reduce(Flex::float_add).expect("a weight has rows").to_contiguous();
    tensor(weight.planes().restore(slice(&dx)), Shape::new([rows, in_features]))
}

fn blocks(weight: PackedRows<'_>, in_features: usize) -> impl Iterator<Item = PackedRows<'_>> {
    weight.blocks((BLOCK / in_features).max(1))
}

/// `[rows, in_features]`, in the order of the planes.
fn unpacked(weight: PackedRows<'_>, in_features: usize) -> Floats {
    let mut values = vec![0.0; weight.len() * in_features];
    weight.unpack(&mut values);
    tensor(values, Shape::new([weight.len(), in_features]))
}

/// `[columns, rows]` to `[rows, columns]`.
fn transposed(values: &[f32], [columns, rows]: [usize; 2]) -> Floats {
    /// Rows that are written side by side: what is read of a column is a line of the cache.
    const ROWS: usize = 16;
    let mut y = vec![0.0; values.len()];
    parts(&mut y, ROWS * columns, |part, into| {
        let first = part * ROWS;
        let count = into.len() / columns;
        for (column, values) in values.chunks_exact(rows).enumerate() {
            let values = &values[first..][..count];
            into.iter_mut().skip(column).step_by(columns).zip(values).for_each(|(y, value)| *y = *value);
        }
    });
    tensor(y, Shape::new([rows, columns]))
}

#[cfg(test)]
mod tests {
    use super::super::simd::dot;
    use super::super::tests::numbers;
    use super::*;
    use crate::ops::linear;
    use crate::packed::{PackedFormat, PackedLayout};

    /// Rows, output and input features: panels of one to four vectors and several panels, whole and broken tiles, parts and
    /// depths, and blocks of some rows and of one.
    const SIZES: [(usize, usize, usize); 7] = [
        (17, 5, 32),
        (33, 70, 352),
        (49, 6, 512),
        (64, 13, 96),
        (150, 50, 1056),
        (20, 2100, 1056),
        (3, 40, 32 * 33_000),
    ];

    /// Numbers whose sums of products over `contracted` are around 1.
    fn random(rows: usize, columns: usize, seed: u32, contracted: usize) -> Floats {
        let values = numbers(&[rows, columns], seed);
        Flex::float_mul_scalar(values, (1.0 / (contracted as f32).sqrt().sqrt() / 3f32.sqrt()).into())
    }

    /// Sums in another order differ by rounding, which grows with the root of how many are added.
    fn agree(actual: &Floats, expected: &Floats, contracted: usize, what: &str) {
        assert_eq!(actual.shape(), expected.shape(), "{what}");
        let expected = expected.to_contiguous();
        let expected = slice(&expected);
        let size = (dot(expected, expected) / expected.len() as f32).sqrt();
        assert!(size > 0.5, "{what}: the oracle is all but zero, {size}");
        let most = 4.0 * f32::EPSILON * (contracted as f32).sqrt();
        for (index, (a, b)) in slice(actual).iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= most, "{what}, {index}: {a} and {b}");
        }
    }

    #[test]
    fn products_are_those_of_the_composed_bodies() {
        for (rows, out_features, in_features) in SIZES {
            let what = format!("{rows} x {in_features} -> {out_features}");
            let x = random(rows, in_features, 1, in_features);
            let weight = random(out_features, in_features, 2, in_features);
            let expected = linear::composed::<Flex>(x.clone(), weight.clone(), None);
            agree(&super::linear(x.clone(), weight.clone()), &expected, in_features, &what);
            for format in [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4] {
                let what = format!("{what}, {format:?}");
                let layout = PackedLayout::new(format, in_features).expect("has a form");
                let mut words = vec![0; out_features * layout.row_words()];
                layout.pack(slice(&weight), &mut words);
                let packed = PackedRows::new(&words, layout);
                let weight = tensor(layout.unpack(&words), weight.shape());
                let expected = linear::composed::<Flex>(x.clone(), weight.clone(), None);
                agree(&linear_packed(&x, packed), &expected, in_features, &what);
                // The weight is as large as x wants it.
                let dy = random(rows, out_features, 3, out_features);
                let back = (in_features as f32 / out_features as f32).sqrt().sqrt();
                let dy = Flex::float_mul_scalar(dy, back.into());
                let expected = linear::composed_backward_input::<Flex>(dy.clone(), weight);
                agree(&backward_input_packed(&dy, packed, in_features), &expected, out_features, &what);
            }
        }
    }
}
