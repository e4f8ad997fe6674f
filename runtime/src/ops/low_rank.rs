//! The launches behind [`super::lora()`] and [`super::lora_experts()`]: the two halves of a low-rank product and their
//! gradients, for one pair or for experts.
//!
//! Fast kernels want features and rank in fours; others, and `--kernels plain`, are served by tiles of 32 x 32.

use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use mole_shaders::{
    Kernel, lora_backward_input as input_plain, lora_backward_weight as weight_plain, lora_down as down_plain,
    lora_narrow as narrow_wgsl, lora_outer as outer_wgsl, lora_up as up_plain, lora_wide as wide_wgsl,
};

use super::Kernels;
use super::launch::{dims, is_software, launch, output, per_element};

/// Tokens and features of a plain kernel's tile.
const PLAIN_TILE: u32 = 32;

/// What the tokens are multiplied with.
#[derive(Clone, Copy)]
pub(super) struct LowRank<'a> {
    pub tokens: u32,
    pub experts: u32,
    pub rank: u32,
    pub in_features: u32,
    pub out_features: u32,
    pub scale: f32,
    /// The tokens of each expert; `None` where there is one pair for all.
    pub groups: Option<Groups<'a>>,
}

/// Tokens in the order of their experts, and the factor on what their expert adds.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub gate: &'a CubeTensor,
    pub offsets: &'a CubeTensor,
    pub permutation: &'a CubeTensor,
}

/// How a product finds its weights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// Neighbours belong to one result: forward.
    ByResult,
    /// Neighbours belong to one contracted index: backward.
    ByDepth,
}

