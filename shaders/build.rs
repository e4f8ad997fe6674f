//! Composes every kernel under `kernels/` in all its variants, validates it with naga and the web's capabilities, and
//! writes what the runtime needs to launch it: the WGSL text, the bindings, the workgroup size and the parameter struct.
//!
//! The directives are textual, one a line: `#variants A B|C` (first line; every combination is a kernel, of B and C at
//! most one), `#needs cooperative_matrix` (next line; validated with that much more than the web has, and said in the
//! kernel), `#import name` (the text of `shared/name.wgsl`, once), `#ifdef A B` (either), `#else`, `#endif`. An error
//! stops the build with file and line.
//! `MOLE_SHADERS_DUMP=folder` writes the final WGSL of every variant there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ScalarKind, TypeInner};

/// At most this many switches a kernel, alternatives counted once: more would be a family of kernels in one file.
const MAX_SWITCHES: usize = 3;

/// What WebGPU offers without any optional feature: f16 storage through `unpack2x16float`, and nothing else naga gates.
const WEB: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// What a kernel may need beyond the web: the word after `#needs`, the variant of `Feature`, naga's capabilities.
const NEEDS: &[(&str, &str, Capabilities)] = &[(
    "cooperative_matrix",
    "CooperativeMatrix",
    Capabilities::COOPERATIVE_MATRIX.union(Capabilities::SHADER_FLOAT16).union(Capabilities::SUBGROUP),
)];

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=shared");
    println!("cargo::rerun-if-env-changed=MOLE_SHADERS_DUMP");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let dump = env::var_os("MOLE_SHADERS_DUMP").map(PathBuf::from);
    if let Some(folder) = &dump {
        fs::create_dir_all(folder).unwrap_or_else(|e| fail(folder, &format!("cannot create: {e}")));
    }

    let mut files: Vec<PathBuf> = fs::read_dir(root.join("kernels"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"))
        .collect();
    files.sort();

    let mut code = String::new();
    let mut all = Vec::new();
    for file in &files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let text = read(file);
        let (switches, body) = switches(file, &text);
        let (needs, body) = needs(file, body);
        let declared: Vec<&str> = switches.iter().flatten().map(String::as_str).collect();
        let mut variants = Vec::new();
        for on in combinations(&switches) {
            let name = on.iter().fold(stem.to_string(), |name, switch| format!("{name}_{}", switch.to_lowercase()));
            let wgsl = compose(&root, file, body, &Switches { declared: &declared, on: &on });
            if let Some(folder) = &dump {
                let path = folder.join(format!("{name}.wgsl"));
                fs::write(&path, &wgsl).unwrap_or_else(|e| fail(&path, &format!("cannot write: {e}")));
            }
            variants.push(Variant { constant: constant(&on), module: validate(file, &name, &wgsl, needs), name, wgsl });
        }
        all.extend(variants.iter().map(|variant| format!("&{stem}::{}", variant.constant)));
        emit(&mut code, stem, file, &variants, needs);
    }
    write!(code, "/// Every variant of every kernel, by name.\npub static ALL: &[&Kernel] = &[{}];", all.join(", "))
        .unwrap();
    fs::write(PathBuf::from(env::var("OUT_DIR").unwrap()).join("kernels.rs"), code).unwrap();
}

/// The switches of a kernel, and those that are on in a variant.
struct Switches<'a> {
    declared: &'a [&'a str],
    on: &'a [&'a str],
}

struct Variant {
    name: String,
    constant: String,
    wgsl: String,
    module: naga::Module,
}

/// Ends the build with one message that names the file.
fn fail(file: &Path, message: &str) -> ! {
    println!("cargo::error={}: {}", file.display(), message.replace('\n', " | "));
    eprintln!("{}:\n{message}", file.display());
    process::exit(1)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| fail(file, &e.to_string()))
}

/// The switches of the `#variants` line, each with its alternatives, and the text after it.
fn switches<'a>(file: &Path, text: &'a str) -> (Vec<Vec<String>>, &'a str) {
    let Some(rest) = text.strip_prefix("#variants") else {
        return (Vec::new(), text);
    };
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let switches: Vec<Vec<String>> =
        line.split_whitespace().map(|switch| switch.split('|').map(str::to_string).collect()).collect();
    if switches.is_empty() || switches.len() > MAX_SWITCHES {
        fail(file, &format!("line 1: 1 to {MAX_SWITCHES} switches, not {}", switches.len()));
    }
    (switches, body)
}

/// A row of [`NEEDS`].
type Need = (&'static str, &'static str, Capabilities);

