//! One layer's launches, and the buffers that all layers share.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    decode_add as add_wgsl, decode_attend as attend_wgsl, decode_attend_alone as attend_alone_wgsl,
    decode_combine as combine_wgsl, decode_in as in_wgsl, decode_out as out_wgsl, decode_swiglu as swiglu_wgsl,
};

use super::stack::{DecodeLayer, DecodeStack, LowRank, Router};
use super::{DecodeWorker, GATED_KERNELS, Kernels4, PackedCube, cube, filled, in_kernels, scratch};
use crate::ops::launch::{launch, output, per_element};

/// Keys of a split: enough work for a workgroup, and enough workgroups to fill a device.
const SPLIT: usize = 64;
/// Keys of a split of one thread: each computes the query anew.
const THREAD_SPLIT: usize = 1024;
/// Beyond this many splits they grow instead.
const MAX_SPLITS: usize = 32;

/// The kernels of `decode_out`.
fn out_kernels(worker: DecodeWorker) -> Kernels4 {
    use out_wgsl::{ALONE, PLAIN, W_F16, W_F16_ALONE, W_Q4, W_Q4_ALONE, W_Q8, W_Q8_ALONE};
    worker.pick([&PLAIN, &W_F16, &W_Q8, &W_Q4], [&ALONE, &W_F16_ALONE, &W_Q8_ALONE, &W_Q4_ALONE])
}

const MODE_ADD: u32 = 0;
const MODE_DOWN: u32 = 1;

/// What a step writes, the same buffers in every layer.
pub(super) struct Buffers {
    /// The residual stream.
    pub x: CubeTensor,
    /// The residual stream behind the attention.
    middle: CubeTensor,
    qkv: CubeTensor,
    partial: CubeTensor,
    /// What the threads of `decode_attend_alone` keep to themselves.
    attend: CubeTensor,
    attended: CubeTensor,
    gate_up: CubeTensor,
    u: CubeTensor,
    down: CubeTensor,
    pub logits: CubeTensor,
    pub token: CubeTensor,
    pub position: CubeTensor,
    /// `[layers, routing_stride]`: probabilities, expert, factor.
    pub routing: CubeTensor,
    pub routing_stride: usize,
    pub experts: Option<usize>,
    /// Stand where a kernel binds what it will not read. A browser refuses to bind one buffer twice.
    pub none: [CubeTensor; 4],
    splits: u32,
    /// Who computes products on this device.
    pub worker: DecodeWorker,
}

impl Buffers {
    pub fn new(like: &CubeTensor, stack: &DecodeStack, position: usize, worker: DecodeWorker) -> Self {
        let rank = |pair: &Option<LowRank>| pair.as_ref().map_or(0, whole_rank);
        let most = |of: &dyn Fn(&DecodeLayer) -> u32| stack.layers.iter().map(of).max().unwrap_or(0);
        let (heads, head_dim) = (stack.heads as u32, stack.head_dim as u32);
        let d_model = stack.norm.dims()[0] as u32;
        let context = stack.context();
        let splits = context.div_ceil(worker.pick(SPLIT, THREAD_SPLIT)).min(MAX_SPLITS);
        // What `decode_attend_alone` says of its scratch memory, in quads.
        let (split_quads, splits) = (context.div_ceil(splits).div_ceil(4) as u32, splits as u32);
        let attend_quads = heads * (splits * (head_dim / 4 + split_quads) + 2 * (head_dim / 4));
        // A layer's part must begin where a binding may: every 256 bytes.
        let routing_stride = (stack.experts().unwrap_or(1) + 2).next_multiple_of(64);
        // With one expert nobody decides: its probability and factor are 1.
        let mut only = vec![0.0; routing_stride];
        (only[0], only[2]) = (1.0, 1.0);
        let i32s = |value: i32| {
            let buffer = like.client.create_from_slice(bytemuck::bytes_of(&value));
            CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), [1].into(), buffer, DType::I32)
        };
        Self {
            x: scratch(like, d_model),
            middle: scratch(like, d_model),
            qkv: scratch(like, most(&|layer| layer.qkv.dims()[0] as u32 + 3 * qkv_rank(layer))),
            partial: scratch(like, heads * splits * (head_dim + 1)),
            attend: scratch(like, worker.pick(0, 4 * attend_quads)),
            attended: scratch(like, most(&|layer| heads * head_dim + rank(&layer.o_lora))),
            gate_up: scratch(
                like,
                most(&|layer| layer.gate_up.dims()[0] as u32 + rank(&layer.mlp_lora[0]) + rank(&layer.mlp_lora[1])),
            ),
            u: scratch(like, most(&|layer| layer.down_proj.dims()[1] as u32)),
            down: scratch(like, d_model + most(&|layer| rank(&layer.mlp_lora[2]))),
            logits: scratch(like, stack.output.dims()[0] as u32),
            token: output(like, [1], DType::I32),
            // A step begins by moving on.
            position: i32s(position as i32 - 1),
            routing: filled(like, &only.repeat(stack.layers.len())),
            routing_stride,
            experts: stack.experts(),
            none: [(); 4].map(|()| filled(like, &[0.0; 4])),
            splits,
            worker,
        }
    }

    /// The routing of one layer.
    pub fn routing_of(&self, layer: usize) -> CubeTensor {
        let whole = &self.routing;
        let bytes = (4 * self.routing_stride) as u64;
        let behind = whole.shape().num_elements() as u64 * 4 - (layer as u64 + 1) * bytes;
        let handle = whole.handle.clone().offset_start(layer as u64 * bytes).offset_end(behind);
        let shape = [self.routing_stride].into();
        CubeTensor::new_contiguous(whole.client.clone(), whole.device.clone(), shape, handle, DType::F32)
    }
}

