//! Decoding one token after the other on a GPU: the whole step, from the last token to the next, as a fixed sequence of
//! fused kernels over fixed buffers, captured once and replayed for every token.
//!
//! A layer takes at most eight launches, adapters and experts included:
//! 1. norm; queries, keys and values; the narrow halves of their adapters (`decode_in`)
//! 2. wide halves, rotary positions, the cache's new entry, attention over splits of the keys (`decode_attend`)
//! 3. the splits joined; the narrow half of the output's adapter (`decode_combine`)
//! 4. output projection, its wide half, residual (`decode_out`)
//! 5. norm; router; gate and up; the narrow halves of the routed expert (`decode_in`)
//! 6. wide halves, SwiGLU (`decode_swiglu`)
//! 7. down projection, residual; the narrow half of the routed expert (`decode_out`)
//! 8. its wide half (`decode_add`)
//!
//! 3 is left out where there is one split and no adapter on the output, 6 where a workgroup computes gate and up and no
//! adapter is on them, 8 where there is none on the down projection. The plain path, operation by operation, is the
//! oracle: both yield the same tokens.

mod layer;
mod read;
mod stack;

pub use read::TokenRead;
pub use stack::{DecodeLayer, DecodeStack, LowRank, Router};

use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use cubecl::client::Graph;
use mole_shaders::{decode_in as in_wgsl, embedding as embedding_wgsl};

use super::launch::{launch, output, per_element};
use super::sample::{self, SampleParams, SampleState};
use super::{Kernels, PackedFormat, PackedLayout, Weight};
use crate::device::{AdapterKind, device_traits, replayed};
use crate::error::{Error, Result};
use layer::{Buffers, Layer};
use read::RoutingLayout;

/// What a step yields.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedToken {
    /// The token, or [`super::NO_TOKEN`].
    pub token: i32,
    /// Where the token that was fed went, if the stack has a router: probabilities `[layers, experts]`, row major, and the
    /// experts `[layers]`.
    pub routing: Option<(Vec<f32>, Vec<i32>)>,
}

/// A decode step, ready to be run again and again. While it lives, nothing else may use the cache or the sampler's state.
pub struct Decoder {
    layers: Vec<Layer>,
    buffers: Buffers,
    embed: PackedCube,
    norm: CubeTensor,
    output: PackedCube,
    seen: CubeTensor,
    rng: CubeTensor,
    params: SampleParams,
    eps: f32,
    graph: Captured,
}

/// How far capturing is.
enum Captured {
    /// The first step runs launch by launch; it warms the kernels and the memory up.
    NotYet,
    /// Recorded.
    Graph(Graph),
    /// The device cannot.
    Never,
}

/// A weight's buffer and how to read it.
struct PackedCube {
    buffer: CubeTensor,
    layout: Option<PackedLayout>,
    rows: u32,
    columns: u32,
}

impl PackedCube {
    fn of(weight: &Weight) -> Option<Self> {
        let [rows, columns] = weight.dims().map(|dim| dim as u32);
        let (buffer, layout) = match weight {
            Weight::F32(weight) => (cube(weight)?, None),
            Weight::Packed(packed) => (cube_int(&packed.words)?, Some(packed.layout)),
        };
        Some(Self { buffer, layout, rows, columns })
    }

    /// The variant of a kernel for this weight, from those for f32, f16, q8 and q4.
    fn variant<T: Copy>(&self, [f32, f16, q8, q4]: [T; 4]) -> T {
        match self.layout.map(|layout| layout.format) {
            None => f32,
            Some(PackedFormat::F16) => f16,
            Some(PackedFormat::Q8) => q8,
            Some(PackedFormat::Q4) => q4,
        }
    }
}

fn cube<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    tensor.clone().try_into_primitive::<CubeBackend>().ok().map(super::launch::contiguous)
}

fn cube_int<const D: usize>(tensor: &Tensor<D, Int>) -> Option<CubeTensor> {
    tensor.clone().try_into_primitive::<CubeBackend>().ok().map(super::launch::contiguous)
}

