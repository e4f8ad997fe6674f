//! Attention's kernels against its composed body, on sizes around the tiles', with outputs poisoned: those that take a
//! query or a key at a time, and those that take tiles.
//!
//! Which of them run is a choice of the process, so every test holds a lock while it chooses. Tolerances as in `kernels`
//! and `gradients`: sums of n products in another order differ by about sqrt(n) eps.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor};
use mole_runtime::device::ComputeDevice;
use mole_runtime::ops::{AttentionMask, Kernels, attention, with_composed_gradients};
use mole_tests::{Tolerance, difference, floats, gpu, ints, max_norm, values};

const SUM: Tolerance = Tolerance { absolute: 2e-5, relative: 1e-5 };
/// Of a gradient's largest element.
const GRADIENT: f32 = 2e-5;
const MASKS: [AttentionMask; 2] = [AttentionMask::Full, AttentionMask::Causal];

#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    position: i32,
    /// First key and one past the last, for each of the batch, or of packed tokens.
    ranges: Vec<i32>,
}

impl Case {
    /// Two sequences that see all keys.
    fn whole([queries, keys]: [usize; 2], [heads, kv_heads, head_dim]: [usize; 3], position: i32) -> Self {
        let ranges = vec![0, keys as i32, 0, keys as i32];
        Self { batch: 2, queries, keys, heads, kv_heads, head_dim, position, ranges }
    }

    /// q, k and v.
    fn inputs(&self, device: &Device) -> [Tensor<4>; 3] {
        let &Self { batch, queries, keys, heads, kv_heads, head_dim, .. } = self;
        [
            floats([batch, queries, heads, head_dim], 1, device),
            floats([batch, keys, kv_heads, head_dim], 2, device),
            floats([batch, keys, kv_heads, head_dim], 3, device),
        ]
    }

    fn attend(&self, [q, k, v]: [Tensor<4>; 3], mask: AttentionMask, device: &Device) -> Tensor<4> {
        let ranges = ints(&self.ranges, [self.ranges.len() / 2, 2], device);
        attention(q, &k, &v, &ranges, &ints(&[self.position], [1], device), mask)
    }

    fn forward(&self, mask: AttentionMask, device: &Device) -> Vec<f32> {
        values(self.attend(self.inputs(device), mask, device))
    }

    /// The gradients of q, k and v under a fixed random weighting of the output.
    fn gradients(&self, mask: AttentionMask, device: &Device) -> [Vec<f32>; 3] {
        let leaves = self.inputs(device).map(|input| input.autodiff().require_grad());
        let y = self.attend(leaves.clone(), mask, device);
        let weights = floats(y.dims(), 99, device);
        let gradients = (y * weights).sum().backward();
        leaves.map(|leaf| values(leaf.grad(&gradients).expect("every input has a gradient")))
    }
}

/// Runs `test` with the fast kernels and with the plain ones, one test at a time.
fn under_both(test: impl Fn(Kernels, &Device)) {
    static CHOICE: Mutex<()> = Mutex::new(());
    let _alone = CHOICE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(gpu) = gpu() else { return };
    for kernels in [Kernels::Fast, Kernels::Plain] {
        kernels.choose();
        test(kernels, &gpu);
    }
    Kernels::default().choose();
}

#[test]
fn forward() {
    // Tiles have 64 rows of 32 keys at widths up to 64, 32 of 64 up to 128; wider heads are cut.
    let heads = [[4, 1, 2], [2, 1, 10], [4, 2, 64], [3, 3, 72], [4, 1, 128], [2, 2, 130], [2, 2, 256]];
    let sizes = [
        ([1, 1], 0),
        ([1, 65], 64),
        ([3, 63], 5),
        ([7, 64], 57),
        ([15, 15], 0),
        ([16, 31], 3),
        ([17, 33], 16),
        ([32, 32], 0),
        ([63, 64], 1),
        ([64, 65], 0),
        ([65, 64], 0),
        ([66, 200], 40),
        // Queries that stand beyond the last key see all of them.
        ([33, 20], 30),
    ];
    under_both(|kernels, gpu| {
        for (heads, (size, position)) in heads.into_iter().flat_map(|heads| sizes.map(|size| (heads, size))) {
            let case = Case::whole(size, heads, position);
            for mask in MASKS {
                let (actual, expected) = (case.forward(mask, gpu), case.forward(mask, &ComputeDevice::cpu().burn));
                if let Some(difference) = difference(&actual, &expected, SUM) {
                    panic!("{kernels}, {case:?}, {mask:?}: {difference}");
                }
            }
        }
    });
}

/// Left-padded, right-padded, and a row without one key, which must come out as zeros.
fn padded(head_dim: usize) -> Case {
    let ranges = vec![20, 90, 0, 33, 40, 40];
    Case { batch: 3, queries: 70, keys: 90, heads: 4, kv_heads: 2, head_dim, position: 0, ranges }
}

