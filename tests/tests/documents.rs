//! The documents against the program: their configurations parse, and the guide's tables of fields and of memory are what
//! the program says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mole_runtime::device::AdapterKind;
use mole_runtime::model::{LlavaConfig, MemoryEstimate, Precision, gigabytes};
use mole_runtime::train::{TrainConfig, TrainMemory, trained_parameters};
use serde_json::{Value, json};

const GUIDE: &str = "docs/finetuning.md";

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_example_parses() {
    let config = TrainConfig::parse(&read("docs/llava-1.5-7b.toml"), "docs/llava-1.5-7b.toml").unwrap();
    let names = |sources: &[mole_runtime::data::DataSource]| -> Vec<String> {
        sources.iter().map(|source| source.name.clone()).collect()
    };
    assert_eq!(names(&config.data), ["general", "document", "medical"]);
    assert_eq!(names(&config.eval), names(&config.data));
    assert_eq!(config.window(), 128);
    assert_eq!(config.adapter().mole.map(|mole| mole.experts), Some(3));
}

#[test]
fn the_readmes_configuration_parses() {
    let text = read("README.md");
    let (_, block) = text.split_once("```toml\n").expect("the README shows a configuration");
    let block = block.split("```").next().unwrap_or_default();
    let config = TrainConfig::parse(block, "README.md").unwrap_or_else(|error| panic!("{error}:\n{block}"));
    assert_eq!(config.window(), 128);
}

/// What must be there, section by section; all else has a default.
const REQUIRED: &[(&str, &str)] = &[
    ("", "model = \"m\"\noutput = \"o\"\n"),
    ("[lora]", "rank = 1\nalpha = 1\n"),
    ("[mole]", "experts = 2\nrank = 1\nalpha = 1\n"),
    ("[[data]]", "name = \"a\"\npath = \"a\"\n"),
    ("[[eval]]", "name = \"a\"\npath = \"a\"\n"),
    ("[train]", "steps = 1\nlr = 1e-4\n"),
];

/// A configuration of all sections, with `extra` at the beginning of one of them.
fn configuration(section: &str, extra: &str) -> mole_runtime::Result<TrainConfig> {
    let part = |(name, lines): &(&str, &str)| {
        let extra = if *name == section { extra } else { "" };
        format!("{name}\n{extra}{lines}")
    };
    TrainConfig::parse(&REQUIRED.iter().map(part).collect::<String>(), "test")
}

/// The fields that a section knows, as its parser lists them.
fn known(section: &str) -> BTreeSet<String> {
    let error = configuration(section, "unheard_of = 1\n").unwrap_err().to_string();
    let (_, list) = error.split_once("expected one of").unwrap_or_else(|| panic!("{error}"));
    let fields = list.split('`').skip(1).step_by(2).map(str::to_string);
    fields.filter(|field| !["lora", "mole", "data", "eval", "train"].contains(&field.as_str())).collect()
}

/// What the guide's second column says of a field.
fn default_of(section: &str, field: &str, whole: &Value) -> String {
    let required = REQUIRED.iter().find(|(name, _)| *name == section).unwrap().1;
    let part = match section.trim_matches(['[', ']']) {
        "" => whole,
        name if section.starts_with("[[") => &whole[name][0],
        name => &whole[name],
    };
    match &part[field] {
        _ if ["steps", "epochs"].contains(&field) => "one of the two".to_string(),
        _ if required.lines().any(|line| line.starts_with(&format!("{field} ="))) => "required".to_string(),
        Value::Null => "none".to_string(),
        Value::Number(number) => format!("`{}`", number.as_f64().unwrap()),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(Value::to_string).collect();
            format!("`[{}]`", list.join(", "))
        }
        value => format!("`{value}`"),
    }
}

#[test]
fn the_guide_names_every_field_and_its_default() {
    let text = read(GUIDE);
    let (_, chapter) = text.split_once("\n## The configuration").expect("a chapter on the configuration");
    let chapter = chapter.split("\n## ").next().unwrap();
    // `### [lora]`: the section; a line that begins with a field in backquotes: its row.
    let mut documented: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut sections = Vec::new();
    for line in chapter.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            sections = heading.split('`').skip(1).step_by(2).map(str::to_string).collect();
            if sections.is_empty() {
                sections.push(String::new());
            }
        } else if let Some((field, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let default = rest.split(" | ").next().unwrap().to_string();
            for section in &sections {
                documented.entry(section.clone()).or_default().insert(field.to_string(), default.clone());
            }
        }
    }
    let whole = serde_json::to_value(configuration("", "").unwrap()).unwrap();
    for (section, _) in REQUIRED {
        let fields = known(section);
        let expected: BTreeMap<String, String> =
            fields.iter().map(|field| (field.clone(), default_of(section, field, &whole))).collect();
        let found = documented.remove(*section).unwrap_or_default();
        assert_eq!(found, expected, "the guide's rows for {section:?}, and what the program knows");
    }
    assert!(documented.is_empty(), "sections that do not exist: {documented:?}");
}

/// The settings of the guide's memory table: what it calls them, and the sections of the configuration.
const EXPERTS: (&str, &str) = (
    "3 experts of rank 32, attention LoRA of rank 32",
    "[lora]\nrank = 32\nalpha = 64\n[mole]\nexperts = 3\nrank = 32\nalpha = 64\n",
);
const LORA: (&str, &str) = (
    "LoRA of rank 128 on all seven projections",
    "[lora]\nrank = 128\nalpha = 256\ntargets = [\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \
     \"up_proj\", \"down_proj\"]\n",
);
const PROJECTOR: (&str, &str) = ("projector", "");
const FULL: (&str, &str) = ("every weight", "");

