//! What the views show of a trace, kept up to date as it grows: each token is looked at once, and a frame takes only as
//! many as it has time for.

use mole_runtime::engine::RoutedToken;

use super::layers::{Favourite, LayerChoice};
use super::patches::PatchMap;
use super::sums::Sums;
use super::trace::Trace;

/// Something between two line breaks of the prompt and the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// A word: the trace's token.
    Word(usize),
    /// A picture, counted from 0, where its patches stand.
    Picture(usize),
}

/// A trace, digested as far as `taken`.
#[derive(Clone, Debug)]
pub struct Digest {
    /// Conversation, turn, experts, layers, patches a side: what cannot change while a trace grows.
    identity: (u64, u64, usize, usize, usize),
    /// The last token that was taken: a trace that has another in its place is another.
    last: Option<RoutedToken>,
    taken: usize,
    sums: Sums,
    /// Over all layers, a token each; none where no layer knows.
    favourites: Vec<Option<Favourite>>,
    pictures: Vec<PatchMap>,
    passages: Vec<Passage>,
}

impl Digest {
    /// Nothing of the trace yet.
    pub fn new(trace: &Trace) -> Self {
        Self {
            identity: identity(trace),
            last: None,
            taken: 0,
            sums: Sums::new(trace.routing.experts, trace.routing.layers.len()),
            favourites: Vec::new(),
            pictures: Vec::new(),
            passages: Vec::new(),
        }
    }

    /// Whether this is of the trace, which may have grown since.
    pub fn is_of(&self, trace: &Trace) -> bool {
        let same = |last: &RoutedToken| {
            let there = trace.routing.tokens.get(self.taken - 1);
            there.is_some_and(|token| (token.id, token.patch) == (last.id, last.patch) && same_bits(token, last))
        };
        self.identity == identity(trace) && self.last.as_ref().is_none_or(same)
    }

    /// Takes up to `most` probabilities of what the trace has more, at least a token's; another trace begins anew. Tells
    /// whether that was all.
    pub fn take(&mut self, trace: &Trace, most: usize) -> bool {
        if !self.is_of(trace) {
            *self = Self::new(trace);
        }
        let (_, _, experts, layers, per_side) = self.identity;
        let tokens = &trace.routing.tokens;
        let until = tokens.len().min(self.taken + (most / (experts * layers).max(1)).max(1));
        for (at, token) in tokens.iter().enumerate().take(until).skip(self.taken) {
            self.sums.add(token);
            self.favourites.push(LayerChoice::All.favourite(token, experts));
            match token.image {
                None => self.passages.push(Passage::Word(at)),
                // A number beyond the conversation's pictures is counted above, and shown nowhere.
                Some(image) if image < trace.pictures.len() => {
                    while self.pictures.len() <= image {
                        self.pictures.push(PatchMap::new(per_side, experts, layers));
                    }
                    self.pictures[image].add(at, token);
                    if self.passages.last() != Some(&Passage::Picture(image)) {
                        self.passages.push(Passage::Picture(image));
                    }
                }
                Some(_) => {}
            }
        }
        if until > self.taken {
            self.last = tokens.get(until - 1).cloned();
        }
        self.taken = until;
        until == tokens.len()
    }

    /// How many tokens were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Sums over all of them.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The pictures that came so far.
    pub fn pictures(&self) -> &[PatchMap] {
        &self.pictures
    }

    /// Prompt and reply in order.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Where a token of the trace went.
    pub fn favourite(&self, trace: &Trace, at: usize, layers: LayerChoice) -> Option<Favourite> {
        match layers {
            LayerChoice::All => *self.favourites.get(at)?,
            LayerChoice::One(_) => layers.favourite(trace.routing.tokens.get(at)?, trace.routing.experts),
        }
    }
}

fn identity(trace: &Trace) -> (u64, u64, usize, usize, usize) {
    (trace.chat, trace.turn, trace.routing.experts, trace.routing.layers.len(), trace.patches.per_side)
}

