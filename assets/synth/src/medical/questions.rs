//! What can be asked about a field.
//!
//! A scene offers each thing in one wording. Not every scene offers everything: where an answer is right more often than
//! the others (two fields in three have a cluster), it is offered less often, so that no answer is the better guess. In
//! `verify`, each statement is drawn true or false by a coin first, so that its wording does not tell which.

use super::findings::{Atypia, Band, Fibers, Findings, Side};
use super::stain::Stain;
use crate::Question;
use crate::draw::Draw;

/// The types of question that are asked.
pub(crate) const QUESTION_TYPES: &[&str] =
    &["stain", "count", "atypia", "cluster", "side", "glands", "fibers", "verify"];

const STAIN: &[&str] = &[
    "Which stain was used?",
    "What stain is this?",
    "Name the stain of this section.",
    "Which staining method does the field show?",
    "How was this tissue stained?",
];
const COUNT: &[&str] = &[
    "How many nuclei are there?",
    "How many cells are there?",
    "How many nuclei does the field contain?",
    "What is the number of nuclei?",
    "Estimate the nuclear count.",
    "Into which band does the cell count fall?",
];
const ATYPIA: &[&str] = &[
    "What is the grade of atypia?",
    "Grade the nuclear atypia.",
    "How atypical are the nuclei?",
    "Which degree of atypia do the nuclei show?",
    "How strong is the nuclear atypia?",
];
const CLUSTER: &[&str] = &[
    "Is there an inflammation cluster?",
    "Is there a cluster?",
    "Is inflammation present?",
    "Does the field contain an inflammatory infiltrate?",
    "Do you see a cluster of inflammatory cells?",
];
const SIDE: &[&str] = &[
    "Where is the inflammation cluster?",
    "Where is the cluster?",
    "On which side is the inflammation?",
    "On which side does the infiltrate lie?",
    "Which side of the field is inflamed?",
];
const GLANDS: &[&str] = &[
    "How many glands are there?",
    "What is the number of glands?",
    "Count the glands.",
    "How many glandular lumina are visible?",
    "How many glands does the field contain?",
];
const FIBERS: &[&str] = &[
    "In which direction do the fibers run?",
    "How are the stromal fibers oriented?",
    "What is the orientation of the stroma?",
    "Which way do the collagen fibers run?",
];
const CAPTION: &[&str] = &[
    "Describe the picture in one sentence.",
    "Write a short report.",
    "Summarize the findings in one line.",
    "Give a brief microscopic description.",
    "What does the picture show?",
];

/// Everything that a scene offers.
pub(super) fn ask(findings: &Findings, draw: &mut Draw) -> Vec<Question> {
    let mut questions = vec![
        question("stain", STAIN, findings.stain.name(), draw),
        question("count", COUNT, findings.band.name(), draw),
        question("atypia", ATYPIA, findings.atypia.name(), draw),
        question("glands", GLANDS, &findings.glands.to_string(), draw),
        question("fibers", FIBERS, findings.fibers.name(), draw),
        question("caption", CAPTION, &caption(findings), draw),
    ];
    // One field in three has no cluster, one in six has it at a given side: halved where they are too many, both
    // answers of `cluster` and all five of `side` are offered equally often.
    if findings.cluster.is_none() || draw.chance(0.5) {
        questions.push(question("cluster", CLUSTER, yes_no(findings.cluster.is_some()), draw));
    }
    if findings.cluster.is_some() || draw.chance(0.5) {
        questions.push(question("side", SIDE, findings.cluster.map_or("none", Side::name), draw));
    }
    statements(findings, &mut questions, draw);
    questions
}

fn question(question_type: &'static str, wordings: &[&str], answer: &str, draw: &mut Draw) -> Question {
    Question { question_type, text: (*draw.pick(wordings)).to_owned(), answer: answer.to_owned() }
}

