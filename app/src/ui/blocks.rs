//! A long text in pieces that can be laid out one by one: Markdown's top-level blocks, or runs of lines.
//!
//! Only pieces that are seen are laid out, so that a frame costs the same whatever the length of a conversation.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser};

/// Lines of plain text a piece; of Markdown a piece is one paragraph, list, table or block of code.
const LINES: usize = 24;

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By its top-level blocks.
    Markdown,
    /// By its lines.
    Plain,
}

/// A text's pieces, and how high each was when it was last laid out.
#[derive(Debug)]
pub struct Blocks {
    form: Form,
    /// Bytes of the text that were cut; it may have grown since.
    len: usize,
    /// The pieces.
    pub blocks: Vec<Block>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its bytes.
    pub range: Range<usize>,
    /// Its height in points, once it was laid out.
    pub height: Option<f32>,
}

impl Blocks {
    /// Nothing yet.
    pub fn new(form: Form) -> Self {
        Self { form, len: 0, blocks: Vec::new() }
    }

    /// Follows a text that has grown, or is another. What stands before the last piece keeps its height.
    pub fn update(&mut self, text: &str) {
        if text.len() == self.len {
            return;
        }
        if text.len() < self.len {
            self.blocks.clear();
        }
        self.len = text.len();
        // What was last may go on, and so may what was before it: the first character of a table's row is a paragraph.
        let before = self.blocks.split_off(self.blocks.len().saturating_sub(2));
        let start = before.first().map_or(0, |block| block.range.start);
        let rest = &text[start..];
        let ranges = match self.form {
            Form::Markdown => markdown(rest),
            Form::Plain => plain(rest),
        };
        let moved = ranges.into_iter().map(|range| range.start + start..range.end + start);
        let height = |range: &Range<usize>| before.iter().find(|block| block.range == *range)?.height;
        self.blocks.extend(moved.map(|range| Block { height: height(&range), range }));
    }

    /// Forgets the heights: the width or the size of the text has changed.
    pub fn forget_heights(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.height = None);
    }
}

/// What `egui_commonmark` reads besides plain CommonMark: a block is to end where it does for the one that draws it.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_DEFINITION_LIST
}

fn markdown(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut depth = 0;
    for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    ranges.push(range);
                }
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            // A rule or a line of HTML by itself.
            _ if depth == 0 => ranges.push(range),
            _ => {}
        }
    }
    ranges
}

fn plain(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut at, mut lines) = (0, 0, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        lines += 1;
        if lines == LINES {
            ranges.push(start..at);
            (start, lines) = (at, 0);
        }
    }
    if at > start {
        ranges.push(start..at);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# A\n\nOne\ntwo.\n\n- a\n- b\n\n  c\n\n```\nx\n\ny\n```\n\n---\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nEnd";

    fn cut(text: &str) -> Vec<&str> {
        let mut blocks = Blocks::new(Form::Markdown);
        blocks.update(text);
        blocks.blocks.iter().map(|block| text[block.range.clone()].trim_end()).collect()
    }

    #[test]
    fn markdown_is_cut_between_its_blocks() {
        let expected = [
            "# A",
            "One\ntwo.",
            "- a\n- b\n\n  c",
            "```\nx\n\ny\n```",
            "---",
            "| a | b |\n|---|---|\n| 1 | 2 |",
            "End",
        ];
        assert_eq!(cut(TEXT), expected);
        assert_eq!(cut(""), [""; 0]);
    }

    #[test]
    fn a_text_that_grows_is_cut_as_if_it_had_come_at_once() {
        let mut growing = Blocks::new(Form::Markdown);
        for (end, _) in TEXT.char_indices() {
            growing.update(&TEXT[..end]);
        }
        growing.update(TEXT);
        let mut whole = Blocks::new(Form::Markdown);
        whole.update(TEXT);
        assert_eq!(growing.blocks, whole.blocks);
    }

    #[test]
    fn what_is_before_the_last_block_keeps_its_height() {
        let mut blocks = Blocks::new(Form::Markdown);
        blocks.update("One\n\ntwo");
        blocks.blocks.iter_mut().for_each(|block| block.height = Some(7.0));
        blocks.update("One\n\ntwo, three\n\nfour");
        let heights: Vec<_> = blocks.blocks.iter().map(|block| block.height).collect();
        assert_eq!(heights, [Some(7.0), None, None]);
        blocks.update("x");
        assert_eq!(blocks.blocks, [Block { range: 0..1, height: None }]);
    }

    #[test]
    fn plain_text_is_cut_by_lines_and_nothing_is_lost() {
        let text: String = (0..60).map(|i| format!("{i}\n")).collect();
        let mut blocks = Blocks::new(Form::Plain);
        blocks.update(&text);
        assert_eq!(blocks.blocks.len(), 3);
        let joined: String = blocks.blocks.iter().map(|block| &text[block.range.clone()]).collect();
        assert_eq!(joined, text);
    }
}