/// By bits: a probability that is no number would equal nothing, and the trace would begin anew with every frame.
fn same_bits(a: &RoutedToken, b: &RoutedToken) -> bool {
    let bits = |token: &RoutedToken| token.probs.iter().flatten().map(|p| p.to_bits()).collect::<Vec<_>>();
    a.experts == b.experts && bits(a) == bits(b)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mole_runtime::engine::Picture;

    use super::super::sums::Part;
    use super::super::testing::{class_token, patch, reply, trace, word};
    use super::*;

    fn picture() -> Picture {
        Picture { name: "a.png".to_string(), bytes: Arc::from([]) }
    }

    /// A prompt about two pictures and a reply.
    fn conversation() -> Trace {
        let mut tokens = vec![word("<s>", &[0, 1], 2), class_token(0, &[1, 1], 2)];
        let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
        tokens.extend(places.map(|(row, column)| patch(0, row, column, &[0, column], 2)));
        tokens.extend(places.map(|(row, column)| patch(1, row, column, &[1, row], 2)));
        tokens.extend([word("what", &[0, 0], 2), reply(" a", &[1, 1], 2), reply(" cat", &[1, 0], 2)]);
        Trace { pictures: vec![picture(), picture()], ..trace(2, 2, tokens) }
    }

    #[test]
    fn however_it_streams_the_digest_is_the_same() {
        let whole = conversation();
        let mut at_once = Digest::new(&whole);
        assert!(at_once.take(&whole, usize::MAX));
        for step in [1, 2, 5] {
            let mut growing = Trace { routing: whole.routing.clone(), ..whole.clone() };
            let mut digest = Digest::new(&growing);
            for length in (0..=whole.routing.tokens.len()).step_by(step).chain([whole.routing.tokens.len()]) {
                growing.routing.tokens = whole.routing.tokens[..length].to_vec();
                assert!(digest.is_of(&growing));
                assert!(digest.take(&growing, usize::MAX));
            }
            assert_eq!(digest.sums(), at_once.sums());
            assert_eq!(digest.pictures(), at_once.pictures());
            assert_eq!(digest.passages(), at_once.passages());
            assert_eq!(digest.favourites, at_once.favourites);
        }
    }

    #[test]
    fn pictures_stand_among_the_words() {
        use Passage::{Picture, Word};
        let trace = conversation();
        let mut digest = Digest::new(&trace);
        digest.take(&trace, usize::MAX);
        assert_eq!(digest.passages(), [Word(0), Picture(0), Picture(1), Word(10), Word(11), Word(12)]);
        let [first, second] = digest.pictures() else { panic!("two pictures") };
        assert_eq!((first.token(1, 0), second.token(0, 0)), (Some(4), Some(6)));
        let shares = |map: &PatchMap| map.sums().load(Part::All, LayerChoice::One(0)).expect("patches").shares;
        // The class token counts though it has no place.
        assert_eq!((shares(first), shares(second)), (vec![0.8, 0.2], vec![0.0, 1.0]));
        assert_eq!(digest.favourite(&trace, 3, LayerChoice::One(1)).expect("a patch").expert, 1);
        assert_eq!(digest.favourite(&trace, 3, LayerChoice::All), Some(Favourite { expert: 0, agreement: 0.5 }));
        assert_eq!(digest.favourite(&trace, 99, LayerChoice::All), None);
    }

    #[test]
    fn a_frame_takes_no_more_than_it_has_time_for() {
        let trace = conversation();
        let mut digest = Digest::new(&trace);
        // 4 probabilities a token.
        assert!(!digest.take(&trace, 20));
        assert_eq!(digest.taken(), 5);
        assert!(!digest.take(&trace, 0), "a token at least, or it would never end");
        assert_eq!(digest.taken(), 6);
        assert!(digest.take(&trace, 28));
        assert_eq!(digest.taken(), 13);
    }

    #[test]
    fn another_trace_begins_anew() {
        let trace = conversation();
        let mut digest = Digest::new(&trace);
        digest.take(&trace, usize::MAX);
        // The same question answered anew, and already longer than the first answer was.
        let mut other = trace.clone();
        other.routing.tokens.truncate(11);
        other.routing.tokens.extend([reply(" no", &[0, 0], 2), reply(" dog", &[0, 1], 2), reply(".", &[0, 0], 2)]);
        assert!(!digest.is_of(&other));
        assert!(digest.take(&other, usize::MAX));
        let load = digest.sums().load(Part::Reply, LayerChoice::One(0)).expect("a reply");
        assert_eq!((load.tokens, load.shares), (3, vec![1.0, 0.0]));
        let renamed = Trace { turn: 9, ..trace.clone() };
        assert!(!digest.is_of(&renamed));
    }

    #[test]
    fn odd_traces_are_digested() {
        let empty = trace(0, 0, Vec::new());
        let mut digest = Digest::new(&empty);
        assert!(digest.take(&empty, 1));
        assert!(digest.passages().is_empty() && digest.pictures().is_empty());
        // A picture that the conversation does not have, and probabilities that are no numbers.
        let mut odd = trace(2, 1, vec![patch(4_000_000_000, 0, 0, &[1], 2), word("a", &[0], 2)]);
        odd.routing.tokens[1].probs = vec![vec![f32::NAN, f32::NAN]];
        let mut digest = Digest::new(&odd);
        assert!(digest.take(&odd, usize::MAX));
        assert!(digest.pictures().is_empty() && digest.is_of(&odd));
        assert_eq!(digest.sums().load(Part::All, LayerChoice::All).expect("two").tokens, 2);
    }
}
