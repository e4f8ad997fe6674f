//! A set of samples on disk: `data.jsonl` in LLaVA's format beside `images/`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::draw::Draw;
use crate::select::Tally;
use crate::{Domain, Error, Question, Result, scene};

/// What to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the pictures are of.
    pub domain: Domain,
    /// How many pictures.
    pub samples: usize,
    /// Which set: sets of different seeds have nothing in common.
    pub seed: u64,
    /// Questions about each picture, as turns of one conversation; fewer where a picture does not have as many.
    pub turns: usize,
    /// Types of question; all that the domain usually asks where it is empty.
    pub question_types: Vec<String>,
    /// Only pictures with at most so many objects, entries or nuclei.
    pub most_items: Option<usize>,
}

/// So many scenes in a row without a fitting one, and there is none.
const MOST_UNFIT: u64 = 2_000;

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Pictures.
    pub pictures: usize,
    /// Questions.
    pub questions: usize,
    /// Of always giving the most frequent answer of a question's type, over all questions: a fraction.
    pub baseline: f64,
    /// Each type.
    pub types: Vec<TypeSummary>,
}

/// The questions of a type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeSummary {
    /// Its name.
    pub question_type: &'static str,
    /// How many there are.
    pub questions: usize,
    /// How many different answers they have.
    pub answers: usize,
    /// The most frequent of them.
    pub most_frequent: String,
    /// Of always giving it: a fraction.
    pub baseline: f64,
}

/// A line of `data.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    image: String,
    domain: &'static str,
    question_types: Vec<&'static str>,
    conversations: Vec<Turn<'a>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    from: &'static str,
    value: std::borrow::Cow<'a, str>,
}

/// Writes a set into a folder, which is made where there is none. `data.jsonl` appears when all pictures are there.
///
/// # Errors
/// A type that the domain does not have, items so few that no picture has them, a folder that already holds a set, or
/// one that cannot be written.
pub fn write(request: &Request, folder: &Path, on_sample: &mut dyn FnMut(usize)) -> Result<Summary> {
    let Request { domain, seed, turns, most_items, .. } = *request;
    let wanted = question_types(request)?;
    let (images, data) = (folder.join("images"), folder.join("data.jsonl"));
    if data.exists() {
        return Err(Error::Exists { path: folder.to_owned() });
    }
    fs::create_dir_all(&images).map_err(|source| Error::Write { path: images.clone(), source })?;
    let partial = folder.join("data.jsonl.partial");
    let failed = |source| Error::Write { path: partial.clone(), source };
    let mut lines = BufWriter::new(File::create(&partial).map_err(failed)?);
    let mut tally = Tally::default();
    let mut next = 0;
    for sample in 0..request.samples {
        // A scene with too many items, or with no question of the wanted types, is passed over.
        let first = next;
        let (index, picture, questions) = loop {
            let mut draw = Draw::new(domain, seed, next);
            next += 1;
            let mut scene = scene(domain, &mut draw);
            scene.questions.retain(|question| wanted.contains(&question.question_type));
            if most_items.is_none_or(|most| scene.items <= most) && !scene.questions.is_empty() {
                break (next - 1, scene.picture, tally.choose(scene.questions, turns, &mut draw));
            }
            if next - first == MOST_UNFIT {
                return Err(Error::NoPicture { domain: domain.name(), most_items });
            }
        };
        let image = format!("{}-{seed}-{index:06}.png", domain.name());
        write_png(&picture, images.join(&image))?;
        let line = serde_json::to_string(&line(domain, image, &questions)).expect("strings become JSON");
        writeln!(lines, "{line}").map_err(failed)?;
        on_sample(sample + 1);
    }
    lines.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    fs::rename(&partial, &data).map_err(|source| Error::Write { path: data.clone(), source })?;
    Ok(summary(request.samples, &tally))
}

fn question_types(request: &Request) -> Result<Vec<&'static str>> {
    let usual = request.domain.question_types();
    if request.question_types.is_empty() {
        return Ok(usual.to_vec());
    }
    let known: Vec<&'static str> = usual.iter().chain(request.domain.extra_types()).copied().collect();
    let find = |name: &String| {
        known.iter().copied().find(|known| known == name).ok_or_else(|| Error::QuestionType {
            domain: request.domain.name(),
            name: name.clone(),
            known: known.join(", "),
        })
    };
    request.question_types.iter().map(find).collect()
}

