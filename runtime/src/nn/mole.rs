//! The mixture of LoRA experts on a gated MLP (LLaVA-MoLE, arXiv 2401.16160).
//!
//! `e = arg max softmax(W_r x + b)`; one decision serves gate, up and down: `g = gate(x) + s B^g_e A^g_e x`, likewise up,
//! `h = silu(g) u`, `y = down(h) + s B^d_e A^d_e h`.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::Noise;
use crate::ops::{ExpertGroups, Weight, expert_group, linear, lora_experts, router_top1};

/// How an expert's output is weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gating {
    /// The chosen expert, as it is (the paper): the router learns from the balance loss alone.
    Hard,
    /// The chosen expert times its probability (Switch, arXiv 2101.03961): the language loss trains the router too.
    Gated,
    /// Every expert times its probability (the released inference code); K times the cost.
    Dense,
}

/// The experts' low-rank pairs on one projection.
#[derive(Clone, Debug)]
pub struct ExpertLora {
    /// `[experts, rank, in_features]`.
    pub lora_a: Tensor<3>,
    /// `[experts, out_features, rank]`.
    pub lora_b: Tensor<3>,
}

/// The router and the experts of one layer's MLP.
#[derive(Clone, Debug)]
pub struct MoleExperts {
    /// `[experts, d_model]`.
    pub router_weight: Tensor<2>,
    /// `[experts]`.
    pub router_bias: Tensor<1>,
    /// On the gate projection.
    pub gate: ExpertLora,
    /// On the up projection.
    pub up: ExpertLora,
    /// On the down projection.
    pub down: ExpertLora,
    /// How an expert's output is weighted.
    pub gating: Gating,
    /// `alpha / rank`.
    pub scale: f32,
    /// Probability of dropping an element of an expert's input, while training.
    pub dropout: f32,
}

/// Where the tokens of a pass went in one layer.
#[derive(Clone, Debug)]
pub struct Routing {
    /// `[T, experts]`.
    pub probs: Tensor<2>,
    /// `[T]` (i32): the likeliest expert.
    pub index: Tensor<1, Int>,
}

impl Routing {
    /// The same without a tape.
    pub fn inner(self) -> Self {
        Self { probs: self.probs.inner(), index: self.index.inner() }
    }
}

/// A routing decision, ready for the three projections.
pub struct Decision {
    /// What was decided.
    pub routing: Routing,
    /// The tokens of each expert, and the factor `[T]` on its output; `None` where every token goes to all.
    top1: Option<(ExpertGroups, Tensor<1>)>,
}

impl MoleExperts {
    /// Decides for `x: [T, d_model]`, the MLP's input.
    pub fn route(&self, x: Tensor<2>) -> Decision {
        let [experts, _] = self.router_weight.dims();
        let (probs, index) = router_top1(x, &self.router_weight, &self.router_bias);
        let gate = match self.gating {
            Gating::Hard => Some(Tensor::ones(index.dims(), &index.device())),
            Gating::Gated => Some(probs.clone().gather(1, index.clone().unsqueeze_dim(1)).squeeze_dim(1)),
            Gating::Dense => None,
        };
        let top1 = gate.map(|gate| (expert_group(index.clone(), experts), gate));
        Decision { routing: Routing { probs, index }, top1 }
    }

    /// Adds the experts' products to `base: [T, out]`, the projection's own; `x: [T, in]` is its input.
    pub fn add(
        &self,
        base: Tensor<2>,
        x: Tensor<2>,
        projection: &ExpertLora,
        decision: &Decision,
        noise: &mut Noise,
    ) -> Tensor<2> {
        let x = noise.dropout(x, self.dropout);
        match &decision.top1 {
            Some((groups, gate)) => {
                lora_experts(base, x, &projection.lora_a, &projection.lora_b, gate, groups, self.scale)
            }
            None => base + self.dense(x, projection, &decision.routing.probs) * self.scale,
        }
    }

    /// `sum_k p_k B_k A_k x`: all experts as one pair of `experts * rank`, its inner values weighted.
    fn dense(&self, x: Tensor<2>, projection: &ExpertLora, probs: &Tensor<2>) -> Tensor<2> {
        let ([tokens, in_features], [experts, rank, _]) = (x.dims(), projection.lora_a.dims());
        let [_, out_features, _] = projection.lora_b.dims();
        let all_a = projection.lora_a.clone().reshape([experts * rank, in_features]);
        let h = linear(x, &Weight::F32(all_a), None).reshape([tokens, experts, rank]);
        let h = (h * probs.clone().unsqueeze_dim(2)).reshape([tokens, experts * rank]);
        let all_b = projection.lora_b.clone().swap_dims(0, 1).reshape([out_features, experts * rank]);
        linear(h, &Weight::F32(all_b), None)
    }
}