/// An adapter's rank in whole quads, as the kernels read it.
fn whole_rank(pair: &LowRank) -> u32 {
    (pair.a.dims()[1] as u32).next_multiple_of(4)
}

/// The largest rank of a layer's adapters on queries, keys and values: all three get room for it.
fn qkv_rank(layer: &DecodeLayer) -> u32 {
    layer.qkv_lora.iter().flatten().map(whole_rank).max().unwrap_or(0)
}

/// `tensor` with zeros behind it along `dim`, so that it is `size` there.
fn padded<const D: usize>(tensor: Tensor<D>, dim: usize, size: u32) -> Tensor<D> {
    let mut shape = tensor.dims();
    shape[dim] = size as usize - shape[dim];
    if shape[dim] == 0 {
        return tensor;
    }
    let zeros = Tensor::zeros(shape, &tensor.device());
    Tensor::cat(vec![tensor, zeros], dim)
}

/// Both halves of an adapter or of all experts.
struct Pair {
    a: CubeTensor,
    b: CubeTensor,
    rank: u32,
    scale: f32,
}

impl Pair {
    fn of(pair: &LowRank) -> Option<Self> {
        let rank = whole_rank(pair);
        let (a, b) = (padded(pair.a.clone(), 1, rank), padded(pair.b.clone(), 2, rank));
        Some(Self { a: cube(&a)?, b: cube(&b)?, rank, scale: pair.scale })
    }

    fn optional(pair: &Option<LowRank>) -> Option<Option<Self>> {
        pair.as_ref().map(Self::of).map_or(Some(None), |pair| pair.map(Some))
    }
}

/// A layer as its kernels bind it.
pub(super) struct Layer {
    input_norm: CubeTensor,
    qkv: PackedCube,
    /// The three adapters in one.
    qkv_lora: Option<Pair>,
    keys: CubeTensor,
    values: CubeTensor,
    table: CubeTensor,
    o_proj: PackedCube,
    o_lora: Option<Pair>,
    mlp_norm: CubeTensor,
    gate_up: PackedCube,
    down_proj: PackedCube,
    mlp_lora: [Option<Pair>; 3],
    /// Weights and biases in one.
    router: Option<CubeTensor>,
    gated: bool,
    experts: u32,
    eps: f32,
    attention: attend_wgsl::Params,
}

impl Layer {
    /// `None` where something is not on a GPU.
    pub fn of(layer: &DecodeLayer, stack: &DecodeStack) -> Option<Self> {
        let [gate, up, down] = &layer.mlp_lora;
        let rank = qkv_rank(layer);
        let router = match &layer.router {
            Some(router) => Some(router_buffer(router)?),
            None => None,
        };
        Some(Self {
            input_norm: cube(&layer.input_norm)?,
            qkv: PackedCube::of(&layer.qkv)?,
            qkv_lora: if rank == 0 { None } else { Some(joined(layer, stack, rank)?) },
            keys: cube(&layer.keys)?,
            values: cube(&layer.values)?,
            table: cube(&stack.rotary)?,
            o_proj: PackedCube::of(&layer.o_proj)?,
            o_lora: Pair::optional(&layer.o_lora)?,
            mlp_norm: cube(&layer.mlp_norm)?,
            gate_up: PackedCube::of(&layer.gate_up)?,
            down_proj: PackedCube::of(&layer.down_proj)?,
            mlp_lora: [Pair::optional(gate)?, Pair::optional(up)?, Pair::optional(down)?],
            router,
            gated: layer.router.as_ref().is_some_and(|router| router.gated),
            experts: layer.router.as_ref().map_or(1, |router| router.bias.dims()[0] as u32),
            eps: stack.eps,
            attention: attend_wgsl::Params {
                heads: stack.heads as u32,
                kv_heads: stack.kv_heads as u32,
                head_dim: stack.head_dim as u32,
                context: stack.context() as u32,
                rank,
                splits: 0,
                scale: 1.0 / (stack.head_dim as f32).sqrt(),
            },
        })
    }

