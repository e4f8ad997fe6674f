//! Jinja as transformers runs chat templates, in minijinja.
//!
//! A template is a program of unknown origin. It gets fuel instead of time, a bound on recursion and on what it writes,
//! and no clock and no files: `strftime_now` stays undefined, which templates test for.
//!
//! Source: transformers, `utils/chat_template_utils.py`.

use std::io;

use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::tags;

/// Instructions a template may run, and more for each message. Real templates take some 50 a message; a bound this low
/// also keeps values from being nested so deep that dropping them overflows the stack.
const FUEL: u64 = 10_000;
const FUEL_PER_MESSAGE: u64 = 1000;

/// Calls within calls. A page has a stack of one megabyte.
const MAX_RECURSION: usize = 100;

/// Most bytes a template may be long; the longest in use are a twentieth of that.
const MAX_SOURCE: usize = 512 << 10;

/// Most bytes a template may write, more than a prompt may be long.
const MAX_OUTPUT: usize = 4 << 20;

/// A template that has passed the checks on its source.
#[derive(Clone, Debug)]
pub(super) struct Template {
    source: String,
}

impl Template {
    /// Takes the source; whether it parses shows when it is rendered.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("is {} kB long, at most {} kB are read", source.len() >> 10, MAX_SOURCE >> 10));
        }
        tags::check(source)?;
        Ok(Self { source: tags::without_generation(source) })
    }

    /// What the template makes of a conversation.
    ///
    /// - `messages`: how many messages `context` has.
    pub(super) fn render(&self, context: Value, messages: usize) -> Result<String, String> {
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL + FUEL_PER_MESSAGE * messages as u64));
        env.set_recursion_limit(MAX_RECURSION);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("the template says: {message}")))
        });
        env.add_filter("tojson", to_json);
        let mut output = Bounded(Vec::new());
        let template = env.template_from_named_str("chat", &self.source);
        let rendered = template.and_then(|template| template.render_captured_to(context, &mut output).map(drop));
        rendered.map_err(|error| describe(&error))?;
        String::from_utf8(output.0).map_err(|error| error.to_string())
    }
}

/// One line: what went wrong, and where.
fn describe(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "runs without end, or far longer than a chat template should".to_owned(),
        ErrorKind::WriteFailure => format!("writes more than {} MB", MAX_OUTPUT >> 20),
        _ => error.to_string().replace('\n', " "),
    }
}

/// Collects what is written, up to [`MAX_OUTPUT`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `json.dumps` of Python: no escapes for HTML, a space after colon and comma.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = " ".repeat(width.min(16));
            value
                .serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(spaces.as_bytes())))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced)),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Python's separators.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(source: &str) -> Result<String, String> {
        Template::new(source)?.render(context! { items => ["a", "b"], text => "<image> & 'x'" }, 1)
    }

    #[test]
    fn blocks_are_trimmed_as_in_transformers() {
        // Jinja 3.1 with trim_blocks and lstrip_blocks: "\na;\nb;\n\nend".
        let source = "\n{% for item in items %}\n  {{ item }};\n  {% endfor %}\n\nend\n";
        assert_eq!(render(source).unwrap(), "\n  a;\n  b;\n\nend");
    }

    #[test]
    fn generation_tags_leave_only_their_whitespace() {
        let source =
            "a\n  {% generation %}\nb {{ text }}\n {%- endgeneration -%} \nc{%+generation%}d{% endgeneration +%}\n";
        assert_eq!(render(source).unwrap(), "a\nb <image> & 'x'cd");
    }

    #[test]
    fn python_methods_and_json_work_without_escapes() {
        let source = "{{ text.upper().split(' ')[0] }} {{ {'a': [1, text]} | tojson }} {{ text.startswith('<') }}";
        assert_eq!(render(source).unwrap(), r#"<IMAGE> {"a": [1, "<image> & 'x'"]} True"#);
        assert_eq!(render("{{ [1] | tojson(indent=2) }}").unwrap(), "[\n  1\n]");
    }

    #[test]
    fn a_template_may_refuse_and_finds_no_clock() {
        assert!(render("{{ raise_exception('no system here') }}").unwrap_err().contains("no system here"));
        assert_eq!(render("{{ strftime_now is defined }}").unwrap().to_lowercase(), "false");
    }

    #[test]
    fn what_does_not_end_is_stopped() {
        let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        assert!(render(nested).unwrap_err().contains("runs without end"));
        let flood = "{% for a in range(99999) %}{{ text * 1000 }}{% endfor %}";
        assert!(render(flood).unwrap_err().contains("writes more than 4 MB"));
        assert!(render(&" ".repeat(MAX_SOURCE + 1)).unwrap_err().contains("512 kB"));
        assert!(render("{% if %}").unwrap_err().contains("syntax error"));
    }

    #[test]
    fn recursion_ends_before_the_stack_does() {
        // Each level of a nested value takes stack to print and to drop.
        let nested = |print| {
            format!(
                "{{% set ns = namespace(x=1) %}}{{% for i in range(9999) %}}{{% set ns.x = [ns.x] %}}{{% endfor %}}{print}"
            )
        };
        let macros = "{% macro f(x) %}{{ f(x + 1) }}{% endmacro %}{{ f(0) }}".to_owned();
        let brackets = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
        let blocks = "{% if true %}".repeat(30_000);
        let lists = format!("{{{{ {}{} }}}}", "[".repeat(100_000), "]".repeat(100_000));
        let minus = format!("{{{{ {}1 }}}}", "-".repeat(100_000));
        let nots = format!("{{{{ {} true }}}}", "not ".repeat(100_000));
        let elifs = format!("{{% if false %}}{}{{% endif %}}", "{% elif false %}".repeat(9999));
        for source in
            [nested("{{ ns.x }}"), nested("{{ ns.x | tojson }}"), elifs, macros, brackets, blocks, lists, minus, nots]
        {
            // As small as a page's.
            let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || render(&source));
            assert!(thread.unwrap().join().unwrap().is_err());
        }
    }
}
