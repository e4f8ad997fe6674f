// A parameter for loops and branches, bounded by the length of an array that is at least as long. It changes no value: it
// keeps Mesa's software driver (lavapipe 22) from compiling a kernel anew for every launch, as it does for parameters that
// a loop or a branch depends on alone. There it makes a decode step 5 times as fast.
fn bounded(value: u32, length: u32) -> u32 {
    return min(value, length);
}