#[test]
fn padding_on_either_side() {
    under_both(|kernels, gpu| {
        for (head_dim, mask) in [16, 72].into_iter().flat_map(|head_dim| MASKS.map(|mask| (head_dim, mask))) {
            let case = padded(head_dim);
            let y = case.forward(mask, gpu);
            if let Some(difference) = difference(&y, &case.forward(mask, &ComputeDevice::cpu().burn), SUM) {
                panic!("{kernels}, width {head_dim}, {mask:?}: {difference}");
            }
            let row = 70 * 4 * head_dim;
            assert!(y[2 * row..].iter().all(|&value| value == 0.0), "{kernels}, {mask:?}: a row without keys");
            // Causal and left-padded: the first 20 queries see nothing.
            let blind = mask == AttentionMask::Causal;
            assert_eq!(y[..20 * 4 * head_dim].iter().all(|&value| value == 0.0), blind, "{kernels}, {mask:?}");
        }
    });
}

fn check_gradients(what: &str, actual: &[Vec<f32>; 3], expected: &[Vec<f32>; 3]) {
    for ((name, actual), expected) in ["dq", "dk", "dv"].iter().zip(actual).zip(expected) {
        if expected.iter().all(|&value| value == 0.0) {
            // A softmax over one key has no slope at all.
            assert!(actual.iter().all(|value| value.abs() <= 1e-6), "{what}, {name}: {actual:?} instead of zeros");
            continue;
        }
        let error = max_norm(actual, expected);
        assert!(error <= GRADIENT, "{what}, {name}: off by {error:e} of the largest");
    }
}

#[test]
fn gradients() {
    let cases = [
        Case::whole([1, 1], [1, 1, 2], 0),
        Case::whole([5, 5], [4, 2, 6], 0),
        Case::whole([16, 16], [2, 1, 10], 0),
        Case::whole([17, 33], [4, 2, 64], 16),
        Case::whole([64, 64], [1, 1, 64], 0),
        Case::whole([65, 97], [3, 3, 72], 31),
        Case::whole([40, 130], [4, 2, 128], 90),
        Case::whole([18, 19], [2, 2, 200], 0),
        padded(16),
        padded(72),
    ];
    under_both(|kernels, gpu| {
        for (case, mask) in cases.iter().flat_map(|case| MASKS.map(|mask| (case, mask))) {
            let (actual, expected) = (case.gradients(mask, gpu), case.gradients(mask, &ComputeDevice::cpu().burn));
            check_gradients(&format!("{kernels}, {case:?}, {mask:?}"), &actual, &expected);
        }
    });
}

/// Sequences one behind the other in a batch of one.
fn packed(lengths: &[usize], [heads, kv_heads, head_dim]: [usize; 3]) -> Case {
    let (mut ranges, mut at) = (Vec::new(), 0);
    for &length in lengths {
        ranges.extend([at as i32, (at + length) as i32].repeat(length));
        at += length;
    }
    Case { batch: 1, queries: at, keys: at, heads, kv_heads, head_dim, position: 0, ranges }
}

#[test]
fn packed_sequences_are_each_by_itself() {
    let lengths: [&[usize]; 5] = [&[2], &[3, 1, 7], &[16, 15], &[40, 1, 64, 33, 20], &[130]];
    let heads = [[2, 1, 10], [4, 2, 64], [3, 3, 72]];
    let cpu = ComputeDevice::cpu().burn;
    under_both(|kernels, gpu| {
        for (lengths, heads) in lengths.into_iter().flat_map(|lengths| heads.map(|heads| (lengths, heads))) {
            let what = format!("{kernels}, {lengths:?}, {heads:?}");
            let case = packed(lengths, heads);
            let (mut at, mut parts) = (0, Vec::new());
            for &length in lengths {
                let alone = Case { batch: 1, ..Case::whole([length, length], heads, 0) };
                let alone = Case { ranges: vec![0, length as i32], ..alone };
                let inputs = case.inputs(&cpu).map(|input| input.narrow(1, at, length));
                parts.extend(values(alone.attend(inputs, AttentionMask::Causal, &cpu)));
                at += length;
            }
            for device in [gpu, &cpu] {
                let y = case.forward(AttentionMask::Packed, device);
                if let Some(difference) = difference(&y, &parts, SUM) {
                    panic!("{what}: {difference}");
                }
            }
            let (actual, expected) =
                (case.gradients(AttentionMask::Packed, gpu), case.gradients(AttentionMask::Packed, &cpu));
            check_gradients(&what, &actual, &expected);
            let composed = with_composed_gradients(|| case.gradients(AttentionMask::Packed, &cpu));
            check_gradients(&format!("{what}, composed"), &expected, &composed);
        }
    });
}

#[test]
fn the_same_twice() {
    under_both(|kernels, gpu| {
        let case = Case::whole([70, 130], [4, 2, 64], 60);
        for mask in MASKS {
            assert_eq!(case.forward(mask, gpu), case.forward(mask, gpu), "{kernels}, {mask:?}");
            assert_eq!(case.gradients(mask, gpu), case.gradients(mask, gpu), "{kernels}, {mask:?}");
        }
    });
}
