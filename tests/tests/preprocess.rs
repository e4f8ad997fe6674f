//! Pictures, tokens and chat prompts against Pillow and transformers, by the fixtures.

use mole_runtime::image::{PreprocessorConfig, decode};
use mole_runtime::text::{ChatTemplate, DecodeStream, Message, Role, Tokenizer};
use mole_tests::{Tolerance, difference, fixtures};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join(path)).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}"))
}

#[test]
fn pictures_come_out_as_pillows() {
    let bytes = std::fs::read(fixtures().join("preprocess.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let cases = json("preprocess.json");
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 20);
    let mut worst = Vec::new();
    for case in cases {
        let (name, file) = (text(case, "name"), text(case, "picture"));
        let config = serde_json::to_vec(&case["preprocessor_config"]).unwrap();
        let preprocessor = PreprocessorConfig::from_json(&config, name).unwrap().init(None);
        let picture = decode(&std::fs::read(fixtures().join("pictures").join(file)).unwrap(), file).unwrap();

        let pixels = preprocessor.pixels(&picture).unwrap();
        let wanted = expected.tensor(&format!("{name}.u8")).unwrap();
        assert_eq!(wanted.dtype(), Dtype::U8);
        assert_eq!([pixels.height(), pixels.width(), 3], wanted.shape(), "{name}");
        let off = pixels.pixels().iter().zip(wanted.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        worst.push((name, file, off));

        // Normalised values follow from the bytes; where those agree, so must these, to rounding.
        let wanted = expected.tensor(&format!("{name}.pixels")).unwrap();
        let wanted: Vec<f32> = wanted.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let values = preprocessor.preprocess(&picture).unwrap();
        assert_eq!(wanted.len(), values.data.len(), "{name}");
        if off == 0 {
            let tolerance = Tolerance { absolute: 1e-6, relative: 1e-6 };
            assert_eq!(difference(&values.data, &wanted, tolerance), None, "{name}");
        }
    }
    eprintln!("largest difference in bytes: {worst:?}");
    for (name, file, off) in worst {
        // Two JPEG decoders may round differently; everything else is the same arithmetic.
        let allowed = if file.ends_with(".jpg") { 2 } else { 0 };
        assert!(off <= allowed, "{name}: {off}/255, at most {allowed} allowed");
    }
}

#[test]
fn tokens_are_those_of_transformers() {
    let tokens = json("tokens.json");
    for (path, cases) in tokens.as_object().unwrap() {
        let file = std::fs::read(fixtures().join(path)).unwrap();
        let tokenizer = Tokenizer::from_json(&file, None).unwrap();
        let ids = |case: &Value| -> Vec<u32> {
            case["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
        };
        for case in cases["encode"].as_array().unwrap() {
            assert_eq!(tokenizer.encode(text(case, "text")).unwrap(), ids(case), "{path}: {case}");
        }
        for case in cases["encode"].as_array().unwrap().iter().chain(cases["decode"].as_array().unwrap()) {
            let whole = tokenizer.decode(&ids(case)).unwrap();
            assert_eq!(whole, text(case, "decoded"), "{path}: {case}");
            let mut stream = DecodeStream::new(&tokenizer);
            let mut pieces = String::new();
            for id in ids(case) {
                pieces.extend(stream.push(id).unwrap());
            }
            pieces.extend(stream.finish().unwrap());
            assert_eq!(pieces, whole, "{path}: streamed: {case}");
        }
    }
}

/// A message of the fixture as the runtime takes it.
fn message(value: &Value) -> Message {
    let role = match text(value, "role") {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => panic!("{other}"),
    };
    match &value["content"] {
        Value::String(content) => Message { role, text: content.clone(), images: content.matches("<image>").count() },
        parts => {
            let parts = parts.as_array().unwrap();
            let of = |kind: &str| parts.iter().filter(|part| part["type"] == kind).collect::<Vec<_>>();
            let words = of("text").into_iter().map(|part| text(part, "text")).collect::<Vec<_>>().join("");
            Message { role, text: words, images: of("image").len() }
        }
    }
}

#[test]
fn chat_prompts_are_those_of_transformers() {
    let chat = json("chat.json");
    let mut checked = 0;
    for case in chat["cases"].as_array().unwrap() {
        // The runtime always asks for the answer.
        if case["add_generation_prompt"] != true {
            continue;
        }
        let name = text(case, "name");
        let source = text(&chat["templates"], text(case, "template"));
        let (bos, eos) = (chat["bos_token"].as_str(), chat["eos_token"].as_str());
        let template = ChatTemplate::from_source(source, name, bos, eos).unwrap();
        let messages: Vec<Message> = case["messages"].as_array().unwrap().iter().map(message).collect();
        match case["expected"].as_str() {
            Some(expected) => assert_eq!(template.render(&messages).unwrap(), expected, "{name}"),
            None => {
                let error = template.render(&messages).expect_err(name).to_string();
                assert!(error.contains(text(case, "error")), "{name}: {error}");
            }
        }
        checked += 1;
    }
    assert!(checked >= 20, "{checked}");
}
