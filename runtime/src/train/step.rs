//! One micro-batch forward and backward, layer by layer.
//!
//! The forward pass keeps each layer's input and nothing else; the backward pass runs a layer again on a tape of its own,
//! takes its gradients, and forgets it. Where memory is no matter, the forward pass keeps the tapes themselves.
//!
//! Samples stand packed one behind the other: nothing is padded, and every token counts. The gradients of a window are
//! divided by the window's supervised tokens (and the balance loss by its samples), which the caller knows before it
//! starts, so a window gives the same gradient however it is cut into micro-batches.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};

use super::balance::{self, LayerLoad};
use super::config::{BalanceScope, Stage};
use super::gradients::{Collect, GradientStore, Lift};
use crate::data::TokenizedSample;
use crate::device::read_floats;
use crate::error::{Error, Result};
use crate::image::PixelValues;
use crate::model::{LlamaLayer, Llava, Packing, ParameterVisitor, Parameters, TokenSpan, layer_name, spans};
use crate::nn::{Noise, Routing};
use crate::ops::with_gradient;

/// A sample that is ready for the model.
#[derive(Clone, Debug)]
pub struct LoadedSample {
    /// Which dataset it is from.
    pub dataset: usize,
    /// Token ids and loss mask.
    pub tokens: TokenizedSample,
    /// Its pictures, in order.
    pub pixels: Vec<PixelValues>,
    /// Positions that one picture takes in the model.
    pub patches_per_image: usize,
}

impl LoadedSample {
    /// Positions it takes in the model.
    pub fn positions(&self) -> usize {
        self.tokens.expanded_len(self.patches_per_image)
    }
}

/// What is trained, and what a window's losses are divided by.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    /// What is trained.
    pub stage: Stage,
    /// Weight and scope of the balance loss, where there are experts.
    pub balance: Option<(f64, BalanceScope)>,
    /// Whether layers run again in the backward pass.
    pub recompute: bool,
    /// Supervised tokens of the window.
    pub supervised_tokens: usize,
    /// Samples of the window.
    pub samples: usize,
}

/// The losses of a micro-batch, still on the device.
#[derive(Debug)]
pub struct MicroLosses {
    /// `[supervised tokens]`, sample after sample.
    token_losses: Tensor<1>,
    /// `[samples]`.
    balance_losses: Option<Tensor<1>>,
    /// `[samples, experts]` a layer.
    fractions: Vec<Tensor<2>>,
}

/// The losses of a micro-batch.
#[derive(Clone, Debug, Default)]
pub struct HostLosses {
    /// Of each supervised token, sample after sample.
    pub token_losses: Vec<f32>,
    /// Of each sample; empty without experts.
    pub balance_losses: Vec<f32>,
    /// `[layer][sample][expert]`: fractions of the sample's tokens.
    pub fractions: Vec<Vec<Vec<f32>>>,
}

impl MicroLosses {
    /// Waits for the numbers.
    ///
    /// # Errors
    /// A device that fails.
    pub async fn read(self) -> Result<HostLosses> {
        let mut fractions = Vec::with_capacity(self.fractions.len());
        if let Some([_, experts]) = self.fractions.first().map(Tensor::dims) {
            let layers = self.fractions.len();
            let all = read_floats(Tensor::cat(self.fractions, 0)).await?;
            let rows: Vec<Vec<f32>> = all.chunks(experts).map(<[f32]>::to_vec).collect();
            fractions = rows.chunks(rows.len() / layers).map(<[Vec<f32>]>::to_vec).collect();
        }
        let balance_losses = match self.balance_losses {
            Some(losses) => read_floats(losses).await?,
            None => Vec::new(),
        };
        Ok(HostLosses { token_losses: read_floats(self.token_losses).await?, balance_losses, fractions })
    }
}

