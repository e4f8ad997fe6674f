//! How the tokens of a trace are spread over the experts, kept as sums, so that a new token costs only itself.
//!
//! | | of a layer | of all layers |
//! |---|---|---|
//! | share of an expert | the part of the tokens that went to it | the mean over the layers |
//! | entropy of the load | -sum f log2 f of the shares, in bits: 0 when one expert gets all, log2 of the number of experts when each gets as much | the mean over the layers: expert 0 of one layer has nothing to do with expert 0 of another |
//! | entropy of a token | -sum p log2 p of the router's probabilities, in bits, mean over the tokens: how undecided the router is | the mean over the layers |

use mole_runtime::engine::RoutedToken;

use super::layers::LayerChoice;

/// The tokens that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Every one.
    #[default]
    All,
    /// Words: the prompt's and the reply's.
    Text,
    /// What stands for pictures.
    Image,
    /// The words that the model said.
    Reply,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::All, Self::Text, Self::Image, Self::Reply];

    fn groups(self) -> &'static [usize] {
        match self {
            Self::All => &[PROMPT, IMAGE, REPLY],
            Self::Text => &[PROMPT, REPLY],
            Self::Image => &[IMAGE],
            Self::Reply => &[REPLY],
        }
    }
}

/// Groups that share no token; every part is made of them.
const PROMPT: usize = 0;
const IMAGE: usize = 1;
const REPLY: usize = 2;

/// Sums over tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    experts: usize,
    /// `[groups][layers]`.
    groups: [Vec<LayerSum>; 3],
}

/// Sums over the tokens of a group in a layer.
#[derive(Clone, Debug, PartialEq)]
struct LayerSum {
    /// Tokens by expert.
    tokens: Vec<u64>,
    /// Sum of the tokens' entropies.
    entropy_bits: f64,
    /// Of so many tokens: a probability that is not finite has no entropy.
    entropies: u64,
}

/// How some tokens are spread over the experts.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// How many tokens.
    pub tokens: u64,
    /// The part of them that each expert got.
    pub shares: Vec<f64>,
    /// The entropy of the shares, in bits.
    pub entropy_bits: f64,
    /// The mean entropy of a token's probabilities, in bits; none where no token's are finite.
    pub token_entropy_bits: Option<f64>,
}

impl Sums {
    /// Nothing yet, of so many experts in so many layers.
    pub fn new(experts: usize, layers: usize) -> Self {
        let empty = LayerSum { tokens: vec![0; experts], entropy_bits: 0.0, entropies: 0 };
        Self { experts, groups: std::array::from_fn(|_| vec![empty.clone(); layers]) }
    }

    /// Counts a token.
    pub fn add(&mut self, token: &RoutedToken) {
        let group = match (token.image, token.reply) {
            (Some(_), _) => IMAGE,
            (None, true) => REPLY,
            (None, false) => PROMPT,
        };
        for (layer, sum) in self.groups[group].iter_mut().enumerate() {
            if let Some(count) = token.experts.get(layer).and_then(|expert| sum.tokens.get_mut(*expert)) {
                *count += 1;
            }
            let bits =
                token.probs.get(layer).map_or(f64::NAN, |probs| entropy_bits(probs.iter().map(|p| f64::from(*p))));
            if bits.is_finite() {
                sum.entropy_bits += bits;
                sum.entropies += 1;
            }
        }
    }

    /// How many experts a layer has.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.groups[PROMPT].len()
    }

    /// How a part is spread over the experts; none where it has no tokens, or the layer is not there.
    pub fn load(&self, part: Part, layers: LayerChoice) -> Option<Load> {
        match layers {
            LayerChoice::One(layer) => self.load_of(part, layer),
            LayerChoice::All => {
                let loads: Vec<Load> = (0..self.layers()).filter_map(|layer| self.load_of(part, layer)).collect();
                let mean = |of: &dyn Fn(&Load) -> f64| loads.iter().map(of).sum::<f64>() / loads.len() as f64;
                let sure: Vec<f64> = loads.iter().filter_map(|load| load.token_entropy_bits).collect();
                Some(Load {
                    tokens: loads.iter().map(|load| load.tokens).max()?,
                    shares: (0..self.experts).map(|expert| mean(&|load| load.shares[expert])).collect(),
                    entropy_bits: mean(&|load| load.entropy_bits),
                    token_entropy_bits: (!sure.is_empty()).then(|| sure.iter().sum::<f64>() / sure.len() as f64),
                })
            }
        }
    }

    fn load_of(&self, part: Part, layer: usize) -> Option<Load> {
        let mut counts = vec![0; self.experts];
        let (mut entropy, mut entropies) = (0.0, 0);
        for group in part.groups() {
            let sum = self.groups[*group].get(layer)?;
            counts.iter_mut().zip(&sum.tokens).for_each(|(count, more)| *count += more);
            entropy += sum.entropy_bits;
            entropies += sum.entropies;
        }
        let tokens: u64 = counts.iter().sum();
        if tokens == 0 {
            return None;
        }
        let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / tokens as f64).collect();
        let entropy_bits = entropy_bits(shares.iter().copied());
        Some(Load {
            tokens,
            shares,
            entropy_bits,
            token_entropy_bits: (entropies > 0).then(|| entropy / entropies as f64),
        })
    }

    /// The shares of every layer, `[layers][experts]`; an empty row where no token was counted.
    pub fn matrix(&self, part: Part) -> Vec<Vec<f64>> {
        (0..self.layers()).map(|layer| self.load_of(part, layer).map_or(Vec::new(), |load| load.shares)).collect()
    }
}