/// What the `#needs` line asks for, and the text after it.
fn needs<'a>(file: &Path, text: &'a str) -> (Option<&'static Need>, &'a str) {
    let Some(rest) = text.strip_prefix("#needs") else { return (None, text) };
    let (word, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let found = NEEDS.iter().find(|(name, ..)| *name == word.trim());
    (Some(found.unwrap_or_else(|| fail(file, &format!("#needs{word}: not a feature that build.rs knows")))), body)
}

/// What may be on together: of each switch nothing or one alternative. The first is nothing at all.
fn combinations(switches: &[Vec<String>]) -> Vec<Vec<&str>> {
    switches.iter().fold(vec![Vec::new()], |before, alternatives| {
        let none = before.clone();
        let with = |name| before.iter().map(move |on| [on.as_slice(), &[name]].concat());
        none.into_iter().chain(alternatives.iter().flat_map(|name| with(name.as_str()))).collect()
    })
}

/// `PLAIN`, or the switches that are on.
fn constant(on: &[&str]) -> String {
    if on.is_empty() { "PLAIN".to_string() } else { on.join("_") }
}

/// The kernel's text with imports pasted in and conditionals resolved.
fn compose(root: &Path, file: &Path, body: &str, switches: &Switches<'_>) -> String {
    let mut out = String::new();
    paste(root, file, body, switches, &mut BTreeSet::new(), &mut out);
    out
}

fn paste(
    root: &Path,
    file: &Path,
    text: &str,
    switches: &Switches<'_>,
    imported: &mut BTreeSet<String>,
    out: &mut String,
) {
    // One entry per open #ifdef: whether its lines are taken.
    let mut taken: Vec<bool> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let here = |message: &str| -> ! { fail(file, &format!("line {} ({line}): {message}", number + 1)) };
        let mut words = line.split_whitespace();
        match words.next() {
            Some("#ifdef") => {
                let asked: Vec<&str> = words.collect();
                if asked.is_empty() {
                    here("#ifdef needs a switch");
                }
                // A file under shared/ may ask for a switch that not every importer has.
                let shared = file.parent().is_some_and(|folder| folder.ends_with("shared"));
                if !shared && !asked.iter().all(|switch| switches.declared.contains(switch)) {
                    here("the #variants line does not declare this switch");
                }
                taken.push(asked.iter().any(|switch| switches.on.contains(switch)));
            }
            Some("#else") => match taken.last_mut() {
                Some(last) => *last = !*last,
                None => here("#else without #ifdef"),
            },
            Some("#endif") => {
                if taken.pop().is_none() {
                    here("#endif without #ifdef");
                }
            }
            _ if taken.contains(&false) => {}
            Some("#import") => {
                let name = words.next().unwrap_or_else(|| here("#import needs a name"));
                if imported.insert(name.to_string()) {
                    let path = root.join("shared").join(format!("{name}.wgsl"));
                    paste(root, &path, &read(&path), switches, imported, out);
                }
            }
            Some(word) if word.starts_with('#') => here("unknown directive"),
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if !taken.is_empty() {
        fail(file, "#ifdef without #endif");
    }
}

/// Parses and validates with what a browser offers and nothing more, but for what the kernel needs.
fn validate(file: &Path, name: &str, wgsl: &str, needs: Option<&Need>) -> naga::Module {
    let capabilities = needs.map_or(WEB, |(_, _, more)| WEB.union(*more));
    let options = naga::front::wgsl::Options { capabilities, ..naga::front::wgsl::Options::new() };
    let module = naga::front::wgsl::Frontend::new_with_options(options)
        .parse(wgsl)
        .unwrap_or_else(|e| fail(file, &format!("{name}: {}", e.emit_to_string_with_path(wgsl, name))));
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|e| fail(file, &format!("{name}: {}", e.emit_to_string_with_path(wgsl, name))));
    if module.entry_points.len() != 1 || module.entry_points[0].name != "main" {
        fail(file, &format!("{name}: a kernel has one entry point, `main`"));
    }
    // A pipeline's automatic layout leaves unused bindings out, and the launch would not fit it.
    for (handle, variable) in module.global_variables.iter() {
        if variable.binding.is_some() && info.get_entry_point(0)[handle].is_empty() {
            fail(file, &format!("{name}: binding {} is never used", variable.name.as_deref().unwrap_or("?")));
        }
    }
    module
}

/// Writes the Rust module of one kernel file.
fn emit(code: &mut String, stem: &str, file: &Path, variants: &[Variant], needs: Option<&Need>) {
    let feature = needs.map_or("None".to_string(), |(_, variant, _)| format!("Some(super::Feature::{variant})"));
    writeln!(code, "/// `{stem}.wgsl`.\npub mod {stem} {{\n    use super::{{Binding, Kernel}};").unwrap();
    for variant in variants {
        let module = &variant.module;
        let bindings = bindings(file, &variant.name, module);
        let list = bindings
            .iter()
            .map(|(name, element)| format!("Binding {{ name: {name:?}, element: {element:?} }}"))
            .collect::<Vec<_>>()
            .join(", ");
        let summary =
            bindings.iter().map(|(name, element)| format!("`{name}: {element}`")).collect::<Vec<_>>().join(", ");
        writeln!(
            code,
            "    /// Bindings: {summary}.\n    pub static {}: Kernel = Kernel {{ name: {:?}, source: {:?}, workgroup_size: {:?}, bindings: &[{list}], needs: {feature} }};",
            variant.constant, variant.name, variant.wgsl, module.entry_points[0].workgroup_size,
        )
        .unwrap();
    }
    let fields = params(file, &variants[0].module);
    for variant in variants {
        if params(file, &variant.module) != fields {
            fail(file, "all variants must have the same Params");
        }
    }
    if !fields.is_empty() {
        writeln!(code, "    /// Parameters of the launch, in the order of the kernel's uniform.").unwrap();
        writeln!(code, "    #[derive(Clone, Copy, Debug)]\n    pub struct Params {{").unwrap();
        for (name, kind) in &fields {
            writeln!(code, "        /// `{name}` of the kernel's `Params`.\n        pub {name}: {kind},").unwrap();
        }
        writeln!(code, "    }}\n    impl Params {{").unwrap();
        writeln!(code, "        /// The uniform's 32-bit words.\n        pub fn words(&self) -> Vec<u32> {{").unwrap();
        let words = fields
            .iter()
            .map(|(name, kind)| match kind.as_str() {
                "f32" => format!("self.{name}.to_bits()"),
                "i32" => format!("self.{name} as u32"),
                _ => format!("self.{name}"),
            })
            .collect::<Vec<_>>()
            .join(", ");
        writeln!(code, "            vec![{words}]\n        }}\n    }}").unwrap();
    }
    writeln!(code, "}}").unwrap();
}

/// Name and element type of every storage binding, checked to be numbered 0..n with the parameters last.
fn bindings(file: &Path, name: &str, module: &naga::Module) -> Vec<(String, String)> {
    let mut found: Vec<(u32, String, Option<String>)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding?.binding;
            let element = match variable.space {
                AddressSpace::Storage { .. } => Some(element(module, variable.ty)),
                _ => None,
            };
            Some((binding, variable.name.clone().unwrap_or_default(), element))
        })
        .collect();
    found.sort();
    for (index, (binding, variable, element)) in found.iter().enumerate() {
        if *binding as usize != index {
            fail(file, &format!("{name}: bindings must be numbered 0, 1, 2 ...; {variable} is {binding}"));
        }
        if element.is_none() && index + 1 != found.len() {
            fail(file, &format!("{name}: the uniform `params` must be the last binding"));
        }
    }
    found.into_iter().filter_map(|(_, variable, element)| Some((variable, element?))).collect()
}

/// The element type of a storage array.
fn element(module: &naga::Module, ty: naga::Handle<naga::Type>) -> String {
    match module.types[ty].inner {
        TypeInner::Array { base, .. } => element(module, base),
        TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => scalar_name(scalar).to_string(),
        ref other => format!("{other:?}"),
    }
}

fn scalar_name(scalar: naga::Scalar) -> &'static str {
    match scalar.kind {
        ScalarKind::Float if scalar.width == 2 => "f16",
        ScalarKind::Float => "f32",
        ScalarKind::Sint => "i32",
        _ => "u32",
    }
}

/// Fields of the struct `Params`, in order.
fn params(file: &Path, module: &naga::Module) -> Vec<(String, String)> {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params"));
    let Some((_, ty)) = found else { return Vec::new() };
    let TypeInner::Struct { members, .. } = &ty.inner else { fail(file, "Params must be a struct") };
    members
        .iter()
        .map(|member| match module.types[member.ty].inner {
            TypeInner::Scalar(scalar) if scalar.width == 4 => {
                (member.name.clone().unwrap_or_default(), scalar_name(scalar).to_string())
            }
            _ => fail(file, "Params holds only u32, i32 and f32"),
        })
        .collect()
}