/// Samples as one packed sequence.
struct Packed {
    packing: Packing,
    /// `[1, tokens, d_model]`, on a tape where what made it is trained.
    embeddings: Tensor<3>,
    /// Positions whose next token is supervised.
    rows: Tensor<1, Int>,
    /// Those tokens.
    targets: Tensor<1, Int>,
}

/// The parts of the model in front of the layers, lifted where they are trained.
struct Front<'a> {
    model: &'a Llava,
    projector: crate::model::Projector,
    vision: Option<crate::model::ClipVision>,
    ends: Option<crate::model::LlamaEnds>,
}

impl<'a> Front<'a> {
    fn frozen(model: &'a Llava) -> Self {
        Self { model, projector: model.projector.clone(), vision: None, ends: None }
    }

    fn lifted(model: &'a Llava, stage: Stage) -> Self {
        let mut front = Self::frozen(model);
        front.projector.visit(&mut Lift);
        if stage == Stage::Full {
            let (mut vision, mut ends) = (model.vision.clone(), model.text.ends.clone());
            vision.visit(&mut Lift);
            ends.visit(&mut Lift);
            (front.vision, front.ends) = (Some(vision), Some(ends));
        }
        front
    }

    fn visit(&mut self, visitor: &mut impl ParameterVisitor) {
        self.projector.visit(visitor);
        if let Some(vision) = &mut self.vision {
            vision.visit(visitor);
        }
        if let Some(ends) = &mut self.ends {
            ends.visit(visitor);
        }
    }

