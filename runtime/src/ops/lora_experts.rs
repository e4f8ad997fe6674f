//! A mixture of low-rank adapters: each token's product with its own expert's A and B (arXiv 2401.16160).
//!
//! Tokens are sorted by expert, so that an expert's tokens are one product; a tile of tokens finds its expert from the
//! sorted order's offsets. Nothing is read back and no float is added atomically.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape, Slice, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{lora_backward_gate as gate_wgsl, lora_vec as vec_wgsl};

use super::expert_group::{ExpertGroups, HostGroups};
use super::launch::{contiguous, launch, output, per_element};
use super::low_rank::{Groups, LowRank, sizes};
use super::tape::record;
use super::{MoleOps, host};

/// `y_t = base_t + scale g_t (x_t A_e^T) B_e^T`, e the expert of token t.
///
/// `base: [T, out]`, `x: [T, in]`, `a: [E, rank, in]`, `b: [E, out, rank]`, `gate: [T]`; returns `[T, out]`.
pub fn lora_experts(
    base: Tensor<2>,
    x: Tensor<2>,
    a: &Tensor<3>,
    b: &Tensor<3>,
    gate: &Tensor<1>,
    groups: &ExpertGroups,
    scale: f32,
) -> Tensor<2> {
    let (base, x) = (base.into_dispatch(), x.into_dispatch());
    let (a, b) = (a.clone().into_dispatch(), b.clone().into_dispatch());
    let (gate, index) = (gate.clone().into_dispatch(), groups.index.clone().into_dispatch());
    Tensor::from_dispatch(match &groups.sorted {
        Some(sorted) => {
            let offsets = sorted.offsets.clone().into_dispatch();
            let permutation = sorted.permutation.clone().into_dispatch();
            <Dispatch as MoleOps>::lora_experts(base, x, a, b, gate, offsets, permutation, scale)
        }
        None => <Dispatch as MoleOps>::lora_experts_few(base, x, a, b, gate, index, scale),
    })
}

/// Expert `e` of `[E, rows, columns]`, as `[rows, columns]`.
fn expert<B: Backend>(weights: &FloatTensor<B>, e: usize) -> FloatTensor<B> {
    let [_, rows, columns] = weights.shape().dims();
    B::float_reshape(B::float_slice(weights.clone(), &[between(e, e + 1)]), Shape::new([rows, columns]))
}

fn between(from: usize, to: usize) -> Slice {
    Slice::new(from as isize, Some(to as isize), 1)
}

pub(super) fn composed<B: Backend>(
    base: FloatTensor<B>,
    x: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    gate: FloatTensor<B>,
    groups: &HostGroups,
    scale: f32,
) -> FloatTensor<B> {
    let [tokens, _] = x.shape().dims();
    let order = groups.permutation::<B>(&x);
    let x = B::float_select(x, 0, order.clone());
    let gate = B::float_reshape(B::float_select(gate, 0, order), Shape::new([tokens, 1]));
    let parts = groups
        .experts()
        .map(|(e, rows)| {
            let rows = [between(rows.start, rows.end)];
            let h = B::float_matmul(B::float_slice(x.clone(), &rows), B::float_transpose(expert::<B>(&a, e)));
            let h = B::float_mul(h, B::float_slice(gate.clone(), &rows));
            B::float_matmul(h, B::float_transpose(expert::<B>(&b, e)))
        })
        .collect();
    let sorted = B::float_mul_scalar(B::float_cat(parts, 0), scale.into());
    B::float_add(base, B::float_select(sorted, 0, groups.inverse::<B>(&gate)))
}

/// The gradients of x, A, B and the gate; that of the base is dy itself. With `h = A_e x`, `dh = B_e^T dy`:
/// `dx = scale g A_e^T dh`, `dA_e = scale sum g dh x^T`, `dB_e = scale sum g dy h^T`, `dg = scale <dh, h>`.
pub(super) fn composed_backward<B: Backend>(
    dy: FloatTensor<B>,
    x: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    gate: FloatTensor<B>,
    groups: &HostGroups,
    scale: f32,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [tokens, in_features] = x.shape().dims();
    let ([experts, rank, _], [_, out_features, _]) = (a.shape().dims::<3>(), b.shape().dims::<3>());
    let device = x.device();
    let order = groups.permutation::<B>(&x);
    let (dy, x) = (B::float_select(dy, 0, order.clone()), B::float_select(x, 0, order.clone()));
    let factor = B::float_mul_scalar(B::float_select(gate, 0, order), scale.into());
    let factor = B::float_reshape(factor, Shape::new([tokens, 1]));
    let (mut dx, mut dgate) = (Vec::new(), Vec::new());
    let idle = |rows, columns| B::float_zeros(Shape::new([1, rows, columns]), &device, FloatDType::F32);
    let mut da: Vec<_> = (0..experts).map(|_| idle(rank, in_features)).collect();
    let mut db: Vec<_> = (0..experts).map(|_| idle(out_features, rank)).collect();
    for (e, rows) in groups.experts() {
        let rows = [between(rows.start, rows.end)];
        let cut = |tensor: &FloatTensor<B>| B::float_slice(tensor.clone(), &rows);
        let (dy, x, factor) = (cut(&dy), cut(&x), cut(&factor));
        let (a, b) = (expert::<B>(&a, e), expert::<B>(&b, e));
        let h = B::float_matmul(x.clone(), B::float_transpose(a.clone()));
        let dh = B::float_matmul(dy.clone(), b);
        dgate.push(B::float_mul_scalar(B::float_sum_dim(B::float_mul(dh.clone(), h.clone()), 1), scale.into()));
        let (h, dh) = (B::float_mul(h, factor.clone()), B::float_mul(dh, factor));
        let one = |product, rows, columns| B::float_reshape(product, Shape::new([1, rows, columns]));
        da[e] = one(B::float_matmul(B::float_transpose(dh.clone()), x), rank, in_features);
        db[e] = one(B::float_matmul(B::float_transpose(dy), h), out_features, rank);
        dx.push(B::float_matmul(dh, a));
    }
    let back = groups.inverse::<B>(&factor);
    let dx = B::float_select(B::float_cat(dx, 0), 0, back.clone());
    let dgate = B::float_reshape(B::float_select(B::float_cat(dgate, 0), 0, back), Shape::new([tokens]));
    (dx, B::float_cat(da, 0), B::float_cat(db, 0), dgate)
}