/// Statements to be confirmed or denied, one about each finding.
fn statements(findings: &Findings, questions: &mut Vec<Question>, draw: &mut Draw) {
    let (stain, right) = claim(&Stain::ALL, findings.stain, draw);
    questions.push(verify(&["Is the stain {}?", "Is this section stained with {}?"], stain.name(), right, draw));
    let (band, right) = claim(&Band::ALL, findings.band, draw);
    questions.push(verify(&["Are there {} nuclei?", "Is the nuclear count {}?"], band.name(), right, draw));
    let (atypia, right) = claim(&Atypia::ALL, findings.atypia, draw);
    let wordings = ["Is the atypia {}?", "Would you grade the atypia as {}?"];
    questions.push(verify(&wordings, atypia.name(), right, draw));
    let (fibers, right) = claim(&Fibers::ALL, findings.fibers, draw);
    questions.push(verify(&["Are the fibers {}?", "Is the direction of the fibers {}?"], fibers.name(), right, draw));
    if let Some(side) = findings.cluster {
        let (side, right) = claim(&Side::ALL, side, draw);
        questions.push(verify(&["Is the cluster {}?", "Is the inflammation {}?"], side.place(), right, draw));
    }
    // Three fields in four have glands.
    if findings.glands == 0 || draw.below(3) == 0 {
        questions.push(verify(&["Are there {}?", "Does the field contain {}?"], "glands", findings.glands > 0, draw));
    }
}

fn verify(wordings: &[&str], about: &str, right: bool, draw: &mut Draw) -> Question {
    let text = draw.pick(wordings).replace("{}", about);
    Question { question_type: "verify", text, answer: yes_no(right).to_owned() }
}

/// The fact as often as something else, and each value as often in a right claim as in a wrong one.
fn claim<T: Copy + PartialEq>(all: &[T], fact: T, draw: &mut Draw) -> (T, bool) {
    if draw.chance(0.5) {
        return (fact, true);
    }
    let others: Vec<T> = all.iter().copied().filter(|other| *other != fact).collect();
    (*draw.pick(&others), false)
}

/// A report of all findings, always in the same order.
fn caption(findings: &Findings) -> String {
    let Findings { stain, band, atypia, cluster, glands, fibers } = *findings;
    let atypia = if atypia == Atypia::None { "no" } else { atypia.name() };
    let glands = match glands {
        0 => "no glands".to_owned(),
        1 => "1 gland".to_owned(),
        more => format!("{more} glands"),
    };
    let cluster = cluster.map_or("no cluster".to_owned(), |side| format!("cluster at the {}", side.name()));
    let (stain, band, fibers) = (stain.name(), band.name(), fibers.name());
    format!("{stain} stain, {band} nuclei, {atypia} atypia, {glands}, {cluster}, {fibers} fibers")
}