    /// All text goes through the embedding at once, and all pictures through the tower: their weights get one gradient
    /// each, and large products are fast.
    fn pack(&self, samples: &[LoadedSample]) -> Result<Packed> {
        let config = &self.model.config;
        let device = self.model.device();
        let (mut ids, mut pictures, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut rows, mut targets, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
        for sample in samples {
            let start = at;
            for span in spans(&sample.tokens.ids, config.image_token_id, sample.pixels.len())? {
                match span {
                    TokenSpan::Text(range) => {
                        let first = ids.len();
                        for index in range {
                            let id = self.checked(sample.tokens.ids[index])?;
                            if sample.tokens.supervised[index] && at > start {
                                rows.push(at as i32 - 1);
                                targets.push(id);
                            }
                            ids.push(id);
                            at += 1;
                        }
                        parts.push(TokenSpan::Text(first..ids.len()));
                    }
                    TokenSpan::Image(number) => {
                        parts.push(TokenSpan::Image(pictures.len()));
                        pictures.push(&sample.pixels[number]);
                        at += config.image_seq_len();
                    }
                }
            }
            lengths.push(at - start);
        }
        let context = config.text.max_position_embeddings;
        if let Some(longest) = lengths.iter().find(|&&length| length > context) {
            return Err(Error::Training(format!(
                "a sample takes {longest} positions, the model's context is {context}; lower train.max_length"
            )));
        }
        Ok(Packed {
            packing: self.model.text.packing(&lengths),
            embeddings: self.embed(&parts, ids, &pictures),
            rows: ints(rows, device),
            targets: ints(targets, device),
        })
    }

    fn checked(&self, id: i64) -> Result<i32> {
        let vocab = self.model.config.text.vocab_size;
        match usize::try_from(id) {
            Ok(index) if index < vocab => Ok(id as i32),
            _ => Err(Error::Training(format!("token id {id} is outside the model's vocabulary of {vocab}"))),
        }
    }

    /// The parts in order, `[1, tokens, d_model]`: ranges of `ids`, and numbers of `pictures`.
    fn embed(&self, parts: &[TokenSpan], ids: Vec<i32>, pictures: &[&PixelValues]) -> Tensor<3> {
        let ends = self.ends.as_ref().unwrap_or(&self.model.text.ends);
        let text = (!ids.is_empty()).then(|| ends.embed(ints(ids, self.model.device())));
        let images = (!pictures.is_empty()).then(|| self.embed_images(pictures));
        let part = |part: &TokenSpan| match (part, &text, &images) {
            (TokenSpan::Text(range), Some(text), _) => text.clone().slice(s![.., range.clone(), ..]),
            (TokenSpan::Image(number), _, Some(images)) => images.clone().slice(s![*number..*number + 1, .., ..]),
            _ => unreachable!("a part is of the ids or of the pictures"),
        };
        Tensor::cat(parts.iter().map(part).collect(), 1)
    }

    /// `[pictures, patches, d_model]`.
    fn embed_images(&self, pictures: &[&PixelValues]) -> Tensor<3> {
        // The preprocessor makes all of one size.
        let dims = [pictures.len(), 3, pictures[0].height, pictures[0].width];
        let values = pictures.iter().flat_map(|pixels| pixels.data.iter().copied()).collect::<Vec<f32>>();
        let pixels = Tensor::from_data(TensorData::new(values, dims), self.model.device());
        let vision = self.vision.as_ref().unwrap_or(&self.model.vision);
        self.projector.forward(vision.forward(pixels))
    }
}

fn ints(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
}

/// The forward pass over all layers: every layer's input or the layer on its tape, the last one's output, and the loads of
/// layers with experts.
struct Forward {
    inputs: Vec<Tensor<3>>,
    runs: Vec<Run>,
    output: Tensor<3>,
    loads: Vec<LayerLoad>,
}

/// What a forward pass keeps of each layer.
#[derive(Clone, Copy)]
enum Keep<'a> {
    Nothing,
    Inputs,
    /// Layers on tapes that hold these parameters.
    Runs(&'a [Parameters]),
}

/// A layer on a tape of its own, from its input to its output.
struct Run {
    layer: LlamaLayer,
    x: Tensor<3>,
    y: Tensor<3>,
    routing: Option<Routing>,
}

impl Run {
    fn new(
        model: &Llava,
        index: usize,
        x: Tensor<3>,
        packed: &Packed,
        seed: Option<u64>,
        trained: &[Parameters],
    ) -> Self {
        let mut layer = model.text.layers[index].clone();
        trained.iter().for_each(|&parameters| layer.visit(parameters, &layer_name(index), &mut Lift));
        let x = x.autodiff().require_grad();
        let (y, routing) = layer.forward_packed(x.clone(), &packed.packing, &mut noise(seed, index));
        Self { layer, x, y, routing }
    }
}

/// What the layers' dropout is drawn from: a layer run twice draws the same.
fn noise(seed: Option<u64>, layer: usize) -> Noise {
    match seed {
        // Splitmix's finalizer over (seed, layer).
        Some(seed) => {
            let mut mixed = seed ^ (layer as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Noise::seeded((mixed >> 32) as u32)
        }
        None => Noise::off(),
    }
}

fn forward(model: &Llava, packed: &Packed, seed: Option<u64>, keep: Keep<'_>) -> Forward {
    let mut x = packed.embeddings.clone().inner();
    let (mut inputs, mut runs, mut loads) = (Vec::new(), Vec::new(), Vec::new());
    for (index, layer) in model.text.layers.iter().enumerate() {
        let (y, routing) = match keep {
            Keep::Runs(trained) => {
                let run = Run::new(model, index, x, packed, seed, trained);
                let routing = run.routing.clone();
                let seen = (run.y.clone().inner(), routing.map(Routing::inner));
                runs.push(run);
                seen
            }
            Keep::Inputs | Keep::Nothing => {
                if matches!(keep, Keep::Inputs) {
                    inputs.push(x.clone());
                }
                layer.forward_packed(x, &packed.packing, &mut noise(seed, index))
            }
        };
        loads.extend(routing.map(|routing| LayerLoad::new(&routing, &packed.packing.sequences)));
        x = y;
    }
    Forward { inputs, runs, output: x, loads }
}

/// `hidden: [1, tokens, d_model]`, the rows that predict a supervised token.
fn supervised(hidden: Tensor<3>, rows: &Tensor<1, Int>) -> Tensor<2> {
    hidden.squeeze_dim::<2>(0).select(0, rows.clone())
}

/// The losses of samples, without dropout and without a gradient.
///
/// # Errors
/// A sample that does not fit the model.
pub fn evaluate(model: &Llava, samples: &[LoadedSample]) -> Result<MicroLosses> {
    let packed = Front::frozen(model).pack(samples)?;
    let Forward { output, loads, .. } = forward(model, &packed, None, Keep::Nothing);
    let token_losses = model.text.ends.loss(supervised(output, &packed.rows), &packed.targets);
    let fractions = loads.into_iter().map(|load| load.fractions).collect();
    Ok(MicroLosses { token_losses, balance_losses: None, fractions })
}

/// Adds the gradients of a micro-batch to the store.
///
/// - `seed`: of this micro-batch's dropout.
///
/// # Errors
/// A sample that does not fit the model.
pub fn accumulate(
    model: &Llava,
    samples: &[LoadedSample],
    objective: &Objective,
    seed: u64,
    store: &mut GradientStore,
) -> Result<MicroLosses> {
    let mut front = Front::lifted(model, objective.stage);
    let packed = front.pack(samples)?;
    // The projector alone learns through layers that do not: their input's gradient is still needed.
    let trained: &[Parameters] = match objective.stage {
        Stage::Projector => &[],
        Stage::Finetune => &[Parameters::Adapters],
        Stage::Full => &[Parameters::Weights],
    };
    let keep = if objective.recompute { Keep::Inputs } else { Keep::Runs(trained) };
    let Forward { mut inputs, mut runs, output, loads } = forward(model, &packed, Some(seed), keep);

    // The loss, and its gradient in the last layer's output.
    let mut ends = model.text.ends.clone();
    if objective.stage == Stage::Full {
        ends.visit(&mut Lift);
    }
    let output = output.autodiff().require_grad();
    let token_losses = ends.loss(supervised(output.clone(), &packed.rows), &packed.targets);
    let mut tape = (token_losses.clone().sum() / objective.supervised_tokens as f32).backward();
    // Frozen ones have no gradient, and may be packed.
    if objective.stage == Stage::Full {
        ends.visit(&mut Collect { tape: &mut tape, into: store });
    }
    let mut dy = output.grad_remove(&mut tape).expect("the loss depends on the layers' output");

    let balance = objective.balance.filter(|_| !loads.is_empty());
    let factors = balance.map(|(weight, scope)| {
        let weight = (weight / objective.samples as f64) as f32;
        balance::factors(&loads, scope).into_iter().map(|factors| factors * weight).collect::<Vec<_>>()
    });
    for index in (0..model.text.layers.len()).rev() {
        let Run { mut layer, x, y, routing } = runs.pop().unwrap_or_else(|| {
            let x = inputs.pop().expect("one input a layer");
            Run::new(model, index, x, &packed, Some(seed), trained)
        });
        let mut loss = with_gradient(y, dy);
        if let (Some(factors), Some(routing)) = (&factors, &routing) {
            let dprobs = balance::gradient(&factors[index], &packed.packing.sequences);
            loss = loss + with_gradient(routing.probs.clone(), dprobs);
        }
        let mut tape = loss.backward();
        trained.iter().for_each(|&parameters| {
            layer.visit(parameters, &layer_name(index), &mut Collect { tape: &mut tape, into: store });
        });
        dy = x.grad_remove(&mut tape).expect("a layer's output depends on its input");
    }

    // Text alone, with nothing trained in front of the layers, leaves no tape.
    if packed.embeddings.is_tracked() {
        let mut tape = with_gradient(packed.embeddings.clone(), dy).backward();
        front.visit(&mut Collect { tape: &mut tape, into: store });
    }
    let balance_losses = balance.map(|(_, scope)| balance::losses(&loads, scope));
    let fractions = loads.into_iter().map(|load| load.fractions).collect();
    Ok(MicroLosses { token_losses: token_losses.inner(), balance_losses, fractions })
}
