// The error function, which WGSL has not. Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7.
fn erf(value: f32) -> f32 {
    let a = abs(value);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(value) * (1.0 - poly * exp(-a * a));
}