/// -sum p log2 p, with 0 log2 0 = 0; never -0.
fn entropy_bits(probs: impl Iterator<Item = f64>) -> f64 {
    let bits: f64 = probs.map(|p| if p == 0.0 { 0.0 } else { -p * p.log2() }).sum();
    // A NaN stays one.
    if bits <= 0.0 { 0.0 } else { bits }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{patch, reply, word};
    use super::*;

    /// 2 layers of 2 experts: four words of the prompt, two patches, two words of the reply.
    fn sums() -> Sums {
        let mut sums = Sums::new(2, 2);
        let tokens = [
            word("a", &[0, 0], 2),
            word("b", &[0, 1], 2),
            word("c", &[0, 1], 2),
            word("d", &[1, 1], 2),
            patch(0, 0, 0, &[1, 0], 2),
            patch(0, 0, 1, &[1, 0], 2),
            reply("e", &[0, 1], 2),
            reply("f", &[0, 0], 2),
        ];
        tokens.iter().for_each(|token| sums.add(token));
        sums
    }

    #[test]
    fn shares_by_part_and_layer_are_those_counted_by_hand() {
        let sums = sums();
        let shares = |part, layer| sums.load(part, LayerChoice::One(layer)).expect("tokens").shares;
        assert_eq!(shares(Part::All, 0), [5.0 / 8.0, 3.0 / 8.0]);
        assert_eq!(shares(Part::All, 1), [0.5, 0.5]);
        assert_eq!(shares(Part::Text, 0), [5.0 / 6.0, 1.0 / 6.0]);
        assert_eq!(shares(Part::Image, 0), [0.0, 1.0]);
        assert_eq!(shares(Part::Reply, 1), [0.5, 0.5]);
        assert_eq!(sums.matrix(Part::Image), [[0.0, 1.0], [1.0, 0.0]]);
        let all = sums.load(Part::Image, LayerChoice::All).expect("tokens");
        assert_eq!((all.tokens, all.shares), (2, vec![0.5, 0.5]));
    }

    #[test]
    fn entropies_are_those_computed_by_hand() {
        let sums = sums();
        let load = |part, layers| sums.load(part, layers).expect("tokens");
        // 5/8 and 3/8: 0.954434 bits.
        assert!((load(Part::All, LayerChoice::One(0)).entropy_bits - 0.954_434).abs() < 1e-6);
        assert_eq!(load(Part::All, LayerChoice::One(1)).entropy_bits, 1.0);
        assert_eq!(load(Part::Image, LayerChoice::One(0)).entropy_bits, 0.0);
        // Each layer sends all patches to one expert: the mean of the entropies is 0, though the mean shares are even.
        assert_eq!(load(Part::Image, LayerChoice::All).entropy_bits, 0.0);
        // Every token has 3/4 for its expert and 1/4 for the other: 0.811278 bits.
        let bits = load(Part::All, LayerChoice::All).token_entropy_bits.expect("finite");
        assert!((bits - 0.811_278).abs() < 1e-6, "{bits}");
    }

    #[test]
    fn nothing_gives_nothing() {
        let empty = Sums::new(3, 2);
        assert_eq!(empty.load(Part::All, LayerChoice::All), None);
        assert_eq!(empty.load(Part::All, LayerChoice::One(0)), None);
        assert_eq!(sums().load(Part::All, LayerChoice::One(2)), None);
        assert_eq!(empty.matrix(Part::All), [[0.0; 0], [0.0; 0]]);
        assert_eq!(Sums::default().load(Part::All, LayerChoice::All), None);
    }

    #[test]
    fn one_expert_has_everything_and_no_entropy() {
        let mut sums = Sums::new(1, 1);
        sums.add(&RoutedToken { probs: vec![vec![1.0]], ..word("a", &[0], 1) });
        let load = sums.load(Part::All, LayerChoice::All).expect("a token");
        assert_eq!((load.shares, load.entropy_bits, load.token_entropy_bits), (vec![1.0], 0.0, Some(0.0)));
        assert!(load.entropy_bits.is_sign_positive());
    }

    #[test]
    fn broken_numbers_spoil_nothing_but_themselves() {
        let mut sums = sums();
        let before = sums.load(Part::Text, LayerChoice::All).expect("tokens");
        sums.add(&RoutedToken { probs: vec![vec![f32::NAN, 0.5]; 2], ..word("x", &[7, 7], 2) });
        sums.add(&RoutedToken { experts: Vec::new(), probs: Vec::new(), ..word("y", &[], 2) });
        assert_eq!(sums.load(Part::Text, LayerChoice::All), Some(before));
        let mut broken = Sums::new(2, 1);
        broken.add(&RoutedToken { probs: vec![vec![f32::NAN; 2]], ..word("x", &[1], 2) });
        let load = broken.load(Part::All, LayerChoice::All).expect("it went somewhere");
        assert_eq!((load.shares, load.token_entropy_bits), (vec![0.0, 1.0], None));
    }
}