#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(super) fn tracked<B: MoleOps, C: CheckpointStrategy>(
    base: FloatTensor<Autodiff<B, C>>,
    x: FloatTensor<Autodiff<B, C>>,
    a: FloatTensor<Autodiff<B, C>>,
    b: FloatTensor<Autodiff<B, C>>,
    gate: FloatTensor<Autodiff<B, C>>,
    offsets: IntTensor<B>,
    permutation: IntTensor<B>,
    scale: f32,
) -> FloatTensor<Autodiff<B, C>> {
    let ((base, base_node), (x, x_node), (gate, gate_node)) = (base.into_parts(), x.into_parts(), gate.into_parts());
    let ((a, a_node), (b, b_node)) = (a.into_parts(), b.into_parts());
    let saved = (x.clone(), a.clone(), b.clone(), gate.clone(), offsets.clone(), permutation.clone(), scale);
    let y = B::lora_experts(base, x, a, b, gate, offsets, permutation, scale);
    let nodes = [base_node, x_node, a_node, b_node, gate_node];
    record::<B, C, _, 5>(nodes, y, saved, |saved, dy, [.., gate_wanted]| {
        let (x, a, b, gate, offsets, permutation, scale) = saved;
        let (dx, da, db, dgate) =
            B::lora_experts_backward(dy.clone(), x, a, b, gate, offsets, permutation, scale, gate_wanted);
        [Some(dy), Some(dx), Some(da), Some(db), dgate]
    })
}

#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(super) fn kernel(
    base: CubeTensor,
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    gate: CubeTensor,
    offsets: CubeTensor,
    permutation: CubeTensor,
    scale: f32,
) -> CubeTensor {
    let (base, x, a, b, gate) = (contiguous(base), contiguous(x), contiguous(a), contiguous(b), contiguous(gate));
    let groups = Groups { gate: &gate, offsets: &offsets, permutation: &permutation };
    let product = sizes(&x, &a, &b, scale, Some(groups));
    let h = product.down(&x, &a);
    product.up(&h, &b, &base)
}

/// For so few tokens that sorting them would cost more than it saves.
pub(super) fn kernel_few(
    base: CubeTensor,
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    gate: CubeTensor,
    index: CubeTensor,
    scale: f32,
) -> CubeTensor {
    let (base, x, a, b, gate) = (contiguous(base), contiguous(x), contiguous(a), contiguous(b), contiguous(gate));
    // Who goes where is in the index.
    let groups = Groups { gate: &gate, offsets: &index, permutation: &index };
    let LowRank { tokens, rank, in_features, out_features, experts, .. } = sizes(&x, &a, &b, scale, Some(groups));
    let h = output(&x, [tokens as usize, rank as usize], DType::F32);
    let down = vec_wgsl::Params { tokens, in_features, out_features: rank, experts, scale }.words();
    launch(&vec_wgsl::GROUPED, &[&x, &a, &h, &index], down, tokens * rank.div_ceil(4));
    let y = output(&base, [tokens as usize, out_features as usize], DType::F32);
    let up = vec_wgsl::Params { tokens, in_features: rank, out_features, experts, scale }.words();
    launch(&vec_wgsl::GROUPED_ADD, &[&h, &b, &y, &index, &gate, &base], up, tokens * out_features.div_ceil(4));
    y
}

#[expect(clippy::too_many_arguments, reason = "an operation names all its inputs")]
pub(super) fn kernel_backward(
    dy: CubeTensor,
    x: CubeTensor,
    a: CubeTensor,
    b: CubeTensor,
    gate: CubeTensor,
    offsets: CubeTensor,
    permutation: CubeTensor,
    scale: f32,
    gate_wanted: bool,
) -> (CubeTensor, CubeTensor, CubeTensor, Option<CubeTensor>) {
    let (dy, x, a, b, gate) = (contiguous(dy), contiguous(x), contiguous(a), contiguous(b), contiguous(gate));
    let groups = Groups { gate: &gate, offsets: &offsets, permutation: &permutation };
    let product = sizes(&x, &a, &b, scale, Some(groups));
    let (h, dh) = (product.down(&x, &a), product.down_backward(&dy, &b));
    let dx = product.up_backward(&dh, &a);
    let (da, db) = (product.gradient_of_a(&dh, &x), product.gradient_of_b(&dy, &h));
    let LowRank { tokens, rank, .. } = product;
    if !gate_wanted {
        return (dx, da, db, None);
    }
    let dgate = output(&gate, [tokens as usize], DType::F32);
    let params = gate_wgsl::Params { tokens, rank, scale }.words();
    launch(&gate_wgsl::PLAIN, &[&dh, &h, &dgate], params, per_element(tokens as usize));
    (dx, da, db, Some(dgate))
}

/// The host's view of the groups, from the sorted order.
pub(super) fn host_groups<B: Backend>(offsets: IntTensor<B>, permutation: IntTensor<B>) -> HostGroups {
    HostGroups { offsets: host::ints::<B>(offsets), permutation: host::ints::<B>(permutation) }
}
