//! `adapter_config.json`: PEFT's, and beside it an object `mole` where there are experts.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::nn::Gating;
use crate::ops::MAX_EXPERTS;

/// A projection of a language layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Target {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl Target {
    /// All of them, in the layer's order.
    pub const ALL: [Self; 7] =
        [Self::QProj, Self::KProj, Self::VProj, Self::OProj, Self::GateProj, Self::UpProj, Self::DownProj];

    /// The projection's name inside its layer.
    pub fn path(self) -> &'static str {
        match self {
            Self::QProj => "self_attn.q_proj",
            Self::KProj => "self_attn.k_proj",
            Self::VProj => "self_attn.v_proj",
            Self::OProj => "self_attn.o_proj",
            Self::GateProj => "mlp.gate_proj",
            Self::UpProj => "mlp.up_proj",
            Self::DownProj => "mlp.down_proj",
        }
    }

    /// The projection's own name.
    pub fn name(self) -> &'static str {
        self.path().rsplit_once('.').expect("a path has a parent").1
    }
}

/// Plain LoRA.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank of A and B.
    pub rank: usize,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability of dropping an element of the input, while training.
    pub dropout: f64,
    /// Which projections are adapted.
    pub targets: BTreeSet<Target>,
}

/// The mixture of LoRA experts on the MLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleConfig {
    /// How many experts.
    pub experts: usize,
    /// Rank of A and B.
    pub rank: usize,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability of dropping an element of the input, while training.
    #[serde(default)]
    pub dropout: f64,
    /// How an expert's output is weighted.
    pub gating: Gating,
}

/// What an adapter is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// The checkpoint it was trained on, for people.
    pub base_model: String,
    /// Plain LoRA.
    pub lora: LoraConfig,
    /// Experts, where there are any.
    pub mole: Option<MoleConfig>,
}

/// Settings of PEFT that change what an adapter computes, and the value that is understood.
fn understood() -> [(&'static str, Value); 10] {
    [
        ("use_dora", json!(false)),
        ("use_rslora", json!(false)),
        ("use_qalora", json!(false)),
        ("fan_in_fan_out", json!(false)),
        ("lora_bias", json!(false)),
        ("bias", json!("none")),
        ("rank_pattern", json!({})),
        ("alpha_pattern", json!({})),
        ("layer_replication", Value::Null),
        ("layers_to_transform", Value::Null),
    ]
}

impl AdapterConfig {
    /// Reads and checks `adapter_config.json`. `target_modules` may be a list of names or an expression over module paths;
    /// an expression says nothing here, and the tensors themselves tell: then `targets` is empty.
    ///
    /// # Errors
    /// [`Error::Adapter`] with the field, its value and what is accepted.
    pub fn from_json(json: &Value, path: &Path) -> Result<Self> {
        let refuse = |reason: String| Error::Adapter { path: path.to_path_buf(), reason };
        let field = |name: &str| json.get(name).filter(|value| !value.is_null());
        if field("peft_type").is_some_and(|kind| kind != "LORA") {
            return Err(refuse(format!("peft_type is {}; LORA is read", json["peft_type"])));
        }
        for (name, accepted) in understood() {
            if let Some(value) = field(name).filter(|&value| *value != accepted) {
                return Err(refuse(format!(
                    "{name} is {value}; only {accepted} is understood. Merge the adapter into its base model with PEFT's \
                     merge_and_unload() and name the result with --model"
                )));
            }
        }
        let number = |name: &str| field(name).and_then(Value::as_f64).filter(|number| number.is_finite());
        let targets = match field("target_modules") {
            Some(Value::Array(names)) => names.iter().map(|name| target(name, path)).collect::<Result<_>>()?,
            Some(Value::String(_)) | None => BTreeSet::new(),
            Some(other) => return Err(refuse(format!("target_modules is {other}; a list of names is expected"))),
        };
        let mole: Option<MoleConfig> = match field("mole") {
            Some(value) => Some(
                serde_json::from_value(value.clone())
                    .map_err(|error| refuse(format!("\"mole\" in adapter_config.json: {error}")))?,
            ),
            None => None,
        };
        let (Some(rank), Some(alpha)) = (number("r"), number("lora_alpha")) else {
            return Err(refuse("adapter_config.json has no r or no lora_alpha; is it PEFT's?".to_string()));
        };
        let config = Self {
            base_model: field("base_model_name_or_path").and_then(Value::as_str).unwrap_or_default().to_string(),
            lora: LoraConfig { rank: rank as usize, alpha, dropout: number("lora_dropout").unwrap_or(0.0), targets },
            mole,
        };
        config.check().map_err(refuse)?;
        Ok(config)
    }

    /// Checks every number's range.
    ///
    /// # Errors
    /// The field, its value and what is accepted.
    pub fn check(&self) -> std::result::Result<(), String> {
        let range = |name: &str, rank: usize, alpha: f64, dropout: f64| {
            if !(1..=4096).contains(&rank) {
                return Err(format!("{name}rank is {rank}; 1 to 4096 is accepted"));
            }
            if !(alpha.is_finite() && alpha > 0.0) {
                return Err(format!("{name}alpha is {alpha}; a number above 0 is accepted"));
            }
            match (0.0..1.0).contains(&dropout) {
                true => Ok(()),
                false => Err(format!("{name}dropout is {dropout}; 0 up to, but not, 1 is accepted")),
            }
        };
        range("lora.", self.lora.rank, self.lora.alpha, self.lora.dropout)?;
        if let Some(mole) = &self.mole {
            range("mole.", mole.rank, mole.alpha, mole.dropout)?;
            if !(1..=MAX_EXPERTS).contains(&mole.experts) {
                return Err(format!("mole.experts is {}; 1 to {MAX_EXPERTS} is accepted", mole.experts));
            }
        }
        Ok(())
    }

    /// As PEFT writes it.
    pub fn to_json(&self) -> Value {
        // PEFT writes whole numbers without a point.
        let number = |value: f64| match value.fract() == 0.0 && value.abs() < 1e15 {
            true => json!(value as i64),
            false => json!(value),
        };
        let mut object = Map::new();
        object.insert("peft_type".to_string(), json!("LORA"));
        object.insert("task_type".to_string(), json!("CAUSAL_LM"));
        object.insert("base_model_name_or_path".to_string(), json!(self.base_model));
        object.insert("r".to_string(), json!(self.lora.rank));
        object.insert("lora_alpha".to_string(), number(self.lora.alpha));
        object.insert("lora_dropout".to_string(), json!(self.lora.dropout));
        object.insert("target_modules".to_string(), json!(self.lora.targets));
        object.insert("bias".to_string(), json!("none"));
        if let Some(mole) = &self.mole {
            let mut value = json!(mole);
            value["alpha"] = number(mole.alpha);
            object.insert("mole".to_string(), value);
        }
        Value::Object(object)
    }
}

/// A target by its own name or by a path that ends in it.
fn target(name: &Value, path: &Path) -> Result<Target> {
    let found = name.as_str().and_then(|name| {
        let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
        Target::ALL.into_iter().find(|target| target.name() == last)
    });
    found.ok_or_else(|| Error::Adapter {
        path: path.to_path_buf(),
        reason: format!(
            "target_modules names {name}; adapters on q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj of \
             the language model are read"
        ),
    })
}