    /// Whether attention leaves nothing to join: one split, and no adapter that reads it.
    fn is_alone(&self, buffers: &Buffers) -> bool {
        buffers.splits == 1 && self.o_lora.is_none()
    }

    /// Kernels of the layer.
    pub fn launches(&self, buffers: &Buffers) -> u64 {
        let gated = u64::from(self.is_gated(buffers.worker));
        6 - gated + u64::from(!self.is_alone(buffers)) + u64::from(self.mlp_lora[2].is_some())
    }

    /// Whether gate and up end in the MLP's gate themselves: by a workgroup, whose eight rows are four of each, and where no
    /// adapter's wide half comes between.
    fn is_gated(&self, worker: DecodeWorker) -> bool {
        worker == DecodeWorker::Workgroup && self.mlp_lora[0].is_none() && self.mlp_lora[1].is_none()
    }

    /// All of the layer, from `buffers.x` to `buffers.x`.
    pub fn launch(&self, buffers: &Buffers, routing: &CubeTensor) {
        self.attend(buffers);
        self.mlp(buffers, routing);
    }

    fn attend(&self, buffers: &Buffers) {
        let Buffers { x, middle, qkv, partial, attend, attended, none, position, worker, .. } = buffers;
        let [none, none_2, none_3, none_4] = none;
        let params = in_wgsl::Params {
            d_model: self.qkv.columns,
            rows: self.qkv.rows,
            rank_1: 3 * self.attention.rank,
            rank_2: 0,
            experts: 1,
            gated: 0,
            eps: self.eps,
        };
        let lora = self.qkv_lora.as_ref();
        let a = lora.map_or(none, |lora| &lora.a);
        let bindings = [x, &self.input_norm, &self.qkv.buffer, a, none_2, none_3, qkv, none_4];
        let workgroups = worker.workgroups(params.rows, params.rank_1);
        launch(self.qkv.variant(in_kernels(*worker)), &bindings, params.words(), workgroups);

        let params = attend_wgsl::Params { splits: buffers.splits, ..self.attention };
        let b = lora.map_or(none, |lora| &lora.b);
        match worker {
            DecodeWorker::Workgroup => {
                let bindings = [qkv, b, &self.keys, &self.values, &self.table, position, partial];
                launch(&attend_wgsl::PLAIN, &bindings, params.words(), params.heads * params.splits);
            }
            DecodeWorker::Thread => {
                // Field by field: where the two kernels want something else, this does not compile.
                let attend_wgsl::Params { heads, kv_heads, head_dim, context, rank, splits, scale } = params;
                let params =
                    attend_alone_wgsl::Params { heads, kv_heads, head_dim, context, rank, splits, scale }.words();
                let kernel = &attend_alone_wgsl::PLAIN;
                let bindings = [qkv, b, &self.keys, &self.values, &self.table, position, partial, attend];
                launch(kernel, &bindings, params, (heads * splits).div_ceil(kernel.workgroup_size[0]));
            }
        }

        let lora = self.o_lora.as_ref();
        let rank = lora.map_or(0, |lora| lora.rank);
        let alone = self.is_alone(buffers);
        if !alone {
            let params = combine_wgsl::Params {
                heads: self.attention.heads,
                splits: buffers.splits,
                head_dim: self.attention.head_dim,
                rank,
            };
            let bindings = [partial, lora.map_or(none, |lora| &lora.a), attended];
            let kernel = worker.pick(&combine_wgsl::PLAIN, &combine_wgsl::ALONE);
            let elements = per_element((params.heads * params.head_dim / 4) as usize);
            let fours = rank / 4;
            launch(kernel, &bindings, params.words(), elements + worker.pick(fours, fours.div_ceil(64)));
        }

        let params = out_wgsl::Params {
            in_features: self.o_proj.columns,
            rows: self.o_proj.rows,
            rank,
            experts: 1,
            mode: MODE_ADD,
            scale: lora.map_or(0.0, |lora| lora.scale),
        };
        let z = if alone { partial } else { attended };
        let bindings = [z, &self.o_proj.buffer, x, lora.map_or(none, |lora| &lora.b), none_2, middle];
        let workgroups = worker.workgroups(params.rows, 0);
        launch(self.o_proj.variant(out_kernels(*worker)), &bindings, params.words(), workgroups);
    }

