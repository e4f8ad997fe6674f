//! What the matrix products reach: burn's own `matmul`, the plain kernels and the others on the GPU, forward, dx and dW.
//!
//! `cargo bench --workspace --bench products` takes the shape of a model of one billion parameters (512 tokens, D 2048, FFN
//! 5632); `-- 512x1408x2048` another (rows, output and input features). `MOLE_BENCH_ROUNDS` is the number of rounds (3), in
//! which the cases take turns, so that a machine that grows slower meanwhile does not favour one; the fastest of a case
//! counts. Ratios are to burn's `matmul` of the same product.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use mole_runtime::device::{ComputeDevice, DeviceChoice, read_floats};
use mole_runtime::ops::{PackedFormat, Product, Weight, linear};
use mole_tests::{floats, weight_packed};

type Work<'a> = Box<dyn Fn() -> Tensor<2> + 'a>;

/// One way to compute one product.
struct Case<'a> {
    name: String,
    /// The case that its ratio is to.
    base: usize,
    work: Work<'a>,
}

/// A result that has arrived: one element of it is read, for waiting alone may be answered before the work is done.
fn finish(y: Tensor<2>) {
    let [rows, columns] = y.dims();
    let corner = y.slice([rows - 1..rows, columns - 1..columns]);
    assert!(pollster::block_on(read_floats(corner)).expect("the device works")[0].is_finite());
}

/// The gradient of x or, with it, of a trained weight.
fn backward(x: &Tensor<2>, weight: &Weight, dy: &Tensor<2>) -> Tensor<2> {
    let (x, weight, leaf) = match weight {
        Weight::F32(weight) => {
            let weight = weight.clone().autodiff().require_grad();
            (x.clone().autodiff(), Weight::F32(weight.clone()), weight)
        }
        packed => {
            let x = x.clone().autodiff().require_grad();
            (x.clone(), packed.clone(), x)
        }
    };
    let y = linear(x, &weight, None);
    let gradients = (y * Tensor::from_inner(dy.clone())).sum().backward();
    leaf.grad(&gradients).expect("the leaf has a gradient")
}

/// One kernel's products: y from every format, y and dW from f32, y and dx from f16.
fn cases_of<'a>(
    product: Product,
    x: &'a Tensor<2>,
    dy: &'a Tensor<2>,
    f32_weight: &'a Weight,
    packed: &'a [(PackedFormat, Weight)],
) -> Vec<Case<'a>> {
    let forward = |weight: &str, of: &'a Weight| {
        let work = move || {
            Product::always(Some(product));
            linear(x.clone(), of, None)
        };
        Case { name: format!("y: {product:?}, {weight}"), base: 0, work: Box::new(work) }
    };
    let backward = |what: &str, of: &'a Weight| {
        let work = move || {
            Product::always(Some(product));
            backward(x, of, dy)
        };
        Case { name: format!("y and {what}: {product:?}"), base: 2, work: Box::new(work) }
    };
    let mut cases = vec![forward("F32", f32_weight)];
    cases.extend(packed.iter().map(|(format, weight)| forward(&format!("{format:?}"), weight)));
    cases.extend([backward("dW, F32", f32_weight), backward("dx, F16", &packed[0].1)]);
    cases
}

fn main() {
    let shape = std::env::args().find(|arg| arg.matches('x').count() == 2 && arg.starts_with(char::is_numeric));
    let shape = shape.unwrap_or_else(|| "512x5632x2048".to_string());
    let sizes: Vec<usize> = shape.split('x').map(|size| size.parse().expect("three numbers")).collect();
    let [rows, out_features, in_features] = sizes.try_into().expect("rows x output x input features");
    let rounds = std::env::var("MOLE_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let device = match pollster::block_on(ComputeDevice::open(DeviceChoice::Gpu)) {
        Ok(device) => device,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    println!("{} ({}), {rows} rows, {in_features} -> {out_features}", device.report.name, device.report.driver);
    let gpu: &Device = &device.burn;
    let x = floats([rows, in_features], 1, gpu);
    let w = floats([out_features, in_features], 2, gpu);
    let dy = floats([rows, out_features], 3, gpu);
    let f32_weight = Weight::F32(w.clone());
    let packed = [PackedFormat::F16, PackedFormat::Q8, PackedFormat::Q4]
        .map(|format| (format, weight_packed(format, out_features, in_features, 2, gpu)));

    let mut products = vec![Product::Plain, Product::Block, Product::Wide];
    let size = device.report.cooperative_f16.iter().max();
    products.extend(size.map(|&size| if size == 16 { Product::Cooperative16 } else { Product::Cooperative8 }));

    let mut cases: Vec<Case<'_>> = Vec::new();
    let burn: [(&str, Work<'_>); 3] = [
        ("y: burn", Box::new(|| x.clone().matmul(w.clone().transpose()))),
        ("dx: burn", Box::new(|| dy.clone().matmul(w.clone()))),
        ("y and dW: burn", Box::new(|| backward_by_burn(&x, &w, &dy))),
    ];
    for (base, (name, work)) in burn.into_iter().enumerate() {
        cases.push(Case { name: name.to_string(), base, work });
    }
    for product in products {
        cases.extend(cases_of(product, &x, &dy, &f32_weight, &packed));
    }
    report(&cases, rounds, 2e-9 * (rows * out_features * in_features) as f64);
}

/// The same two products by burn's `matmul` alone.
fn backward_by_burn(x: &Tensor<2>, w: &Tensor<2>, dy: &Tensor<2>) -> Tensor<2> {
    let y = x.clone().matmul(w.clone().transpose());
    finish(y);
    dy.clone().transpose().matmul(x.clone())
}

fn report(cases: &[Case<'_>], rounds: usize, gflop: f64) {
    let mut best = vec![f64::MAX; cases.len()];
    // The first round compiles and warms up.
    for round in 0..=rounds {
        for (case, best) in cases.iter().zip(&mut best) {
            let start = Instant::now();
            finish((case.work)());
            if round > 0 {
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
    }
    for (case, seconds) in cases.iter().zip(&best) {
        // "y and ..." are two products.
        let gflop = if case.base == 2 { 2.0 * gflop } else { gflop };
        let ratio = best[case.base] / seconds;
        println!("{:<28} {:9.1} ms {:8.2} GFLOP/s {ratio:6.2} of burn", case.name, 1e3 * seconds, gflop / seconds);
    }
}
