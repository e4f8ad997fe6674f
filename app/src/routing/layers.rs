//! Which layers are looked at, and where a token went in them.

use mole_runtime::engine::RoutedToken;

/// The layers that are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerChoice {
    /// All that have experts.
    #[default]
    All,
    /// The n-th of `ReplyRouting::layers`.
    One(usize),
}

/// The expert that most of the layers that are looked at sent a token to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Favourite {
    /// Counted from 0; of several with as many layers the lowest.
    pub expert: usize,
    /// The part of the layers that agree: 1 for a single layer.
    pub agreement: f32,
}

impl LayerChoice {
    /// Where a token went; none where the layer is not there, or names an expert that is not there.
    pub fn favourite(self, token: &RoutedToken, experts: usize) -> Option<Favourite> {
        match self {
            Self::One(layer) => {
                let expert = *token.experts.get(layer)?;
                (expert < experts).then_some(Favourite { expert, agreement: 1.0 })
            }
            Self::All => {
                let known = || token.experts.iter().filter(|expert| **expert < experts);
                let votes = |expert: usize| known().filter(|other| **other == expert).count();
                let expert = *known().max_by_key(|expert| (votes(**expert), std::cmp::Reverse(**expert)))?;
                Some(Favourite { expert, agreement: votes(expert) as f32 / token.experts.len() as f32 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::word;
    use super::*;

    #[test]
    fn the_favourite_has_the_most_layers() {
        let token = word("a", &[2, 0, 2, 1], 3);
        let favourite = |choice: LayerChoice| choice.favourite(&token, 3).map(|f| (f.expert, f.agreement));
        assert_eq!(favourite(LayerChoice::All), Some((2, 0.5)));
        assert_eq!(favourite(LayerChoice::One(1)), Some((0, 1.0)));
        assert_eq!(favourite(LayerChoice::One(4)), None);
        let tie = word("a", &[2, 1, 1, 2], 3);
        assert_eq!(LayerChoice::All.favourite(&tie, 3), Some(Favourite { expert: 1, agreement: 0.5 }));
    }

    #[test]
    fn experts_that_are_not_there_have_no_vote() {
        let token = word("a", &[9, 9, 1], 3);
        assert_eq!(LayerChoice::One(0).favourite(&token, 3), None);
        let all = LayerChoice::All.favourite(&token, 3).expect("one is there");
        assert_eq!(all.expert, 1);
        assert!((all.agreement - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(LayerChoice::All.favourite(&word("a", &[], 3), 3), None);
    }
}
