//! Which configurations the comparison trains, after figures 4 to 6 and tables 2 to 5 of LLaVA-MoLE (arXiv 2401.16160).

use std::fmt::Write;

use mole_synth::Domain;

/// Ranks that are compared.
pub const RANKS: [usize; 4] = [2, 4, 8, 16];
/// The rank of everything that is not about ranks.
pub const RANK: usize = 4;
/// Numbers of experts that are compared.
pub const EXPERTS: [usize; 5] = [1, 2, 3, 5, 8];
/// Ways of gating that are compared.
pub const GATINGS: [&str; 3] = ["hard", "gated", "dense"];

/// The rank and the passes over the data of the comparison where room is short and time is not.
pub const NARROW: (usize, usize) = (2, 3);

/// What a run is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// One domain.
    Alone(Domain),
    /// All domains.
    Mixture,
    /// All domains, each with twice the pictures.
    Twice,
}

/// A configuration: LoRA on attention, and on the MLP either LoRA of the same rank or experts of that rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// What it is trained on.
    pub mix: Mix,
    /// Of every LoRA, an expert's too.
    pub rank: usize,
    /// Number of experts and their gating; plain LoRA without.
    pub experts: Option<(usize, &'static str)>,
    /// Passes over its data.
    pub passes: usize,
}

impl Arm {
    /// Plain LoRA, one pass.
    pub const fn lora(mix: Mix, rank: usize) -> Self {
        Self { mix, rank, experts: None, passes: 1 }
    }

    /// The mixture with experts, one pass.
    pub const fn mole(experts: usize, gating: &'static str, rank: usize) -> Self {
        Self { mix: Mix::Mixture, rank, experts: Some((experts, gating)), passes: 1 }
    }

    /// The same with so many passes.
    pub const fn passes(self, passes: usize) -> Self {
        Self { passes, ..self }
    }

    /// Folder of its runs, without the seed.
    pub fn name(&self) -> String {
        let kind = self.experts.map_or("lora".to_string(), |(experts, gating)| format!("mole-{experts}-{gating}"));
        let mix = match self.mix {
            Mix::Alone(domain) => domain.name(),
            Mix::Mixture => "mixture",
            Mix::Twice => "twice",
        };
        let passes = if self.passes == 1 { String::new() } else { format!("-p{}", self.passes) };
        format!("{mix}-{kind}-r{}{passes}", self.rank)
    }

    /// The domains that it is trained on and asked about.
    pub fn domains(&self) -> Vec<Domain> {
        match self.mix {
            Mix::Alone(domain) => vec![domain],
            Mix::Mixture | Mix::Twice => Domain::ALL.to_vec(),
        }
    }

    /// The configuration of a run whose folder is `runs/NAME`, for `train`; sets stand in `data/`.
    pub fn config(&self, seed: u64) -> String {
        let (rank, alpha) = (self.rank, 2 * self.rank);
        let targets = match self.experts {
            Some(_) => r#"["q_proj", "k_proj", "v_proj", "o_proj"]"#,
            None => r#"["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]"#,
        };
        let mut text = format!(
            "model = \"base\"\noutput = \"runs/{}-s{seed}\"\nseed = {seed}\n\n[lora]\nrank = {rank}\nalpha = {alpha}\n\
             targets = {targets}\n",
            self.name()
        );
        if let Some((experts, gating)) = self.experts {
            let _ = write!(
                text,
                "\n[mole]\nexperts = {experts}\nrank = {rank}\nalpha = {alpha}\ngating = \"{gating}\"\n\
                 balance_weight = 0.01\n"
            );
        }
        for domain in self.domains() {
            let name = domain.name();
            let folder = if self.mix == Mix::Twice { format!("{name}-twice") } else { name.to_string() };
            let _ = write!(
                text,
                "\n[[data]]\nname = \"{name}\"\npath = \"data/{folder}/data.jsonl\"\nimages = \"data/{folder}/images\"\n"
            );
        }
        // Passes, not steps: a domain alone sees as many of its pictures as it does in the mixture.
        let _ = write!(
            text,
            "\n[train]\nepochs = {}\nmicro_batch = 8\nlr = 2e-3\nprojector_lr = 5e-4\nwarmup_ratio = 0.03\n\
             max_length = 512\nrecompute = false\ncheckpoint_every = 200\nkeep_checkpoints = 1\n",
            self.passes
        );
        text
    }
}

/// Every configuration once, the main comparison first.
pub fn arms() -> Vec<Arm> {
    let mut arms: Vec<Arm> = Domain::ALL.map(|domain| Arm::lora(Mix::Alone(domain), RANK)).to_vec();
    arms.push(Arm::lora(Mix::Mixture, RANK));
    arms.push(Arm::mole(3, "hard", RANK));
    arms.push(Arm::lora(Mix::Twice, RANK));
    arms.extend(RANKS.map(|rank| Arm::lora(Mix::Mixture, rank)));
    arms.extend(RANKS.map(|rank| Arm::mole(3, "hard", rank)));
    arms.extend(EXPERTS.map(|experts| Arm::mole(experts, "hard", RANK)));
    arms.extend(GATINGS.map(|gating| Arm::mole(3, gating, RANK)));
    let (rank, passes) = NARROW;
    arms.extend(Domain::ALL.map(|domain| Arm::lora(Mix::Alone(domain), rank).passes(passes)));
    arms.push(Arm::lora(Mix::Mixture, rank).passes(passes));
    arms.push(Arm::mole(3, "hard", rank).passes(passes));
    let mut once: Vec<Arm> = Vec::new();
    for arm in arms {
        if !once.contains(&arm) {
            once.push(arm);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use mole_runtime::train::TrainConfig;

    #[test]
    fn every_configuration_is_accepted_and_has_a_folder_of_its_own() {
        let arms = arms();
        assert_eq!(arms.len(), 6 + 3 + 3 + 4 + 2 + 5);
        let mut names: Vec<String> = arms.iter().map(Arm::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), arms.len());
        for arm in arms {
            let config = TrainConfig::parse(&arm.config(7), "test").unwrap();
            assert_eq!((config.seed, config.data.len()), (7, arm.domains().len()));
            assert_eq!(config.mole.is_some(), arm.experts.is_some());
        }
    }

    #[test]
    fn plain_lora_adapts_the_same_projections_as_experts_do() {
        let plain = TrainConfig::parse(&Arm::lora(Mix::Mixture, 4).config(0), "test").unwrap();
        let mole = TrainConfig::parse(&Arm::mole(3, "hard", 4).config(0), "test").unwrap();
        assert_eq!(plain.lora.unwrap().targets.len(), mole.lora.unwrap().targets.len() + 3);
    }
}
