//! One picture's patches: which token stands for each, and how they are spread over the experts.

use mole_runtime::engine::RoutedToken;

use super::sums::Sums;

/// A picture's patches.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchMap {
    per_side: usize,
    /// `[rows, columns]`: the place of the patch in the trace's tokens.
    tokens: Vec<Option<usize>>,
    sums: Sums,
}

impl PatchMap {
    /// A picture none of whose patches came yet.
    pub(super) fn new(per_side: usize, experts: usize, layers: usize) -> Self {
        Self { per_side, tokens: vec![None; per_side * per_side], sums: Sums::new(experts, layers) }
    }

    /// Puts the trace's token `at` into its place; one without a place is only counted.
    pub(super) fn add(&mut self, at: usize, token: &RoutedToken) {
        self.sums.add(token);
        let place = token.patch.filter(|place| place.row < self.per_side && place.column < self.per_side);
        if let Some(place) = place {
            self.tokens[place.row * self.per_side + place.column] = Some(at);
        }
    }

    /// Patches in a row, and rows.
    pub fn per_side(&self) -> usize {
        self.per_side
    }

    /// The trace's token that stands for a patch, if it came already.
    pub fn token(&self, row: usize, column: usize) -> Option<usize> {
        let inside = row < self.per_side && column < self.per_side;
        self.tokens.get(row * self.per_side + column).copied().flatten().filter(|_| inside)
    }

    /// Every patch that came: row, column, the trace's token.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let side = self.per_side.max(1);
        self.tokens.iter().enumerate().filter_map(move |(cell, token)| Some((cell / side, cell % side, (*token)?)))
    }

    /// How all that stands for the picture is spread over the experts.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerChoice;
    use super::super::sums::Part;
    use super::super::testing::{class_token, patch};
    use super::*;

    #[test]
    fn patches_are_found_by_place() {
        let mut map = PatchMap::new(2, 3, 1);
        map.add(10, &class_token(0, &[2], 3));
        map.add(11, &patch(0, 0, 0, &[0], 3));
        map.add(14, &patch(0, 1, 1, &[1], 3));
        map.add(15, &patch(0, 2, 0, &[1], 3));
        assert_eq!((map.token(0, 0), map.token(1, 1), map.token(0, 1)), (Some(11), Some(14), None));
        assert_eq!((map.token(0, 2), map.token(2, 0)), (None, None), "beyond the picture");
        assert_eq!(map.iter().collect::<Vec<_>>(), [(0, 0, 11), (1, 1, 14)]);
        let load = map.sums().load(Part::Image, LayerChoice::All).expect("patches");
        assert_eq!((load.tokens, load.shares), (4, vec![0.25, 0.5, 0.25]));
    }
}