impl LowRank<'_> {
    fn is_fast(&self) -> bool {
        let fours = [self.rank, self.in_features, self.out_features].into_iter().all(|size| size.is_multiple_of(4));
        fours && Kernels::chosen() == Kernels::Fast
    }

    /// Tiles of so many tokens of one expert each; every expert may begin one of its own.
    fn tiles(&self, tokens: u32) -> u32 {
        self.tokens.div_ceil(tokens) + self.experts - 1
    }

    /// The variants for one pair and for experts.
    fn pick(&self, one: &'static Kernel, grouped: &'static Kernel) -> &'static Kernel {
        if self.groups.is_some() { grouped } else { one }
    }

    /// A narrow result, `[T, rank]`.
    fn narrow_output(&self, like: &CubeTensor) -> CubeTensor {
        output(like, [self.tokens as usize, self.rank as usize], DType::F32)
    }

    /// `h = A_e x`.
    pub fn down(&self, x: &CubeTensor, a: &CubeTensor) -> CubeTensor {
        let h = self.narrow_output(x);
        if self.is_fast() {
            self.narrow(x, a, &h, self.in_features, Weights::ByResult);
            return h;
        }
        let &Self { tokens, in_features, rank, experts, .. } = self;
        let params = down_plain::Params { tokens, in_features, rank, experts }.words();
        let workgroups = self.tiles(PLAIN_TILE) * rank.div_ceil(PLAIN_TILE);
        let order = self.groups.map(|groups| [groups.offsets, groups.permutation]);
        let kernel = self.pick(&down_plain::PLAIN, &down_plain::GROUPED);
        launch(kernel, &[&[x, a, &h], order.as_slice().as_flattened()].concat(), params, workgroups);
        h
    }

    /// `dh = B_e^T dy`.
    pub fn down_backward(&self, dy: &CubeTensor, b: &CubeTensor) -> CubeTensor {
        let dh = self.narrow_output(dy);
        match self.is_fast() {
            true => self.narrow(dy, b, &dh, self.out_features, Weights::ByDepth),
            false => self.plain_input(dy, b, &dh, [self.out_features, self.rank], 1.0, false),
        }
        dh
    }

    /// `y = base + scale g B_e h`.
    pub fn up(&self, h: &CubeTensor, b: &CubeTensor, base: &CubeTensor) -> CubeTensor {
        let y = output(base, base.shape(), DType::F32);
        if self.is_fast() {
            self.wide(&[h, b, &y, base], self.out_features, Weights::ByResult);
            return y;
        }
        let &Self { tokens, rank, out_features, experts, scale, .. } = self;
        let params = up_plain::Params { tokens, rank, out_features, experts, scale }.words();
        let workgroups = self.tiles(PLAIN_TILE) * out_features.div_ceil(PLAIN_TILE);
        let kernel = self.pick(&up_plain::PLAIN, &up_plain::GROUPED);
        launch(kernel, &self.bindings(&[h, b, base, &y]), params, workgroups);
        y
    }

    /// `dx = scale g A_e^T dh`.
    pub fn up_backward(&self, dh: &CubeTensor, a: &CubeTensor) -> CubeTensor {
        let dx = output(dh, [self.tokens as usize, self.in_features as usize], DType::F32);
        match self.is_fast() {
            true => self.wide(&[dh, a, &dx], self.in_features, Weights::ByDepth),
            false => self.plain_input(dh, a, &dx, [self.rank, self.in_features], self.scale, true),
        }
        dx
    }

    /// `dA_e = scale sum g dh x^T`; without experts `[rank, in_features]`.
    pub fn gradient_of_a(&self, dh: &CubeTensor, x: &CubeTensor) -> CubeTensor {
        let da = self.weight_output(dh, [self.rank, self.in_features]);
        match self.is_fast() {
            true => {
                let kernel = self.pick(&outer_wgsl::PLAIN, &outer_wgsl::GROUPED);
                self.outer(kernel, [dh, x, &da], self.in_features);
            }
            false => self.plain_weight(dh, x, &da, [self.rank, self.in_features]),
        }
        da
    }

    /// `dB_e = scale sum g dy h^T`; without experts `[out_features, rank]`.
    pub fn gradient_of_b(&self, dy: &CubeTensor, h: &CubeTensor) -> CubeTensor {
        let db = self.weight_output(h, [self.out_features, self.rank]);
        match self.is_fast() {
            true => {
                let kernel = self.pick(&outer_wgsl::TRANSPOSED, &outer_wgsl::GROUPED_TRANSPOSED);
                self.outer(kernel, [h, dy, &db], self.out_features);
            }
            false => self.plain_weight(dy, h, &db, [self.out_features, self.rank]),
        }
        db
    }

    /// Behind `buffers` what tells of the groups, where there are any.
    fn bindings<'a>(&'a self, buffers: &[&'a CubeTensor]) -> Vec<&'a CubeTensor> {
        let groups = self.groups.map(|groups| [groups.gate, groups.offsets, groups.permutation]);
        [buffers, groups.as_slice().as_flattened()].concat()
    }

    fn weight_output(&self, like: &CubeTensor, [rows, columns]: [u32; 2]) -> CubeTensor {
        let [experts, rows, columns] = [self.experts, rows, columns].map(|dim| dim as usize);
        match self.groups {
            Some(_) => output(like, [experts, rows, columns], DType::F32),
            None => output(like, [rows, columns], DType::F32),
        }
    }

    fn narrow(&self, x: &CubeTensor, weight: &CubeTensor, h: &CubeTensor, in_features: u32, weights: Weights) {
        use narrow_wgsl::{
            ALONE, BY_DEPTH, BY_DEPTH_ALONE, GROUPED, GROUPED_ALONE, GROUPED_BY_DEPTH, GROUPED_BY_DEPTH_ALONE, PLAIN,
            Params,
        };
        let alone = is_software(x);
        let kernel = match (weights, alone) {
            (Weights::ByResult, false) => self.pick(&PLAIN, &GROUPED),
            (Weights::ByResult, true) => self.pick(&ALONE, &GROUPED_ALONE),
            (Weights::ByDepth, false) => self.pick(&BY_DEPTH, &GROUPED_BY_DEPTH),
            (Weights::ByDepth, true) => self.pick(&BY_DEPTH_ALONE, &GROUPED_BY_DEPTH_ALONE),
        };
        let &Self { tokens, rank, experts, .. } = self;
        let order = self.groups.map(|groups| [groups.offsets, groups.permutation]);
        let bindings = [&[x, weight, h], order.as_slice().as_flattened()].concat();
        let params = Params { tokens, in_features, rank, experts }.words();
        let workgroups = match alone {
            true => per_element((self.tiles(4) * rank.div_ceil(4)) as usize),
            false => self.tiles(4) * rank.div_ceil(32),
        };
        launch(kernel, &bindings, params, workgroups);
    }

    fn wide(&self, buffers: &[&CubeTensor], out_features: u32, weights: Weights) {
        use wide_wgsl::{BY_DEPTH, GROUPED, GROUPED_BY_DEPTH, PLAIN, Params};
        let kernel = match weights {
            Weights::ByResult => self.pick(&PLAIN, &GROUPED),
            Weights::ByDepth => self.pick(&BY_DEPTH, &GROUPED_BY_DEPTH),
        };
        let &Self { tokens, rank, experts, scale, .. } = self;
        let params = Params { tokens, rank, out_features, experts, scale }.words();
        launch(kernel, &self.bindings(buffers), params, self.tiles(8) * out_features.div_ceil(256));
    }

    fn outer(&self, kernel: &'static Kernel, buffers: [&CubeTensor; 3], features: u32) {
        let &Self { tokens, rank, experts, scale, .. } = self;
        let params = outer_wgsl::Params { tokens, rank, features, experts, scale }.words();
        launch(kernel, &self.bindings(&buffers), params, experts * features.div_ceil(64) * rank.div_ceil(8));
    }

    fn plain_input(
        &self,
        dy: &CubeTensor,
        weight: &CubeTensor,
        dx: &CubeTensor,
        [out_features, in_features]: [u32; 2],
        scale: f32,
        gated: bool,
    ) {
        let &Self { tokens, experts, .. } = self;
        let gated = u32::from(gated);
        let params = input_plain::Params { tokens, out_features, in_features, experts, scale, gated }.words();
        let workgroups = self.tiles(PLAIN_TILE) * in_features.div_ceil(PLAIN_TILE);
        let kernel = self.pick(&input_plain::PLAIN, &input_plain::GROUPED);
        launch(kernel, &self.bindings(&[dy, weight, dx]), params, workgroups);
    }

    fn plain_weight(&self, dy: &CubeTensor, x: &CubeTensor, dw: &CubeTensor, [out_features, in_features]: [u32; 2]) {
        let &Self { tokens, experts, scale, .. } = self;
        let params = weight_plain::Params { tokens, out_features, in_features, experts, scale }.words();
        let workgroups = experts * out_features.div_ceil(PLAIN_TILE) * in_features.div_ceil(PLAIN_TILE);
        let kernel = self.pick(&weight_plain::PLAIN, &weight_plain::GROUPED);
        launch(kernel, &self.bindings(&[dy, x, dw]), params, workgroups);
    }
}

/// The sizes of `x`, A and B, with or without experts.
///
/// # Panics
/// Where they disagree.
pub(super) fn sizes<'a>(
    x: &CubeTensor,
    a: &CubeTensor,
    b: &CubeTensor,
    scale: f32,
    groups: Option<Groups<'a>>,
) -> LowRank<'a> {
    let three = |weight: &CubeTensor| match groups {
        Some(_) => dims::<3>(weight),
        None => {
            let [rows, columns] = dims(weight);
            [1, rows, columns]
        }
    };
    let ([tokens, in_features], [experts, rank, a_in], [b_experts, out_features, b_rank]) =
        (dims(x), three(a), three(b));
    assert!(
        a_in == in_features && b_rank == rank && b_experts == experts,
        "a low-rank product: x {in_features}, A {experts} x {rank} x {a_in} and B {b_experts} x {out_features} x {b_rank}"
    );
    LowRank { tokens, experts, rank, in_features, out_features, scale, groups }
}
