//! Every kernel on platforms that are not at hand: translated by naga to what Vulkan, Metal and DX12 take, and compiled
//! by a browser.
//!
//! The browser is headless Chromium, whose compiler (Tint) is stricter than naga, above all about barriers in
//! non-uniform control flow. One Chromium serves all tests: it opens a page (`portability.html`) of a small server in
//! this process, compiles every kernel with the limits of its adapter, and posts what the compiler said.

use std::env;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use mole_shaders::{ALL, Feature, Kernel};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use serde_json::Value;

/// What WebGPU offers without any optional feature; the same as in the build script of `mole-shaders`.
const WEB: Capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;

/// Why a kernel is not for DX12 and browsers; `None` for those that are for all.
fn native_alone(kernel: &Kernel) -> Option<&'static str> {
    kernel.needs.map(|feature| match feature {
        Feature::CooperativeMatrix => {
            "no browser has cooperative matrices, naga no HLSL for them, and Metal none of 16 x 16; a device is given such \
             a kernel only where its adapter reports the size"
        }
    })
}

fn capabilities(kernel: &Kernel) -> Capabilities {
    match kernel.needs {
        None => WEB,
        Some(Feature::CooperativeMatrix) => {
            WEB | Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP
        }
    }
}

fn validated(wgsl: &str, capabilities: Capabilities) -> Result<(naga::Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    let info =
        Validator::new(ValidationFlags::all(), capabilities).validate(&module).map_err(|e| e.emit_to_string(wgsl))?;
    Ok((module, info))
}

// The translators' defaults are the oldest version of each language (SPIR-V 1.0, MSL 1.0, shader model 5.1) and checked
// indexing: the least that a driver can ask for.

fn to_spirv(module: &naga::Module, info: &ModuleInfo, version: (u8, u8)) -> Result<(), String> {
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".to_string() };
    let options = spv::Options { lang_version: version, ..Default::default() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(text)?;
    // The magic number and the version.
    let header = u32::from(version.0) << 16 | u32::from(version.1) << 8;
    if words[..2] == [0x0723_0203, header] { Ok(()) } else { Err(format!("header is {:x?}", &words[..2])) }
}

fn to_msl(module: &naga::Module, info: &ModuleInfo, version: (u8, u8)) -> Result<(), String> {
    let pipeline = msl::PipelineOptions::default();
    let options = msl::Options { lang_version: version, ..Default::default() };
    let (code, reflection) = msl::write_string(module, info, &options, &pipeline).map_err(text)?;
    entry_point(&code, "kernel void", reflection.entry_point_names)
}

fn to_hlsl(module: &naga::Module, info: &ModuleInfo) -> Result<(), String> {
    let mut code = String::new();
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
    let reflection = hlsl::Writer::new(&mut code, &options, &pipeline).write(module, info, None).map_err(text)?;
    entry_point(&code, "[numthreads(", reflection.entry_point_names)
}

/// Both text writers report an entry point they cannot express beside the code they wrote.
fn entry_point<E: Debug>(code: &str, start: &str, names: Vec<Result<String, E>>) -> Result<(), String> {
    let [name] = <[_; 1]>::try_from(names).map_err(|names| format!("entry points: {names:?}"))?;
    let name = name.map_err(text)?;
    if code.contains(start) && code.contains(&name) { Ok(()) } else { Err(format!("no `{start}` or no `{name}`")) }
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

#[test]
fn every_kernel_translates_to_spirv_msl_and_hlsl() {
    let mut refused = Vec::new();
    for kernel in ALL {
        let (module, info) =
            validated(kernel.source, capabilities(kernel)).unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        if let Some(reason) = native_alone(kernel) {
            eprintln!("{}: to Vulkan and Metal as far as they have it: {reason}", kernel.name);
            // What they want of SPIR-V comes with extensions of 1.3; of MSL with 2.3.
            let mut translated = vec![("SPIR-V", to_spirv(&module, &info, (1, 3)))];
            if !kernel.name.ends_with("size_16") {
                translated.push(("MSL", to_msl(&module, &info, (2, 3))));
            }
            for (backend, translated) in translated {
                refused.extend(translated.err().map(|reason| format!("{} to {backend}: {reason}", kernel.name)));
            }
            continue;
        }
        for (backend, translated) in [
            ("SPIR-V", to_spirv(&module, &info, (1, 0))),
            ("MSL", to_msl(&module, &info, (1, 0))),
            ("HLSL", to_hlsl(&module, &info)),
        ] {
            refused.extend(translated.err().map(|reason| format!("{} to {backend}: {reason}", kernel.name)));
        }
    }
    assert!(refused.is_empty(), "{} of {} kernels do not translate:\n{}", refused.len(), ALL.len(), refused.join("\n"));
}

#[test]
fn every_kernel_compiles_in_a_browser() {
    let Some(verdicts) = verdicts() else { return };
    let mut refused = Vec::new();
    for kernel in ALL {
        if let Some(reason) = native_alone(kernel) {
            eprintln!("{}: not for browsers, for {reason}", kernel.name);
            continue;
        }
        for warning in lines(verdicts, kernel, "warnings") {
            eprintln!("{}: {warning}", kernel.name);
        }
        refused.extend(lines(verdicts, kernel, "errors").map(|error| format!("{}: {error}", kernel.name)));
    }
    assert!(refused.is_empty(), "the browser refuses:\n{}", refused.join("\n"));
}

/// A barrier under a condition that differs between the threads of a workgroup. naga lets it pass.
static DIVERGENT: Kernel = Kernel {
    name: "divergent",
    source: "
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
var<workgroup> shared_x: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    shared_x[thread] = x[thread];
    if (shared_x[thread] > 0.0) {
        workgroupBarrier();
    }
    x[thread] = shared_x[63u - thread];
}
",
    workgroup_size: [64, 1, 1],
    bindings: &[],
    needs: None,
};

#[test]
fn a_barrier_in_non_uniform_control_flow_is_refused_by_the_browser_alone() {
    validated(DIVERGENT.source, WEB)
        .expect("naga lets it pass: else the browser adds nothing and this test wants another");
    let Some(verdicts) = verdicts() else { return };
    let errors: Vec<&str> = lines(verdicts, &DIVERGENT, "errors").collect();
    let named = errors.iter().any(|error| error.starts_with("line 8:") && error.contains("uniform control flow"));
    assert!(named, "{errors:#?}");
}

/// The `errors` or `warnings` of a kernel.
fn lines<'a>(verdicts: &'a Value, kernel: &Kernel, kind: &str) -> impl Iterator<Item = &'a str> {
    let lines = verdicts[kernel.name][kind].as_array();
    let lines = lines.unwrap_or_else(|| panic!("the page reports no {kind} of {}: {verdicts:#}", kernel.name));
    lines.iter().map(|line| line.as_str().expect("the page reports texts"))
}

