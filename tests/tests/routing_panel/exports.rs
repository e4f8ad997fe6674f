//! What is saved, read back.

use egui_kittest::kittest::Queryable;
use llava_mole::state::Action;

use super::{demo, state, window};

/// What a button saves: a name and a file.
fn saved(button: &str) -> (String, Vec<u8>) {
    let mut window = window(state(Some(demo::chart())));
    window.get_by_label(button).click();
    window.run();
    match window.state_mut().actions.pop() {
        Some(Action::Save { name, bytes }) => (name, bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_is_what_the_command_line_writes() {
    let (name, bytes) = saved("Save as JSON");
    assert_eq!(name, "A chart routing.json");
    let routing = demo::chart().routing;
    assert_eq!(bytes, serde_json::to_vec(&routing).expect("JSON"));
    let object: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(object["tokens"].as_array().map(Vec::len), Some(routing.tokens.len()));
    let p = object["tokens"][0]["probs"][0][0].as_f64().expect("a number");
    assert_eq!(p as f32, routing.tokens[0].probs[0][0]);
}

#[test]
fn csv_has_every_number() {
    let (name, bytes) = saved("Save as CSV");
    assert_eq!(name, "A chart routing.csv");
    let mut records = records(&String::from_utf8(bytes).expect("UTF-8")).into_iter();
    let header = records.next().expect("a header");
    assert_eq!(header[..9], ["position", "part", "image", "row", "column", "id", "text", "layer", "expert"]);
    let routing = demo::chart().routing;
    for (position, token) in routing.tokens.iter().enumerate() {
        for (at, layer) in routing.layers.iter().enumerate() {
            let record = records.next().expect("a line a token and layer");
            let number = |n: Option<usize>| n.map_or(String::new(), |n| n.to_string());
            assert_eq!(record[0], position.to_string());
            assert_eq!(record[2], number(token.image));
            assert_eq!(record[3..5], [number(token.patch.map(|p| p.row)), number(token.patch.map(|p| p.column))]);
            assert_eq!(record[6], token.text);
            assert_eq!((&record[7], &record[8]), (&layer.to_string(), &token.experts[at].to_string()));
            let probs: Vec<f32> = record[9..].iter().map(|p| p.parse().expect("a number")).collect();
            assert_eq!(probs, token.probs[at]);
        }
    }
    assert_eq!(records.next(), None);
}

/// The fields of every line, as RFC 4180 has them.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => field.extend(chars.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => record.push(std::mem::take(&mut field)),
            ('\r', false) => {
                assert_eq!(chars.next(), Some('\n'), "lines end in CRLF");
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            (c, _) => field.push(c),
        }
    }
    assert!(field.is_empty() && record.is_empty() && !quoted, "the last line ends too");
    records
}

#[test]
fn png_is_a_picture_of_it() {
    let (name, bytes) = saved("Save as PNG");
    assert_eq!(name, "A chart routing.png");
    let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).expect("a PNG").to_rgb8();
    assert!(picture.width() > 400 && picture.height() > picture.width(), "the picture, and the layers below it");
    assert_eq!(picture.get_pixel(1, 1).0, [255; 3], "on white");
    let colors: std::collections::HashSet<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
    for expert in 0..3 {
        let llava_mole::palette::Rgb(r, g, b) = llava_mole::palette::expert_color(expert);
        assert!(colors.contains(&[r, g, b]), "the square of expert {expert}");
    }
}