/// Who computes some rows of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeWorker {
    /// A workgroup eight, whose threads read a row side by side.
    Workgroup,
    /// A thread four by itself.
    Thread,
}

impl DecodeWorker {
    /// Measured on llvmpipe (Mesa 22.3, the demo's shape in f16): a step takes 3 ms with a thread for four rows, and 14 ms
    /// with a workgroup, whose threads have to meet. On a GPU neighbouring threads must read neighbouring words: with a
    /// workgroup an H200 reads 4096 x 11008 in f16 at 3.5 TB/s, of 4.3 at best.
    fn on(device: &CubeDevice) -> Self {
        match device_traits(device).kind {
            AdapterKind::Software | AdapterKind::Cpu => Self::Thread,
            AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual => Self::Workgroup,
        }
    }

    /// Workgroups for rows of a weight, and for others of adapters.
    fn workgroups(self, rows: u32, adapter_rows: u32) -> u32 {
        match self {
            Self::Workgroup => rows.div_ceil(8) + adapter_rows.div_ceil(8),
            Self::Thread => (rows.div_ceil(4) + adapter_rows.div_ceil(8)).div_ceil(64),
        }
    }

    /// One of a kernel's two variants.
    fn pick<T>(self, workgroup: T, thread: T) -> T {
        match self {
            Self::Workgroup => workgroup,
            Self::Thread => thread,
        }
    }
}

