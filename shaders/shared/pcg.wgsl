// The PCG hash: 32 well-mixed bits of any number. O'Neill 2014. The host side is `host::pcg`.
fn pcg(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}