    fn mlp(&self, buffers: &Buffers, routing: &CubeTensor) {
        let Buffers { x, middle, gate_up, u, down, none, worker, .. } = buffers;
        let [none, none_2, none_3, _] = none;
        let [gate, up, down_lora] = self.mlp_lora.each_ref().map(Option::as_ref);
        let rank = |pair: Option<&Pair>| pair.map_or(0, |pair| pair.rank);
        let scale = |pair: Option<&Pair>| pair.map_or(0.0, |pair| pair.scale);
        let experts = self.experts;
        let params = in_wgsl::Params {
            d_model: self.gate_up.columns,
            rows: self.gate_up.rows,
            rank_1: rank(gate),
            rank_2: rank(up),
            experts,
            gated: u32::from(self.gated),
            eps: self.eps,
        };
        let (gate_a, up_a) = (gate.map_or(none, |pair| &pair.a), up.map_or(none_2, |pair| &pair.a));
        let router = self.router.as_ref().unwrap_or(none_3);
        let gated = self.is_gated(*worker);
        let bindings = [
            middle,
            &self.mlp_norm,
            &self.gate_up.buffer,
            gate_a,
            up_a,
            router,
            if gated { u } else { gate_up },
            routing,
        ];
        let kernels = if gated { GATED_KERNELS } else { in_kernels(*worker) };
        let workgroups = worker.workgroups(params.rows, params.rank_1 + params.rank_2);
        launch(self.gate_up.variant(kernels), &bindings, params.words(), workgroups);

        let width = self.down_proj.columns;
        if !gated {
            let (scale_1, scale_2) = (scale(gate), scale(up));
            let params =
                swiglu_wgsl::Params { width, rank_1: rank(gate), rank_2: rank(up), experts, scale_1, scale_2 }.words();
            let (gate_b, up_b) = (gate.map_or(none, |pair| &pair.b), up.map_or(none_2, |pair| &pair.b));
            launch(&swiglu_wgsl::PLAIN, &[gate_up, gate_b, up_b, routing, u], params, per_element(width as usize));
        }

        let params = out_wgsl::Params {
            in_features: width,
            rows: self.down_proj.rows,
            rank: rank(down_lora),
            experts,
            mode: MODE_DOWN,
            scale: 0.0,
        };
        let a = down_lora.map_or(none, |pair| &pair.a);
        let y = if down_lora.is_some() { down } else { x };
        let workgroups = worker.workgroups(params.rows, params.rank);
        let bindings = [u, &self.down_proj.buffer, middle, a, routing, y];
        launch(self.down_proj.variant(out_kernels(*worker)), &bindings, params.words(), workgroups);

        if let Some(pair) = down_lora {
            let params = add_wgsl::Params { rows: self.down_proj.rows, rank: pair.rank, experts, scale: pair.scale };
            let workgroups = per_element(params.rows as usize);
            launch(&add_wgsl::PLAIN, &[down, &pair.b, routing, x], params.words(), workgroups);
        }
    }
}

/// The adapters on queries, keys and values as one: `[3 rank, d_model]`, and `[rows, rank]` times their scales, zeros where
/// there is none.
fn joined(layer: &DecodeLayer, stack: &DecodeStack, rank: u32) -> Option<Pair> {
    let d_model = layer.qkv.dims()[1];
    let device = layer.input_norm.device();
    let rows = [stack.heads, stack.kv_heads, stack.kv_heads].map(|heads| heads * stack.head_dim);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (pair, rows) in layer.qkv_lora.iter().zip(rows) {
        match pair {
            Some(pair) => {
                a.push(padded::<2>(pair.a.clone().squeeze_dim(0), 0, rank));
                b.push(padded::<2>(pair.b.clone().squeeze_dim(0) * pair.scale, 1, rank));
            }
            None => {
                a.push(Tensor::zeros([rank as usize, d_model], &device));
                b.push(Tensor::zeros([rows, rank as usize], &device));
            }
        }
    }
    Some(Pair { a: cube(&Tensor::cat(a, 0))?, b: cube(&Tensor::cat(b, 0))?, rank, scale: 1.0 })
}

/// `[experts, d_model]`, then the biases, padded to quads.
fn router_buffer(router: &Router) -> Option<CubeTensor> {
    let [experts] = router.bias.dims();
    let padding = Tensor::zeros([experts.next_multiple_of(4) - experts], &router.bias.device());
    let mut parts = vec![router.weight.clone().flatten(0, 1), router.bias.clone()];
    if !experts.is_multiple_of(4) {
        parts.push(padding);
    }
    cube(&Tensor::cat(parts, 0))
}