/// Memory of cards, in GB.
const CARDS: [u64; 6] = [8, 12, 16, 24, 48, 80];

/// The published config of LLaVA-1.5-7B; what it leaves out are the defaults of its parts.
fn llava_7b() -> LlavaConfig {
    llava(json!({ "model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096 }))
}

fn llava_13b() -> LlavaConfig {
    llava(json!({ "model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096, "hidden_size": 5120,
        "intermediate_size": 13824, "num_attention_heads": 40, "num_hidden_layers": 40 }))
}

fn llava(text: Value) -> LlavaConfig {
    let json = json!({ "model_type": "llava", "image_token_index": 32000, "text_config": text,
        "vision_config": { "model_type": "clip_vision_model", "hidden_size": 1024, "image_size": 336,
            "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14 } });
    LlavaConfig::from_json(&json, None, None).unwrap()
}

fn row(precision: Precision, (name, sections): (&str, &str), length: usize, micro_batch: usize) -> String {
    let stage = match name {
        "projector" => "projector",
        "every weight" => "full",
        _ => "finetune",
    };
    let config = format!(
        "model = \"m\"\noutput = \"o\"\nstage = \"{stage}\"\n{sections}[[data]]\nname = \"a\"\npath = \"a\"\n\
         [train]\nsteps = 1\nlr = 1e-4\nmicro_batch = {micro_batch}\n"
    );
    let (config, model) = (TrainConfig::parse(&config, "test").unwrap(), llava_7b());
    let memory = TrainMemory::new(&config, &model, precision, length, AdapterKind::Discrete);
    let gigabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
    let millions = trained_parameters(&config, &model) as f64 / 1e6;
    let cards: Vec<String> =
        CARDS.iter().filter(|&card| card * 1_000_000_000 >= memory.total()).map(u64::to_string).collect();
    let cells = [
        name.to_string(),
        format!("{millions:.0} M"),
        precision.to_string(),
        format!("{micro_batch} x {length}"),
        gigabytes(memory.weights),
        gigabytes(memory.trained),
        gigabytes(memory.layer_inputs),
        gigabytes(memory.activations),
        gigabytes(memory.total()),
        if cards.is_empty() { "none".to_string() } else { cards.join(", ") },
    ];
    format!("| {} |", cells.join(" | "))
}

fn memory_table() -> Vec<String> {
    let (f16, f32) = (Precision::F16, Precision::F32);
    let mut lines = vec![
        "| trained | parameters | base | micro_batch x longest | weights | trained x 16 | layer inputs | activations | all | \
         fits a card of, GB |"
            .to_string(),
        "|---|---|---|---|---|---|---|---|---|---|".to_string(),
    ];
    let at = |precision, setting, sizes: &[(usize, usize)]| -> Vec<String> {
        sizes.iter().map(|&(micro_batch, length)| row(precision, setting, length, micro_batch)).collect()
    };
    lines.extend(at(f16, EXPERTS, &[(1, 1024), (2, 1024), (4, 1024), (1, 2048), (2, 2048), (4, 2048)]));
    lines.extend(at(f16, LORA, &[(1, 1024), (4, 1024), (1, 2048), (2, 2048), (4, 2048)]));
    lines.extend(at(f16, PROJECTOR, &[(1, 1024), (4, 1024), (1, 2048), (4, 2048)]));
    lines.extend(at(f32, EXPERTS, &[(1, 1024), (1, 2048), (4, 2048)]));
    lines.extend(at(f32, LORA, &[(1, 2048), (4, 2048)]));
    lines.extend(at(f32, PROJECTOR, &[(1, 2048)]));
    lines.extend(at(f32, FULL, &[(1, 1024)]));
    lines
}

#[test]
fn the_memory_table_is_the_programs() {
    let text = read(GUIDE);
    let expected = memory_table();
    let start = text.lines().position(|line| line.starts_with("| trained | parameters |"));
    let found: Vec<&str> =
        start.map_or(Vec::new(), |start| text.lines().skip(start).take_while(|line| line.starts_with('|')).collect());
    for (index, line) in expected.iter().enumerate() {
        let found = found.get(index).copied().unwrap_or("nothing");
        assert!(
            found == line,
            "{GUIDE}, line {} of the memory table:\n{found}\nexpected\n{line}\nThe whole table:\n\n{}\n",
            index + 1,
            expected.join("\n")
        );
    }
    assert_eq!(found.len(), expected.len(), "{GUIDE}: more rows than\n{}", expected.join("\n"));
}

/// The README's figures for answering with LLaVA-1.5.
#[test]
fn the_readmes_memory_is_the_programs() {
    for (name, model) in [("LLaVA-1.5-7B", llava_7b()), ("LLaVA-1.5-13B", llava_13b())] {
        let needs = |precision| gigabytes(MemoryEstimate::with_context(&model, precision, 2048).total());
        let row = format!("| {} |", Precision::ALL.map(needs).join(" | "));
        let text = read("README.md");
        let line = text.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect("a row for the model");
        assert!(line.contains(&row), "{line}\nexpected {row}");
    }
}