fn line(domain: Domain, image: String, questions: &[Question]) -> Line<'_> {
    let mut conversations = Vec::with_capacity(2 * questions.len());
    for (turn, question) in questions.iter().enumerate() {
        let value =
            if turn == 0 { format!("<image>\n{}", question.text).into() } else { question.text.as_str().into() };
        conversations.push(Turn { from: "human", value });
        conversations.push(Turn { from: "gpt", value: question.answer.as_str().into() });
    }
    let id = image.trim_end_matches(".png").to_owned();
    let question_types = questions.iter().map(|question| question.question_type).collect();
    Line { id, image, domain: domain.name(), question_types, conversations }
}

fn write_png(picture: &image::RgbImage, path: PathBuf) -> Result<()> {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    picture.write_with_encoder(encoder).expect("a picture in memory becomes a PNG");
    fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
}

fn summary(pictures: usize, tally: &Tally) -> Summary {
    let (mut questions, mut right) = (0, 0);
    let types = tally.types().map(|(question_type, asked, answers, (most_frequent, count))| {
        (questions, right) = (questions + asked, right + count);
        let baseline = count as f64 / asked as f64;
        TypeSummary { question_type, questions: asked, answers, most_frequent: most_frequent.to_owned(), baseline }
    });
    let types = types.collect();
    Summary { pictures, questions, baseline: right as f64 / questions.max(1) as f64, types }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn request(domain: Domain, types: &[&str]) -> Request {
        let question_types = types.iter().map(|name| name.to_string()).collect();
        Request { domain, samples: 3, seed: 11, turns: 50, question_types, most_items: None }
    }

    /// The types of the questions in a set that is written.
    fn written(request: &Request) -> BTreeSet<String> {
        let folder = tempfile::tempdir().expect("a folder");
        write(request, folder.path(), &mut |_| {}).expect("a set");
        let lines = fs::read_to_string(folder.path().join("data.jsonl")).expect("the set");
        let types = |line: &str| -> Vec<String> {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            serde_json::from_value(line["question_types"].clone()).expect("the types")
        };
        lines.lines().flat_map(types).collect()
    }

    #[test]
    fn extra_types_are_asked_only_where_they_are_named() {
        for domain in Domain::ALL {
            let (usual, extra) = (domain.question_types(), domain.extra_types());
            assert!(extra.contains(&"map") && extra.iter().all(|name| !usual.contains(name)), "{}", domain.name());
            // All that three pictures have to ask.
            let unnamed = written(&request(domain, &[]));
            assert!(!unnamed.is_empty() && unnamed.iter().all(|name| usual.contains(&name.as_str())), "{unnamed:?}");
            for name in extra {
                assert_eq!(written(&request(domain, &[name])), BTreeSet::from([name.to_string()]));
            }
            assert_eq!(question_types(&request(domain, &["map", usual[0]])).expect("both"), ["map", usual[0]]);
        }
    }

    #[test]
    fn pictures_have_no_more_items_than_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        let few = Request { samples: 40, most_items: Some(2), ..request(Domain::General, &["inventory"]) };
        write(&few, folder.path(), &mut |_| {}).expect("a set");
        let lines = fs::read_to_string(folder.path().join("data.jsonl")).expect("the set");
        let counts = lines.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["conversations"][1]["value"].as_str().expect("text").split(' ').next().expect("a count").to_owned()
        });
        assert_eq!(counts.collect::<BTreeSet<_>>(), BTreeSet::from(["one".to_owned(), "two".to_owned()]));

        let none = Request { most_items: Some(1), ..request(Domain::Document, &[]) };
        let other = tempfile::tempdir().expect("a folder");
        let error = write(&none, other.path(), &mut |_| {}).expect_err("every page has two entries").to_string();
        assert!(error.contains("at most 1"), "{error}");
        assert!(!other.path().join("data.jsonl").exists());
    }

    #[test]
    fn an_unknown_type_is_refused_with_all_that_there_are() {
        for domain in Domain::ALL {
            let error = question_types(&request(domain, &["map", "maps"])).expect_err("no such type").to_string();
            assert!(error.contains("type maps;"), "{error}");
            assert!(domain.question_types().iter().chain(domain.extra_types()).all(|name| error.contains(name)));
        }
    }
}
