//! `W x^T` for many rows of x, in tiles that the CPU's registers hold: some rows of W against a panel of x, whose rows stand
//! side by side in vectors. Of the contracted dimension a part at a time, so that the panel comes from the core's own cache.

use pulp::{Simd, WithSimd};

use super::parts::parts;
use super::simd::ARCH;

/// Rows of W in half a tile. The compiler unrolls loops over so many, and not over all six, before it decides what is kept in
/// registers.
const HALF: usize = 3;

/// Rows of W in a tile.
const TILE_ROWS: usize = 2 * HALF;

/// Bytes of a line of the cache, or of several.
const LINE: usize = 64;

/// The sums of half a tile.
type Half<V, const VECTORS: usize> = [[V; VECTORS]; HALF];

/// Of the contracted dimension, at a time.
const DEPTH: usize = 512;

/// Rows of x, side by side: `[panel, depth, rows of the panel]`; rows that are missing are zeros.
pub(super) struct Panels {
    values: Vec<f32>,
    /// Where they begin: at a line of the cache, or every vector would be read from two.
    start: usize,
    len: usize,
    rows: usize,
    depth: usize,
    /// Rows of a panel but the last, which is as many whole vectors as it needs.
    panel_rows: usize,
}

impl Panels {
    /// Of `x: [rows, depth]`.
    pub fn new(x: &[f32], depth: usize) -> Self {
        /// Elements of each row that are brought over before those of the next.
        const TOGETHER: usize = 16;
        let rows = x.len() / depth;
        let [lanes, vectors] = ARCH.dispatch(Widest);
        let panel_rows = lanes * vectors;
        let len = rows.next_multiple_of(lanes) * depth;
        let mut values = vec![0.0; len + LINE / size_of::<f32>()];
        let start = values.as_ptr().align_offset(LINE);
        parts(&mut values[start..][..len], panel_rows * depth, |panel, into| {
            let width = into.len() / depth;
            let x = &x[panel * panel_rows * depth..];
            for (part, into) in into.chunks_mut(TOGETHER * width).enumerate() {
                for (row, x) in x.chunks_exact(depth).take(width).enumerate() {
                    let x = &x[part * TOGETHER..];
                    into.chunks_exact_mut(width).zip(x).for_each(|(into, &value)| into[row] = value);
                }
            }
        });
        Self { values, start, len, rows, depth, panel_rows }
    }

    /// Adds the products of `weight: [count, depth]` with all rows to `sums: [count, rows]`.
    ///
    /// # Panics
    /// If the two are not as many.
    pub fn add_products(&self, weight: &[f32], sums: &mut [f32]) {
        assert_eq!(weight.len() / self.depth, sums.len() / self.rows, "a row of sums for each of the weight");
        ARCH.dispatch(Products { panels: self, weight, sums });
    }
}

/// Lanes of a vector, and how many vectors are in a tile at most: registers hold their sums, and one row of x.
struct Widest;

impl WithSimd for Widest {
    type Output = [usize; 2];

    fn with_simd<S: Simd>(self, _: S) -> [usize; 2] {
        [S::F32_LANES, if S::REGISTER_COUNT >= 32 { 4 } else { 2 }]
    }
}

struct Products<'a> {
    panels: &'a Panels,
    weight: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Panels { rows, depth, panel_rows, .. } = self.panels;
        let values = &self.panels.values[self.panels.start..][..self.panels.len];
        for first in (0..*depth).step_by(DEPTH) {
            let some = first..(first + DEPTH).min(*depth);
            for (panel, x) in values.chunks(panel_rows * depth).enumerate() {
                let width = x.len() / depth;
                let x = S::as_simd_f32s(&x[some.start * width..some.end * width]).0;
                let tiles = self.weight.chunks(TILE_ROWS * depth).zip(self.sums.chunks_mut(TILE_ROWS * rows));
                for (weight, sums) in tiles {
                    let tile = Tile { weight, depth: *depth, first, sums, rows: *rows, from: panel * panel_rows };
                    match width / S::F32_LANES {
                        1 => tile.add::<S, 1>(simd, x),
                        2 => tile.add::<S, 2>(simd, x),
                        3 => tile.add::<S, 3>(simd, x),
                        _ => tile.add::<S, 4>(simd, x),
                    }
                }
            }
        }
    }
}

/// Some rows of the weight against a panel of x.
struct Tile<'a> {
    /// `[count, depth]`.
    weight: &'a [f32],
    depth: usize,
    /// The first of the contracted dimension.
    first: usize,
    /// `[count, rows]`.
    sums: &'a mut [f32],
    rows: usize,
    /// The panel's first row of x.
    from: usize,
}

impl Tile<'_> {
    #[inline(always)]
    fn add<S: Simd, const VECTORS: usize>(mut self, simd: S, x: &[S::f32s]) {
        let (x, _) = x.as_chunks::<VECTORS>();
        let (low_weight, high_weight) = (self.half_weight(0, x.len()), self.half_weight(HALF, x.len()));
        let mut low: Half<S::f32s, VECTORS> = [[simd.splat_f32s(0.0); VECTORS]; HALF];
        let mut high: Half<S::f32s, VECTORS> = [[simd.splat_f32s(0.0); VECTORS]; HALF];
        for (k, x) in x.iter().enumerate() {
            multiply(simd, &mut low, low_weight, k, x);
            multiply(simd, &mut high, high_weight, k, x);
        }
        self.store(simd, 0, low);
        self.store(simd, HALF, high);
    }

    /// A row that is missing repeats the last: its sums are not stored.
    #[inline(always)]
    fn half_weight(&self, first: usize, len: usize) -> [&[f32]; HALF] {
        let count = self.weight.len() / self.depth;
        // By hand: `from_fn` would not be compiled for these vectors.
        let mut rows = [&[][..]; HALF];
        for (row, weight) in rows.iter_mut().enumerate() {
            *weight = &self.weight[(first + row).min(count - 1) * self.depth + self.first..][..len];
        }
        rows
    }

    #[inline(always)]
    fn store<S: Simd, const VECTORS: usize>(&mut self, simd: S, first: usize, half: Half<S::f32s, VECTORS>) {
        for (sums, half) in self.sums.chunks_exact_mut(self.rows).skip(first).zip(half) {
            for (some, more) in sums[self.from..].chunks_mut(S::F32_LANES).zip(half) {
                match S::as_mut_simd_f32s(some) {
                    ([sum], _) => *sum = simd.add_f32s(*sum, more),
                    (_, some) => simd.partial_store_f32s(some, simd.add_f32s(simd.partial_load_f32s(some), more)),
                }
            }
        }
    }
}

/// Adds the products of an element of each row with x.
#[inline(always)]
fn multiply<S: Simd, const VECTORS: usize>(
    simd: S,
    sums: &mut Half<S::f32s, VECTORS>,
    weights: [&[f32]; HALF],
    k: usize,
    x: &[S::f32s; VECTORS],
) {
    for row in 0..HALF {
        let weight = simd.splat_f32s(weights[row][k]);
        for vector in 0..VECTORS {
            sums[row][vector] = simd.mul_add_f32s(weight, x[vector], sums[row][vector]);
        }
    }
}