/// What the browser said, by kernel; `None` (said on stderr) where there is no browser with WebGPU.
fn verdicts() -> Option<&'static Value> {
    static VERDICTS: LazyLock<Result<Value, String>> = LazyLock::new(ask_the_browser);
    match &*VERDICTS {
        Ok(verdicts) => Some(verdicts),
        Err(reason) if mole_tests::required() => panic!("MOLE_REQUIRE_GPU is set, but {reason}"),
        Err(reason) => {
            eprintln!("SKIPPED, no browser: {reason}");
            None
        }
    }
}

/// Compiles all kernels and the divergent one. An error where there is no browser, or none with WebGPU.
fn ask_the_browser() -> Result<Value, String> {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    let path = env::var_os("PATH").unwrap_or_default();
    let program = env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .ok_or_else(|| format!("none of {} is on the PATH", NAMES.join(", ")))?;

    let kernels: Vec<_> = ALL
        .iter()
        .copied()
        .filter(|kernel| kernel.needs.is_none())
        .chain([&DIVERGENT])
        .map(|kernel| (kernel.name, kernel.source))
        .collect();
    let (address, reports) = serve(serde_json::to_string(&kernels).expect("names and texts"));
    let mut report = Browser::open(&program, &address).wait_for(&reports);
    if let Some(reason) = report["unavailable"].as_str() {
        return Err(format!("{}: {reason}", program.display()));
    }
    eprintln!("browser: {} ({})", program.display(), report["adapter"].as_str().unwrap_or("?"));
    Ok(report["kernels"].take())
}

/// A headless Chromium with a profile of its own; killed when dropped, whatever happened.
struct Browser {
    child: Child,
    folder: tempfile::TempDir,
}

impl Browser {
    /// How long starting and compiling may take. It takes a minute or two; a machine that builds at the same time is slower.
    const PATIENCE: Duration = Duration::from_secs(300);

    fn open(program: &Path, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(Self::log(&folder)).expect("a file in it");
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, folder }
    }

    fn log(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("stderr")
    }

    /// The page's report.
    ///
    /// # Panics
    /// If the browser ends or the time does, with the browser's last words.
    fn wait_for(mut self, reports: &mpsc::Receiver<String>) -> Value {
        let deadline = Instant::now() + Self::PATIENCE;
        let reason = loop {
            match reports.recv_timeout(Duration::from_millis(200)) {
                Ok(report) => return serde_json::from_str(&report).expect("the page posts JSON"),
                Err(RecvTimeoutError::Disconnected) => break "the server stopped".to_string(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            match self.child.try_wait() {
                Ok(Some(status)) => break format!("the browser ended ({status})"),
                Err(error) => break format!("the browser is lost ({error})"),
                Ok(None) if Instant::now() > deadline => break format!("no report within {:?}", Self::PATIENCE),
                Ok(None) => {}
            }
        };
        let log = fs::read(Self::log(&self.folder)).unwrap_or_default();
        let last = &log[log.len().saturating_sub(2000)..];
        panic!("{reason}; its last words:\n{}", String::from_utf8_lossy(last));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helper processes end with it. An error here means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the page and `kernels` on this machine alone; returns its address and what is posted to it.
///
/// The thread ends with the process: it waits for connections that a browser may open at any time.
fn serve(kernels: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}/", listener.local_addr().expect("bound above"));
    let (sender, reports) = mpsc::channel();
    let kernels: Arc<str> = kernels.into();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A thread each: browsers open connections ahead and send nothing over them for a while.
            let (kernels, sender) = (Arc::clone(&kernels), sender.clone());
            thread::spawn(move || answer(stream, &kernels, &sender));
        }
    });
    (address, reports)
}

/// One request, one answer. An error is a connection the browser gave up; it will ask again.
fn answer(mut stream: TcpStream, kernels: &str, reports: &Sender<String>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let page = include_str!("portability.html");
    let (status, kind, content) = match request.split(' ').nth(1).unwrap_or_default() {
        "/" => ("200 OK", "text/html", page),
        "/kernels" => ("200 OK", "application/json", kernels),
        "/report" => ("200 OK", "text/plain", "thanks"),
        _ => ("404 Not Found", "text/plain", "not here"),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", content.len());
    write!(stream, "{head}Connection: close\r\n\r\n{content}")?;
    if request.starts_with("POST /report ") {
        // Nobody waits any more after the deadline.
        let _ = reports.send(String::from_utf8_lossy(&body).into_owned());
    }
    Ok(())
}
