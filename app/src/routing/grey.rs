//! Pictures without their colours: on grey, a tint is the expert's colour and nothing else's.

/// The luma of every pixel (ITU-R BT.601) in each of its three channels; `pixels` as `RgbImage` has them.
pub fn grey(pixels: &[u8]) -> Vec<u8> {
    let luma = |pixel: &[u8]| {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        [((299 * r + 587 * g + 114 * b + 500) / 1000) as u8; 3]
    };
    pixels.chunks_exact(3).flat_map(luma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_and_colours_become_as_light_as_they_are() {
        assert_eq!(grey(&[0, 0, 0, 128, 128, 128, 255, 255, 255]), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
        assert_eq!(grey(&[255, 0, 0, 0, 255, 0, 0, 0, 255]), [76, 76, 76, 150, 150, 150, 29, 29, 29]);
        assert_eq!(grey(&[]), [0; 0]);
    }
}