type Kernels4 = [&'static mole_shaders::Kernel; 4];

/// The kernels of `decode_in` that end in the MLP's gate.
const GATED_KERNELS: Kernels4 = [&in_wgsl::GATED, &in_wgsl::W_F16_GATED, &in_wgsl::W_Q8_GATED, &in_wgsl::W_Q4_GATED];

/// The kernels of `decode_in`.
fn in_kernels(worker: DecodeWorker) -> Kernels4 {
    use in_wgsl::{ALONE, PLAIN, W_F16, W_F16_ALONE, W_Q4, W_Q4_ALONE, W_Q8, W_Q8_ALONE};
    worker.pick([&PLAIN, &W_F16, &W_Q8, &W_Q4], [&ALONE, &W_F16_ALONE, &W_Q8_ALONE, &W_Q4_ALONE])
}

impl Decoder {
    /// A decoder for `stack`, whose cache holds the positions before `position`, where the first token to feed will stand.
    ///
    /// `None` where the plain path has to do: on the CPU, with [`Kernels::Plain`], and for shapes the fused kernels do not
    /// take (see [`DecodeStack::fits`]).
    pub fn new(stack: &DecodeStack, position: usize, sampler: SampleState, params: SampleParams) -> Option<Self> {
        if Kernels::chosen() == Kernels::Plain || !stack.fits() {
            return None;
        }
        let worker = DecodeWorker::on(&cube(&stack.norm)?.device);
        Self::by(worker, stack, position, sampler, params)
    }

    /// As [`Decoder::new`], by one way to compute, whatever the device: every kernel must be right on each of them.
    pub fn by(
        worker: DecodeWorker,
        stack: &DecodeStack,
        position: usize,
        sampler: SampleState,
        params: SampleParams,
    ) -> Option<Self> {
        let norm = cube(&stack.norm)?;
        let layers = stack.layers.iter().map(|layer| Layer::of(layer, stack)).collect::<Option<Vec<_>>>()?;
        let buffers = Buffers::new(&norm, stack, position, worker);
        Some(Self {
            layers,
            buffers,
            embed: PackedCube::of(&stack.embed)?,
            norm,
            output: PackedCube::of(&stack.output)?,
            seen: cube_int(&sampler.seen)?,
            rng: cube_int(&sampler.rng)?,
            params,
            eps: stack.eps,
            graph: Captured::NotYet,
        })
    }

    /// Feeds `token: [1]` (i32) and draws the next.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn first(&mut self, token: &Tensor<1, Int>) -> Result<TokenRead> {
        let token = cube_int(token).ok_or_else(|| Error::Device("the token is not on the decoder's device".into()))?;
        let client = self.norm.client.clone();
        // Capturing starts before the warm-up run.
        let prepared = client.graph_prepare().is_ok();
        self.launch_all(&token);
        self.graph = Captured::Never;
        if prepared {
            if client.start_capture().is_ok() {
                self.launch_all(&self.buffers.token);
            }
            // Also where it was only prepared: the stream would stay held.
            match client.stop_capture() {
                Ok(graph) => self.graph = Captured::Graph(graph),
                Err(error) => log::warn!("decoding without a captured graph: {error:?}"),
            }
        }
        Ok(self.read())
    }

    /// Feeds the last token drawn and draws the next.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn step(&mut self) -> Result<TokenRead> {
        match &self.graph {
            Captured::Graph(graph) => {
                // SAFETY: every buffer the recorded launches bind is owned by `self` (weights, cache, sampler state and
                // scratch are kept as handles), so it is alive; launches, replays and reads go through clients of one
                // stream, and the caller lends the cache and the sampler's state for as long as `self` lives.
                unsafe { graph.replay() }
                    .map_err(|error| Error::Device(format!("a decode step failed: {error:?}; use --kernels plain")))?;
                replayed(self.launches());
            }
            _ => self.launch_all(&self.buffers.token),
        }
        Ok(self.read())
    }

    /// Whether steps are replayed from a captured graph.
    pub fn is_captured(&self) -> bool {
        matches!(self.graph, Captured::Graph(_))
    }

    /// Kernels of a step: beside the layers' the embedding, the output layer and the draw.
    fn launches(&self) -> u64 {
        3 + self.layers.iter().map(|layer| layer.launches(&self.buffers)).sum::<u64>()
    }

    /// The whole step, launch by launch.
    fn launch_all(&self, token: &CubeTensor) {
        let buffers = &self.buffers;
        let params = embedding_wgsl::Params { tokens: 1, vocab: self.embed.rows, d_model: self.embed.columns }.words();
        let embed = self.embed.variant([
            &embedding_wgsl::ADVANCE,
            &embedding_wgsl::W_F16_ADVANCE,
            &embedding_wgsl::W_Q8_ADVANCE,
            &embedding_wgsl::W_Q4_ADVANCE,
        ]);
        let bindings = [token, &self.embed.buffer, &buffers.x, &buffers.position];
        launch(embed, &bindings, params, per_element(self.embed.columns as usize));
        for (index, layer) in self.layers.iter().enumerate() {
            layer.launch(buffers, &buffers.routing_of(index));
        }
        let output = &self.output;
        let params = in_wgsl::Params {
            d_model: output.columns,
            rows: output.rows,
            rank_1: 0,
            rank_2: 0,
            experts: 1,
            gated: 0,
            eps: self.eps,
        };
        let [a_1, a_2, router, routing] = &buffers.none;
        let bindings = [&buffers.x, &self.norm, &output.buffer, a_1, a_2, router, &buffers.logits, routing];
        let workgroups = buffers.worker.workgroups(output.rows, 0);
        launch(output.variant(in_kernels(buffers.worker)), &bindings, params.words(), workgroups);
        sample::launch_into(&buffers.logits, &self.seen, &self.rng, &buffers.token, self.params);
    }

    fn read(&self) -> TokenRead {
        let buffers = &self.buffers;
        let layout = |experts| RoutingLayout { layers: self.layers.len(), stride: buffers.routing_stride, experts };
        let routing = buffers.experts.map(|experts| (buffers.routing.handle.clone(), layout(experts)));
        TokenRead::begin(self.norm.client.clone(), buffers.token.handle.clone(), routing)
    }
}

/// A buffer beside `like` with these f32 values.
fn filled(like: &CubeTensor, values: &[f32]) -> CubeTensor {
    let buffer = like.client.create_from_slice(bytemuck::cast_slice(values));
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), [values.len()].into(), buffer, DType::F32)
}

/// An uninitialised buffer of `len` f32.
fn scratch(like: &CubeTensor, len: u32) -> CubeTensor {
    output(like, [len.max(4) as usize], DType::F32)
}