fn yes_no(right: bool) -> &'static str {
    if right { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::layout::Layout;
    use super::*;
    use crate::Domain;
    use crate::canvas::SIDE;

    /// The questions about a field that is not laid out.
    fn offered(index: u64) -> Vec<Question> {
        let mut draw = Draw::new(Domain::Medical, 11, index);
        ask(&Findings::draw(&mut draw), &mut draw)
    }

    /// What the layout shows, worked out without the findings where it can be.
    struct Seen {
        nuclei: usize,
        glands: usize,
        side: &'static str,
        atypia: &'static str,
        stain: &'static str,
        fibers: &'static str,
    }

    fn see(findings: &Findings, layout: &Layout) -> Seen {
        let third = SIDE / 3.0;
        let side = layout.cluster.as_ref().map_or("none", |cluster| {
            let holds_all = |side: &Side| {
                cluster.dots.iter().all(|&(x, y)| match side {
                    Side::Left => x < third,
                    Side::Right => x > SIDE - third,
                    Side::Top => y < third,
                    Side::Bottom => y > SIDE - third,
                })
            };
            let sides: Vec<_> = Side::ALL.into_iter().filter(holds_all).collect();
            assert_eq!(sides.len(), 1, "the dots lie in the outer third of one side");
            sides[0].name()
        });
        let radii = || layout.nuclei.iter().map(|nucleus| nucleus.size.radius);
        let ratio = radii().fold(0.0, f32::max) / radii().fold(f32::INFINITY, f32::min);
        let atypia = match ratio {
            ratio if ratio < 1.1 => "none",
            ratio if ratio < 1.7 => "mild",
            ratio if ratio < 2.1 => "moderate",
            _ => "severe",
        };
        let (stain, fibers) = (findings.stain.name(), findings.fibers.name());
        Seen { nuclei: layout.nuclei.len(), glands: layout.glands.len(), side, atypia, stain, fibers }
    }

    fn inside_band(band: &str, count: usize) -> bool {
        let (low, high) = band.split_once('-').expect("a band has two ends");
        // Two away from the borders within the picture, but for the outermost.
        let (low, high): (usize, usize) = (low.parse().unwrap(), high.parse().unwrap());
        (low + 2..=high - 2).contains(&count)
    }

    /// Whether a statement of `verify` is right.
    fn holds(text: &str, seen: &Seen) -> bool {
        let about = text.trim_end_matches('?').rsplit(' ').next().unwrap();
        if text.contains("stain") {
            about == seen.stain
        } else if text.contains("nucle") {
            inside_band(text.split([' ', '?']).find(|word| word.contains('-')).unwrap(), seen.nuclei)
        } else if text.contains("atypia") {
            about == seen.atypia
        } else if text.contains("fibers") {
            about == seen.fibers
        } else if text.contains("glands") {
            seen.glands > 0
        } else {
            assert!(text.contains("cluster") || text.contains("inflammation"), "{text}");
            about == seen.side
        }
    }

    #[test]
    fn answers_are_what_the_layout_shows() {
        for index in 0..400 {
            let mut draw = Draw::new(Domain::Medical, 11, index);
            let findings = Findings::draw(&mut draw);
            let seen = see(&findings, &Layout::draw(&findings, &mut draw));
            let questions = ask(&findings, &mut draw);
            for Question { question_type, text, answer } in questions {
                let right = match question_type {
                    "stain" => answer == seen.stain,
                    "count" => inside_band(&answer, seen.nuclei),
                    "atypia" => answer == seen.atypia,
                    "cluster" => (answer == "yes") == (seen.side != "none"),
                    "side" => answer == seen.side,
                    "glands" => answer == seen.glands.to_string(),
                    "fibers" => answer == seen.fibers,
                    "verify" => (answer == "yes") == holds(&text, &seen),
                    "caption" => {
                        let parts: Vec<&str> = answer.split([',', ' ']).filter(|part| !part.is_empty()).collect();
                        let grade = if parts[4] == "no" { "none" } else { parts[4] };
                        let glands = if parts[6] == "no" { "0" } else { parts[6] };
                        let side = parts[parts.len() - 3];
                        parts[0] == seen.stain
                            && inside_band(parts[2], seen.nuclei)
                            && grade == seen.atypia
                            && glands == seen.glands.to_string()
                            && (side == seen.side || (side == "cluster" && seen.side == "none"))
                            && parts[parts.len() - 2] == seen.fibers
                    }
                    other => panic!("unknown type {other}"),
                };
                assert!(right, "field {index}: {text} {answer}");
            }
        }
    }

    #[test]
    fn the_types_are_those_that_scenes_offer() {
        let offered: BTreeSet<_> = (0..50).flat_map(offered).map(|question| question.question_type).collect();
        assert_eq!(offered, QUESTION_TYPES.iter().copied().chain(["caption"]).collect());
    }

    #[test]
    fn no_wording_tells_its_answer() {
        let mut answers: BTreeMap<&str, BTreeMap<String, BTreeMap<String, f64>>> = BTreeMap::new();
        for question in (0..6000).flat_map(offered).filter(|question| question.question_type != "caption") {
            let of = answers.entry(question.question_type).or_default().entry(question.text).or_default();
            *of.entry(question.answer).or_default() += 1.0;
        }
        for (question_type, wordings) in answers {
            assert!(wordings.len() >= 4, "{question_type} has {} wordings", wordings.len());
            let kinds: BTreeSet<_> = wordings.values().flat_map(BTreeMap::keys).collect();
            for (text, counts) in &wordings {
                let (all, most) = (counts.values().sum::<f64>(), counts.values().fold(0.0_f64, |a, b| a.max(*b)));
                // Four standard deviations above an even share.
                let share = 1.0 / kinds.len() as f64;
                let bound = share + 4.0 * (share * (1.0 - share) / all).sqrt();
                assert!(most / all < bound, "{text}: {counts:?}");
            }
        }
    }
}
